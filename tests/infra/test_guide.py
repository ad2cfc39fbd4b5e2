"""The guide's commands: of stacks, parameters, outputs and images that there are."""

from __future__ import annotations

import re

import pytest
import yaml
from support.templates import INFRA, TEMPLATES, load

ROOT = INFRA.parent
GUIDE = re.sub(r"\\\n\s*", "", (INFRA / "README.md").read_text())
DEPLOYED = dict(re.findall(r"^up (\w+) (.+)$", GUIDE, flags=re.MULTILINE))


def test_every_stack_is_deployed_after_those_that_it_needs() -> None:
    assert DEPLOYED.keys() == {path.stem for path in TEMPLATES}
    order = list(DEPLOYED)
    for name, arguments in DEPLOYED.items():
        for giver in re.findall(r"\$\(out (\w+) \w+\)", arguments):
            assert order.index(giver) < order.index(name)


@pytest.mark.parametrize("name", DEPLOYED)
def test_a_stack_gets_the_parameters_that_it_has(name: str) -> None:
    parameters = load(name)["Parameters"]
    given = set(re.findall(r"(\w+)=", DEPLOYED[name]))
    assert given <= parameters.keys()
    assert {one for one, about in parameters.items() if "Default" not in about} <= given


def test_every_output_that_is_asked_for_is_given() -> None:
    asked = set(re.findall(r"\bout (\w+) (\w+)", GUIDE))
    assert len(asked) > 10
    for stack, output in asked:
        assert output in load(stack)["Outputs"], f"{stack} {output}"


def test_every_image_has_a_place_in_the_registry() -> None:
    there = {one["Properties"]["RepositoryName"] for one in load("registry")["Resources"].values()}
    mirrored = re.findall(r"(?:quay\.io|registry\.k8s\.io|nvcr\.io)/([\w./-]+):v", GUIDE)
    built = re.findall(r"docker build .*--tag \"\$registry/([\w-]+):", GUIDE)
    assert len(built) == len(mirrored) == 3
    assert there == {*mirrored, *built}


def test_images_are_built_as_the_clusters_ask_for_them() -> None:
    site = yaml.safe_load((ROOT / "cluster/k8s/overlays/production/site/kustomization.yaml").read_text())
    for image in site["images"]:
        assert f"$registry/{image['name']}:{image['newTag']}" in GUIDE


def test_every_mark_to_edit_is_explained() -> None:
    marks = set()
    for path in (ROOT / "cluster").rglob("*.yaml"):
        text = re.sub(r"#.*", "", path.read_text())
        marks |= set(re.findall(r"[\w=-]*EDIT-ME[\w.-]*", text))
    assert len(marks) > 5
    for mark in marks:
        assert f"`{mark.split('/')[0]}`" in GUIDE, mark
