"""The wheel, installed into an environment of its own and used from outside of the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import roadscan

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Installed:
    """A virtual environment with roadscan's wheel, and a folder to be in."""

    wheel: Path
    venv: Path
    folder: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One of its programs, which sees no path of the repository."""
        tools = f"{self.venv / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"  # the demo's S3 server
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        return subprocess.run(
            [self.venv / "bin" / program, *arguments],
            cwd=self.folder,
            env={**environment, "PATH": tools, "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel alone is new; what it depends on is this environment's, which is not gone through for `.pth` files."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True, cwd=folder
    )
    (wheel,) = folder.glob("*.whl")
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    subprocess.run([*pip, "--python", venv / "bin/python", "install", "--no-deps", "--no-index", wheel], check=True)
    packages = next(venv.glob("lib/python*/site-packages"))
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"])
    (folder / "elsewhere").mkdir()
    return Installed(wheel, venv, folder / "elsewhere")


def test_the_wheel_holds_every_file_of_the_package(installed: Installed) -> None:
    listed = subprocess.run(["git", "ls-files", "roadscan"], cwd=ROOT, check=True, capture_output=True, text=True)
    names = zipfile.ZipFile(installed.wheel).namelist()
    assert {"roadscan/py.typed", "roadscan/model/demo-detect.zip"} <= set(listed.stdout.splitlines()) <= set(names)
    assert not [name for name in names if not name.startswith("roadscan")]


def test_it_is_the_wheel_that_runs(installed: Installed) -> None:
    done = installed.run("python", "-c", "import roadscan; print(roadscan.__file__, roadscan.__version__)")
    assert done.stdout.split() == [str(next(installed.venv.glob("lib/*/site-packages/roadscan/__init__.py"))),
                                   roadscan.__version__]  # fmt: skip


def test_the_program_says_its_version_and_helps(installed: Installed) -> None:
    assert installed.run("roadscan", "--version").stdout == f"{roadscan.__version__}\n"
    told = installed.run("roadscan", "--help")
    assert (told.returncode, "nightly" in told.stdout) == (0, True)


@pytest.mark.s3
def test_the_demo_runs_where_there_is_no_repository(installed: Installed) -> None:
    done = installed.run("roadscan", "demo", "out", "--km", "0.3", "--set", "roads.nights=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "point assets" in done.stdout
    assert (installed.folder / "out/report.html").exists()
    asked = installed.run(
        "python", "-c", "import roadscan; print(len(roadscan.open_warehouse('out/warehouse').table('frames')))"
    )
    (counts,) = [line for line in done.stdout.splitlines() if line.startswith("frames in")]
    assert counts == f"frames in {asked.stdout.strip()}, frames out {asked.stdout.strip()}"


USER_SCRIPT = '''
from datetime import UTC, datetime

import roadscan


def crowded(uri: str) -> list[str]:
    """Classes of which there are many."""
    warehouse = roadscan.open_warehouse(uri)
    counted = warehouse.query("FROM assets_per_class", as_of=datetime(2026, 11, 2, tzinfo=UTC))
    names: list[str] = counted.to_arrow()["class"].to_pylist()
    return names if len(counted) > 3 else []


def boxes(path: str) -> tuple[str, ...]:
    """Classes in an image."""
    return roadscan.Detector("demo", confidence=0.5).detect(path).classes


def night(path: str) -> int:
    """Frames of a scan."""
    try:
        return roadscan.run_scan(roadscan.load_config(roadscan.ScanConfig, path)).frames
    except roadscan.RoadscanError:
        return 0
'''


def test_a_users_script_is_checked_against_the_types(installed: Installed) -> None:
    (installed.folder / "script.py").write_text(USER_SCRIPT)
    wrong = USER_SCRIPT.replace(".classes", ".klasses").replace("open_warehouse", "open_warehose")
    (installed.folder / "wrong.py").write_text(wrong)
    # Half a minute less, and nothing that the script is given has a type of theirs.
    (installed.folder / "mypy.ini").write_text("[mypy]\n[mypy-torch.*,ray.*,ultralytics.*]\nfollow_imports = skip\n")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed.venv / "bin/python")]
    done = subprocess.run(
        [*mypy, "--cache-dir", "cache", "script.py", "wrong.py"],
        cwd=installed.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line for line in errors if not line.startswith("wrong.py")] == []
    assert any('Module has no attribute "open_warehose"' in line for line in errors)
    assert any('"Detections" has no attribute "klasses"' in line for line in errors)
