"""Frames that kill whoever decodes them, decoded in a process of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.drives import jpeg, make_drive
from support.faults import FAULTY_DECODER

from roadscan.errors import RoadscanError
from roadscan.model.faces import FACES
from roadscan.scan.apart import load_apart
from roadscan.scan.loading import Loader, LoaderSettings
from roadscan.survey.drive import read_drive

pytestmark = pytest.mark.slow
SETTINGS: LoaderSettings = {
    "threads": 4, "side_px": 320, "stride_px": 32, "decode": "full", "max_megapixels": 64.0, "slices": None,
    "faces": FACES,
}  # fmt: skip


def test_frames_that_kill_are_named_and_the_others_are_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(FAULTY_DECODER)
    monkeypatch.syspath_prepend(str(tmp_path))
    poison = {name: jpeg(name) + b"poison" for name in (1, 4)}
    drive = read_drive(make_drive(str(tmp_path / "d"), n=6, images={**poison, 2: b""}))
    rows = drive.frames.to_pylist()
    found = list(load_apart(drive, rows, SETTINGS))
    assert [one.row for one in found] == list(range(6))
    assert [one.row for one in found if one.status == "ok"] == [0, 3, 5]
    for row in poison:
        assert found[row].status == "quarantined"
        assert found[row].reason == "crashed: whoever decodes it ends with signal SIGABRT"
    for one, expected in zip(found, Loader(**SETTINGS).load(drive, rows, 4), strict=True):
        if one.row not in poison:
            assert (one.status, one.reason, one.quality) == (expected.status, expected.reason, expected.quality)
        if one.image is not None and expected.image is not None:
            assert np.array_equal(one.image.pixels, expected.image.pixels)


def test_a_process_that_cannot_start_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nos._exit(7)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    drive = read_drive(make_drive(str(tmp_path / "d"), n=1))
    with pytest.raises(RoadscanError, match="ended before it began, with exit code 7"):
        list(load_apart(drive, drive.frames.to_pylist(), SETTINGS))


def test_a_process_imports_nothing_from_the_folder_it_is_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    drive = read_drive(make_drive(str(tmp_path / "d"), n=1))
    (loaded,) = load_apart(drive, drive.frames.to_pylist(), SETTINGS)
    assert loaded.status == "ok"
