"""Which drives are new, and which of those that are known are looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from support.drives import START, make_drive

from roadscan.nightly.drives import LOOKED_AGAIN, find_new
from roadscan.storage import MAX_RECORD_BYTES, DiskStore
from roadscan.survey.drive import read_drive

NOW = START + timedelta(days=100)
JUST_NOW, LONG_AGO = NOW - timedelta(hours=1), NOW - LOOKED_AGAIN - timedelta(hours=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("old", "young", "new"):
        make_drive(str(tmp_path / name), n=1, drive_id=name)
    return tmp_path


def runs_of(folder: Path, *, failed: int = 0, **finished: datetime) -> pa.Table:
    """Released runs of drives, by when they were finished."""
    drives = [read_drive(str(folder / name)) for name in finished]
    return pa.table(
        {
            "drive_id": [drive.drive_id for drive in drives],
            "drive_uri": [drive.uri for drive in drives],
            "drive_sha256": [drive.sha256 for drive in drives],
            "frames": [drive.frames.num_rows for drive in drives],
            "started_at": [pc.min(drive.frames["captured_at"]) for drive in drives],
            "ended_at": [pc.max(drive.frames["captured_at"]) for drive in drives],
            "frames_failed": [failed for _ in drives],
            "finished_at": pa.array(finished.values(), pa.timestamp("us", "UTC")),
        }
    )


def found(address: Path, runs: pa.Table) -> list[str]:
    return [drive.drive_id for drive in find_new([str(address)], runs, zone=ZoneInfo("UTC"), now=NOW).drives]


def test_of_drives_that_were_scanned_long_ago_nothing_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = runs_of(folder, old=LONG_AGO, young=JUST_NOW)
    asked: list[Path] = []
    path = DiskStore.path
    monkeypatch.setattr(DiskStore, "path", lambda store, key: (asked.append(path(store, key)), path(store, key))[1])
    assert found(folder, runs) == ["new"]
    assert {one.parent.name for one in asked} - {folder.name} == {"young", "new"}


@pytest.mark.parametrize(("finished", "expected"), [(JUST_NOW, ["young"]), (LONG_AGO, [])])
def test_a_drive_that_is_ingested_anew_is_noticed_for_a_while(
    folder: Path, finished: datetime, expected: list[str]
) -> None:
    runs = runs_of(folder, old=LONG_AGO, new=LONG_AGO, young=finished)
    make_drive(str(folder / "young"), n=2, drive_id="young")
    assert found(folder, runs) == expected
    assert found(folder / "young", runs) == ["young"]  # who names the drive itself has it looked at


def test_a_manifest_that_is_too_large_to_be_one_is_left_out_unread(folder: Path) -> None:
    with (folder / "young" / "drive.json").open("wb") as file:
        file.truncate(1 << 40)  # of which a machine's memory could not take the thousandth part
    new = find_new([str(folder)], runs_of(folder, old=LONG_AGO), zone=ZoneInfo("UTC"), now=NOW)
    assert [drive.drive_id for drive in new.drives] == ["new"]
    assert new.left_out == {
        str(folder / "young"): f"{folder}/young/drive.json: {1 << 40} bytes, limit {MAX_RECORD_BYTES}"
    }


def test_a_drive_with_failed_frames_stays_new(folder: Path) -> None:
    assert found(folder, runs_of(folder, failed=1, old=LONG_AGO, young=JUST_NOW)) == ["new", "old", "young"]


def test_a_drive_that_was_moved_is_itself(folder: Path) -> None:
    runs = runs_of(folder, failed=1, young=JUST_NOW)
    (folder / "young").rename(folder / "archive")
    new = find_new([str(folder)], runs, zone=ZoneInfo("UTC"), now=NOW)
    assert ([drive.drive_id for drive in new.drives], new.left_out) == (["young", "new", "old"], {})


def test_a_receiver_that_had_no_fix_yet_does_not_say_when_a_drive_began(folder: Path) -> None:
    without = {
        0: {"captured_at": datetime(1980, 1, 6, tzinfo=UTC)},
        2: {"captured_at": datetime(2099, 1, 1, tzinfo=UTC)},
    }
    make_drive(str(folder / "new"), n=3, drive_id="new", replace=without)
    new = find_new([str(folder / "new")], runs_of(folder), zone=ZoneInfo("UTC"), now=NOW)
    assert [drive.began for drive in new.drives] == [START.date().isoformat()]
    reasons = read_drive(str(folder / "new")).frames["reason"].to_pylist()
    assert reasons == ["no_time: 1980-01-06; expected 1990 to 2100", None, "no_time: 2099-01-01 has not come"]
