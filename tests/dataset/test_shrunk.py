"""Small copies of images: the pixels of a resize, made once a node, complete or not at all."""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.written import picture

from roadscan.dataset import shrunk
from roadscan.dataset.shrunk import ShrinkTarget, Shrunk, shrink
from roadscan.errors import DatasetError, StorageError

#: Shrinks, and prints how many images this very process made.
PROGRAM = """
import json, sys, time
from roadscan.dataset.shrunk import ShrinkTarget, shrink
made = []
def on_image(done, total):
    made.append(done)
    time.sleep(float(sys.argv[3]))
wanted = [ShrinkTarget(f"{n}.jpg", (64, 96), (32, 48)) for n in range(6)]
shrink(sys.argv[1], wanted, sys.argv[2], on_image=on_image)
print(json.dumps(len(made)))
"""
WANTED = [ShrinkTarget(f"{number}.jpg", (64, 96), (32, 48)) for number in range(6)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six images of 96x64 pixels."""
    root = tmp_path / "data"
    root.mkdir()
    for number in range(6):
        (root / f"{number}.jpg").write_bytes(picture(number))
    return root


def start(root: Path, cache: Path, pause_s: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, str(root), str(cache), str(pause_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def files(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


def test_a_small_copy_has_the_pixels_of_the_resize(root: Path, tmp_path: Path) -> None:
    wanted = [WANTED[3], WANTED[0]._replace(shrunk_hw=(31, 47)), WANTED[0]]
    seen: list[tuple[int, int]] = []
    made = shrink(root, wanted, tmp_path / "cache", on_image=lambda done, total: seen.append((done, total)))
    for one in wanted:
        expected = cv2.resize(cv2.imread(str(root / one.key)), one.shrunk_hw[::-1], interpolation=cv2.INTER_LINEAR)
        got = made.read(one.key, one.shrunk_hw)
        assert got is not None
        assert np.array_equal(got, expected)
    assert seen[-1] == (3, 3)
    assert made.path.stat().st_size == sum(h * w * 3 for _, _, (h, w) in wanted)


def test_what_was_not_wanted_is_not_there(root: Path, tmp_path: Path) -> None:
    made = shrink(root, WANTED[:1], tmp_path / "cache")
    assert made.read("1.jpg", (32, 48)) is None
    assert made.read("0.jpg", (31, 48)) is None
    assert shrink(root, [], tmp_path / "none").read("0.jpg", (32, 48)) is None
    assert not (tmp_path / "none").exists()


def test_pixels_may_be_changed_and_the_next_reader_sees_the_first_ones(root: Path, tmp_path: Path) -> None:
    made = pickle.loads(pickle.dumps(shrink(root, WANTED, tmp_path / "cache")))  # as loader processes get it
    first = made.read("2.jpg", (32, 48))
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(made.read("2.jpg", (32, 48)), kept)


def test_copies_are_made_once(root: Path, tmp_path: Path) -> None:
    first = shrink(root, WANTED, tmp_path / "cache")
    assert shrink(root, WANTED, tmp_path / "cache", on_image=lambda *_: pytest.fail("made again")) == first


def test_an_image_that_changed_gets_a_new_copy(root: Path, tmp_path: Path) -> None:
    first = shrink(root, WANTED, tmp_path / "cache")
    stat = (root / "1.jpg").stat()
    (root / "1.jpg").write_bytes(picture(9))
    os.utime(root / "1.jpg", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    second = shrink(root, WANTED, tmp_path / "cache")
    assert second.path != first.path
    assert not np.array_equal(second.read("1.jpg", (32, 48)), first.read("1.jpg", (32, 48)))


def test_another_size_is_another_copy(root: Path, tmp_path: Path) -> None:
    paths = {shrink(root, [one], tmp_path).path for one in (WANTED[0], WANTED[0]._replace(shrunk_hw=(16, 24)))}
    assert len(paths) == 2


def test_processes_of_a_node_make_them_once(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    processes = [start(root, cache, 0.05) for _ in range(3)]
    made = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    assert sorted(made) == [0, 0, 6]
    assert len(files(cache)) == 1


def test_a_killed_process_leaves_nothing_that_looks_complete(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    process = start(root, cache, 60)
    deadline = time.monotonic() + 30
    while not list(cache.glob(".*.partial")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (left,) = files(cache)
    assert left.endswith(".partial")
    made = shrink(root, WANTED, cache)
    assert files(cache) == [made.path.name]
    assert all(made.read(one.key, one.shrunk_hw) is not None for one in WANTED)


def test_a_copy_that_was_cut_off_is_made_again(root: Path, tmp_path: Path) -> None:
    first = shrink(root, WANTED, tmp_path)
    kept = first.path.read_bytes()
    os.truncate(first.path, 100)
    with pytest.raises(StorageError, match="removed or cut off; start again"):
        first.read("3.jpg", (32, 48))
    assert shrink(root, WANTED, tmp_path).path.read_bytes() == kept


def test_without_room_there_are_no_copies_and_a_warning(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shrunk.shutil, "disk_usage", lambda _: usage(shrunk.SPARE_BYTES + 6 * 32 * 48 * 3 - 1))
    with caplog.at_level(logging.WARNING):
        assert shrink(root, WANTED, tmp_path / "cache") == Shrunk()
    assert "no room for small copies of 6 images: expected 1.1 GB free" in caplog.text
    assert "execution.cache_dir" in caplog.text
    assert files(tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b"no image", r"0\.jpg: the image cannot be decoded; see 'roadscan dataset check'"),
        (picture(0, width=64, height=96), r"0\.jpg: its labels say 96x64 px, the image has 64x96"),
        (None, r"0\.jpg: No such file or directory; see 'roadscan dataset check'"),
    ],
)
def test_an_image_that_cannot_be_used_is_named(damage: bytes | None, message: str, root: Path, tmp_path: Path) -> None:
    (root / "0.jpg").unlink()
    if damage is not None:
        (root / "0.jpg").write_bytes(damage)
    with pytest.raises(DatasetError, match=message):
        shrink(root, WANTED, tmp_path / "cache")
    assert not (tmp_path / "cache").exists() or files(tmp_path / "cache") == []


def test_a_folder_that_cannot_be_written_is_told(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="expected a cache folder that can be written"):
        shrink(root, WANTED, tmp_path / "file")
