"""A scan on one machine, whose processes die."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from support.commands import PROGRAM, roadscan, sets
from support.drives import jpeg, make_drive
from support.faults import FAULTY_DECODER
from support.staging import commits

from roadscan.warehouse import Warehouse

pytestmark = pytest.mark.slow


def scan_of(folder: Path, model: str, **fields: object) -> list[str]:
    where = {"warehouse": folder / "warehouse", "summary": folder / "summary.json"}
    return ["scan", *sets(drives=f"[{folder / 'drive'}]", model=model, **where, **fields)]


def frames_of(folder: Path) -> list[str]:
    house = Warehouse(str(folder / "warehouse"))
    return sorted(house.read(house.current(), "frames")["frame_id"].to_pylist())


def test_frames_that_are_all_in_quarantine_are_told_until_their_images_are_there(
    tmp_path: Path, detect_model: str
) -> None:
    make_drive(str(tmp_path / "drive"), n=3, images=dict.fromkeys(range(3)))
    scan = scan_of(tmp_path, detect_model, actors=1, backend="torch")
    done = roadscan(*scan)
    assert done.returncode == 3
    assert "all 3 frames are in quarantine" in done.stderr
    assert "retry_quarantined=true" in done.stderr
    assert len(frames_of(tmp_path)) == 3  # nothing is lost
    make_drive(str(tmp_path / "drive"), n=3)
    assert "0 drives to scan, 1 already done" in roadscan(*scan).stdout
    done = roadscan(*scan, "--set", "retry_quarantined=true")
    assert done.returncode == 0, done.stderr
    house = Warehouse(str(tmp_path / "warehouse"))
    assert house.read(house.current(), "frames")["status"].to_pylist() == ["ok"] * 3


def test_a_process_that_is_killed_is_replaced_and_its_shards_are_scanned(tmp_path: Path, detect_model: str) -> None:
    make_drive(str(tmp_path / "drive"), n=60)
    command = [PROGRAM, *scan_of(tmp_path, detect_model, shard_frames=2, actors=1, confidence=0.4, backend="torch")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        store, deadline = Warehouse(str(tmp_path / "warehouse")).store, time.monotonic() + 120
        while len(commits(store)) < 2:
            assert time.monotonic() < deadline, "no commit within two minutes"
            time.sleep(0.05)
        (child,) = psutil.Process(program.pid).children()
        child.kill()
        _, err = program.communicate(timeout=300)
    assert program.returncode == 0, err
    told = json.loads((tmp_path / "summary.json").read_text())
    assert told["frames_ok"] == 60
    assert told["devices"] == {"cpu, torch float32": 2}  # the one that was killed, and the one in its place
    assert frames_of(tmp_path) == [f"{i:06d}" for i in range(60)]


def test_processes_end_with_the_program_that_started_them(tmp_path: Path, detect_model: str) -> None:
    make_drive(str(tmp_path / "drive"), n=60)
    command = [PROGRAM, *scan_of(tmp_path, detect_model, shard_frames=1, confidence=0.4)]
    program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    store, deadline = Warehouse(str(tmp_path / "warehouse")).store, time.monotonic() + 120
    while not commits(store):
        assert time.monotonic() < deadline, "no commit within two minutes"
        time.sleep(0.05)
    children = psutil.Process(program.pid).children()
    assert children
    program.kill()
    program.wait()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


def test_an_image_that_kills_every_process_ends_the_scan_with_a_message(tmp_path: Path, detect_model: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAULTY_DECODER)
    make_drive(str(tmp_path / "drive"), n=4, images={2: jpeg(2) + b"poison"})
    done = roadscan(*scan_of(tmp_path, detect_model), PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "3 processes died while they scanned" in done.stderr
    assert "frames 0 to 3; the last ended with signal SIGABRT" in done.stderr
    assert Warehouse(str(tmp_path / "warehouse")).current().number == 0


def test_processes_that_cannot_start_end_the_scan_with_a_message(tmp_path: Path, detect_model: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'roadscan.scan.worker' in sys.orig_argv:\n    os._exit(7)\n"
    )
    make_drive(str(tmp_path / "drive"), n=4)
    done = roadscan(*scan_of(tmp_path, detect_model, shard_frames=1), PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "3 processes died while they scanned" in done.stderr
    assert "the last ended with exit code 7" in done.stderr
    assert "Traceback" not in done.stderr
