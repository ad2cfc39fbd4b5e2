"""The wheel, installed into an environment of its own and used from outside of the repository."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.commands import ROOT
from support.wheel import Installed

import roadscan
from roadscan.model.bundle import SHIPPED

pytestmark = pytest.mark.slow


def test_the_wheel_holds_every_file_of_the_package(installed: Installed) -> None:
    listed = subprocess.run(["git", "ls-files", "roadscan"], cwd=ROOT, check=True, capture_output=True, text=True)
    names = zipfile.ZipFile(installed.wheel).namelist()
    shipped = {f"roadscan/model/{name}" for name in SHIPPED.values()}
    assert {"roadscan/py.typed", *shipped} <= set(listed.stdout.splitlines()) <= set(names)
    assert not [name for name in names if not name.startswith("roadscan")]


def test_it_is_the_wheel_that_runs(installed: Installed, tmp_path: Path) -> None:
    done = installed.run(tmp_path, "python", "-c", "import roadscan; print(roadscan.__file__, roadscan.__version__)")
    assert done.stdout.split() == [str(next(installed.venv.glob("lib/*/site-packages/roadscan/__init__.py"))),
                                   roadscan.__version__]  # fmt: skip


def test_the_program_says_its_version_and_helps(installed: Installed, tmp_path: Path) -> None:
    assert installed.run(tmp_path, "roadscan", "--version").stdout == f"{roadscan.__version__}\n"
    told = installed.run(tmp_path, "roadscan", "--help")
    assert (told.returncode, "nightly" in told.stdout) == (0, True)


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


def test_a_users_script_is_checked_against_the_types(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(USER_SCRIPT)
    wrong = USER_SCRIPT.replace(".classes", ".klasses").replace("open_warehouse", "open_warehose")
    (tmp_path / "wrong.py").write_text(wrong)
    # Half a minute less, and nothing that the script is given has a type of theirs.
    (tmp_path / "mypy.ini").write_text("[mypy]\n[mypy-torch.*,ray.*,ultralytics.*]\nfollow_imports = skip\n")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(installed.venv / "bin/python")]
    done = subprocess.run(
        [*mypy, "--cache-dir", "cache", "script.py", "wrong.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line for line in errors if not line.startswith("wrong.py")] == []
    assert any('Module has no attribute "open_warehose"' in line for line in errors)
    assert any('"Detections" has no attribute "klasses"' in line for line in errors)
