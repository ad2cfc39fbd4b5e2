"""Images, as far as one can tell without building them: linted, of what is there, and as the clusters ask for them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.manifests import tool
from support.templates import INFRA, load

ROOT = INFRA.parent
IMAGES = ("Dockerfile", "Dockerfile.cpu")
DOCKERFILES = (*IMAGES, "Dockerfile.kubectl")


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("hadolint"), str(path)], capture_output=True, text=True, check=False)


def instructions(name: str) -> list[str]:
    """A Dockerfile without its comments, an instruction a line."""
    text = re.sub(r"^#.*\n", "", (INFRA / name).read_text(), flags=re.MULTILINE)
    return [line for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines() if line]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_a_dockerfile_is_right(name: str) -> None:
    done = lint(INFRA / name)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("name", "line", "typo"),
    [
        ("Dockerfile", "WORKDIR /app", "WORKDR /app"),
        ("Dockerfile", "WORKDIR /app", "WORKDIR app"),
        ("Dockerfile", "--no-cache-dir ", ""),
        ("Dockerfile.cpu", "USER 1000:1000", "USER root"),
        ("Dockerfile.cpu", "--no-install-recommends ", ""),
        ("Dockerfile.cpu", "HEALTHCHECK NONE", "HEALTHCHEK NONE"),
        ("Dockerfile.kubectl", "COPY --from=kubectl", "COPY --form=kubectl"),
        (
            "Dockerfile.kubectl",
            "v1.34.1@sha256:59bafa07ff3a6d4b417e7633ddb9d79a9606ca98bf64bac080b3e65748669250",
            "latest",
        ),
    ],
)
def test_a_typo_is_caught(tmp_path: Path, name: str, line: str, typo: str) -> None:
    text = (INFRA / name).read_text()
    assert line in text
    path = tmp_path / "Dockerfile"
    path.write_text(text.replace(line, typo))
    assert lint(path).returncode != 0


@pytest.mark.parametrize("name", DOCKERFILES)
def test_what_an_image_begins_with_is_known_to_the_last_bit(name: str) -> None:
    bases = [line for line in instructions(name) if line.startswith("FROM ")]
    assert bases
    assert all(re.match(r"FROM \S+:[^@\s]+@sha256:[0-9a-f]{64}( AS \w+)?$", line) for line in bases)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_made_of_what_the_repository_has(name: str) -> None:
    sent = [line[1:] for line in (INFRA / f"{name}.dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = [word for line in instructions(name) if line.startswith("COPY") for word in line.split()[1:-1]]
    assert set(sources) == set(sent), "what is sent to the builder is what it copies"
    for source in sources:
        assert (ROOT / source).exists(), source


@pytest.mark.parametrize("name", IMAGES)
def test_its_packages_are_those_of_the_project_and_pinned(name: str, tmp_path: Path) -> None:
    """The image's own command lists the dependencies, and the constraints have a version of each that will do."""
    (code,) = re.findall(r"python -c '(import tomllib.*?)'", (INFRA / name).read_text())
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    listed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert listed.stdout.splitlines() == project["dependencies"]
    pins = {}
    for line in (ROOT / ".ci/constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            pins[canonicalize_name(pin.name)] = str(pin.specifier).removeprefix("==")
    for line in project["dependencies"]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(pins[canonicalize_name(wanted.name)]), line


def test_the_two_images_differ_in_torch_alone() -> None:
    gpu, cpu = (instructions(name) for name in IMAGES)
    assert [line for line in cpu if line not in gpu] == [
        "ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu",
        *[f'{line} --extra-index-url "$TORCH_INDEX"' for line in gpu if "requirements.txt &&" in line],
        "ENV PYTHONUNBUFFERED=1 RAY_USAGE_STATS_ENABLED=0",
    ]
    assert [line for line in gpu if line.startswith("ENV")] == [
        "ENV PYTHONUNBUFFERED=1 RAY_USAGE_STATS_ENABLED=0"
        " NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility"
    ]


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_what_the_clusters_count_on(name: str) -> None:
    lines = instructions(name)
    job = yaml.safe_load((ROOT / "cluster/k8s/jobs/base/rayjob.yaml").read_text())["spec"]
    user = job["submitterPodTemplate"]["spec"]["securityContext"]["runAsUser"]
    assert f"USER {user}:{user}" in lines
    assert any(f"useradd --uid {user} " in line and "rsync wget" in line for line in lines)
    assert lines.index("WORKDIR /app") + 1 == lines.index("COPY jobs jobs")
    assert (ROOT / "jobs/nightly.py").exists(), "/app/jobs/nightly.py is what the night starts"
    (base,) = [line for line in lines if line.startswith("FROM")]
    assert re.fullmatch(r"FROM python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", base)
    assert not any("PATH=" in line for line in lines), "login shells forget it; everything is in /usr/local"


def test_kubectl_is_the_one_that_the_manifests_ask_for() -> None:
    site = yaml.safe_load((ROOT / "cluster/k8s/overlays/production/site/kustomization.yaml").read_text())
    (tag,) = [one["newTag"] for one in site["images"] if one["name"] == "kubectl"]
    assert instructions("Dockerfile.kubectl")[0].startswith(f"FROM registry.k8s.io/kubectl:v{tag}@sha256:")
    minor = int(load("cluster")["Parameters"]["Version"]["Default"].split(".")[1])
    assert abs(int(tag.split(".")[1]) - minor) <= 1
