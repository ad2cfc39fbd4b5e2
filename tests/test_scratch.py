"""Folders for temporary files, and what killed processes leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from roadscan.scratch import Scratch, remove_left

HOLD = """
import sys, time
from roadscan.scratch import Scratch, scratch_of_process
held = Scratch("resume"), scratch_of_process("train")
for one in held:
    (one.path / "file").write_text("1")
print("there", flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_goes_with_its_block_and_with_its_object(folder: Path) -> None:
    with Scratch("resume") as scratch:
        (scratch.path / "a").mkdir()
        assert scratch.path.parent == folder
        assert scratch.path.stat().st_mode & 0o077 == 0
    held = Scratch("resume")
    del held
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_left_goes_when_the_next_one_starts_and_not_before(folder: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        remove_left()
        assert len(list(folder.glob("roadscan-*/file"))) == 2  # a process that lives keeps its own
        process.send_signal(signal.SIGKILL)
    with Scratch("inventory") as scratch:
        assert sorted(folder.iterdir()) == [scratch.path, Path(f"{scratch.path}.lock")]


def test_a_process_that_ends_leaves_nothing(folder: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(folder)}
    code = HOLD.replace("time.sleep(600)", "")
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, stdout=subprocess.DEVNULL)
    assert list(folder.iterdir()) == []
