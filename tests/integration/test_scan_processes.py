"""A scan on one machine, whose processes die."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from support.commands import PROGRAM, roadscan, sets
from support.drives import CAMERA, jpeg, make_drive
from support.faults import FAULTY_DECODER
from support.staging import commits

from roadscan.warehouse import Warehouse

pytestmark = pytest.mark.slow


def scan_of(folder: Path, model: str, **fields: object) -> list[str]:
    where = {"warehouse": folder / "warehouse", "summary": folder / "summary.json"}
    return ["scan", *sets(drives=f"[{folder / 'drive'}]", model=model, **where, **fields)]


def with_fault(folder: Path, code: str) -> str:
    """A PYTHONPATH with which every Python runs this code first."""
    (folder / "sitecustomize.py").write_text(code)
    return os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))


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


def test_an_upload_under_way_loses_no_frame(tmp_path: Path, detect_model: str) -> None:
    """The manifest is there before half of the images; one of them comes as the page of a captive portal."""
    uri = make_drive(str(tmp_path / "drive"), n=4, images={1: b"<html>", 2: None, 3: None}, uploading=True)
    scan = scan_of(tmp_path, detect_model, actors=1, backend="torch")
    done = roadscan(*scan)
    assert done.returncode == 3, done.stderr
    assert "3 frames failed; run the same command again" in done.stderr
    for index in (1, 2):
        Path(uri, f"images/{index:06d}.jpg").write_bytes(jpeg(index))
    Path(uri, "complete").touch()  # but for one image, which was never there
    assert roadscan(*scan).returncode == 0
    house = Warehouse(str(tmp_path / "warehouse"))
    rows = house.read(house.current(), "frames").sort_by("frame_id")
    assert rows["status"].to_pylist() == ["ok", "ok", "ok", "quarantined"]
    assert "0 drives to scan, 1 already done" in roadscan(*scan).stdout
    Path(uri, "images/000003.jpg").write_bytes(jpeg(3))
    assert roadscan(*scan, "--again", "missing").returncode == 0
    assert house.read(house.current(), "frames")["status"].to_pylist() == ["ok"] * 4
    done = roadscan(*scan, "--again", "mising")
    assert done.returncode == 1
    assert "again: got mising; expected a drive" in done.stderr


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


def test_images_that_kill_whoever_decodes_them_are_frames_in_quarantine(tmp_path: Path, detect_model: str) -> None:
    faulty = with_fault(tmp_path, FAULTY_DECODER)
    poison = {index: jpeg(index) + b"poison" for index in (2, 5, 6)}
    make_drive(str(tmp_path / "drive"), n=9, images=poison)
    scan = scan_of(tmp_path, detect_model, shard_frames=3, actors=1, backend="torch")
    done = roadscan(*scan, PYTHONPATH=faulty)
    assert done.returncode == 0, done.stderr
    assert "a process ended with signal SIGABRT while it scanned" in done.stderr
    house = Warehouse(str(tmp_path / "warehouse"))
    rows = house.read(house.current(), "frames").sort_by("frame_id").to_pylist()
    assert [row["frame_id"] for row in rows if row["status"] == "ok"] == [f"{i:06d}" for i in (0, 1, 3, 4, 7, 8)]
    reasons = {row["reason"] for row in rows if row["status"] == "quarantined"}
    assert reasons == {"crashed: whoever decodes it ends with signal SIGABRT"}


#: A sitecustomize.py: whoever puts detections of a drive into rows, after they were decoded, dies; other drives take
#: so long that each is under way in the same process then.
FAULTY_ROWS = """
import os, sys, time
if "roadscan.scan.worker" in sys.orig_argv:
    import roadscan.scan.measure as measured
    def measure(camera, *_):
        if camera.camera_id == "deadly":
            os.kill(os.getpid(), 9)
        time.sleep(1)
        return sound(camera, *_)
    sound, measured.measure = measured.measure, measure
"""


def test_a_shard_that_kills_every_process_keeps_no_other_drive_back(tmp_path: Path, detect_model: str) -> None:
    deadly = make_drive(str(tmp_path / "drive" / "deadly"), "deadly", n=4,
                        replace={index: {"camera_id": "deadly"} for index in range(4)},
                        camera=replace(CAMERA, camera_id="deadly"))  # fmt: skip
    make_drive(str(tmp_path / "drive" / "sound"), "sound", n=4)
    scan = scan_of(tmp_path, detect_model, actors=1, confidence=0.4, backend="torch")
    done = roadscan(*scan, PYTHONPATH=with_fault(tmp_path, FAULTY_ROWS))
    assert done.returncode == 3
    reason = f"{deadly}, frames 0 to 3: 3 processes died while they scanned it; run again to try once more"
    assert f"left out: {deadly}: {reason}" in done.stdout
    assert "1 drives were left out and 0 frames failed" in done.stderr
    assert "Traceback" not in done.stderr
    house = Warehouse(str(tmp_path / "warehouse"))
    assert house.read(house.current(), "runs")["drive_id"].to_pylist() == ["sound"]
    assert json.loads((tmp_path / "summary.json").read_text())["left_out"] == {deadly: reason}


def test_processes_that_cannot_start_end_the_scan_with_a_message(tmp_path: Path, detect_model: str) -> None:
    faulty = with_fault(tmp_path, "import os, sys\nif 'roadscan.scan.worker' in sys.orig_argv:\n    os._exit(7)\n")
    make_drive(str(tmp_path / "drive"), n=4)
    done = roadscan(*scan_of(tmp_path, detect_model, shard_frames=1), PYTHONPATH=faulty)
    assert done.returncode == 1
    assert "3 processes died before they could scan; the last ended with exit code 7" in done.stderr
    assert "Traceback" not in done.stderr
