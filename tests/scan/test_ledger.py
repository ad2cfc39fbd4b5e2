"""Commits and releases of a scan, without a model: tables as a scanner would give them."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from support.drives import START, make_drive

from roadscan.errors import SurveyError, WarehouseError
from roadscan.scan import ledger
from roadscan.schemas import FRAMES, OBSERVATIONS
from roadscan.storage import Store
from roadscan.survey.drive import Drive, read_drive
from roadscan.warehouse import Warehouse


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    return read_drive(make_drive(str(tmp_path / "d1"), n=4))


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(str(tmp_path / "warehouse"))


def frames_table(drive: Drive, statuses: list[str], key: str) -> pa.Table:
    rows: list[dict[str, Any]] = [
        {
            **dict.fromkeys(FRAMES.names),
            "drive_id": drive.drive_id,
            "frame_id": f"{i:06d}",
            "image_uri": "x",
            "captured_at": START + timedelta(seconds=i / 2),
            "camera_id": "front",
            "fov_deg": 70.0,
            "status": status,
            "n_detections": 0,
            "run_key": key,
        }
        for i, status in enumerate(statuses)
    ]
    return pa.Table.from_pylist(rows, FRAMES)


def scan(warehouse: Warehouse, drive: Drive, statuses: list[str], model: str = "m") -> list[str]:
    """Commit and publish a drive of one shard; returns the statuses that readers see then."""
    key = ledger.run_key(drive, model, "config")
    shards = ledger.plan(drive, key, 512)
    ledger.commit(warehouse, shards[0], OBSERVATIONS.empty_table(), frames_table(drive, statuses, key))
    ledger.publish(warehouse, [ledger.collect(warehouse, drive, shards, model)])
    return visible(warehouse)


def visible(warehouse: Warehouse) -> list[str]:
    statuses: list[str] = warehouse.read(warehouse.current(), "frames")["status"].to_pylist()
    return statuses


OK, ONE_FAILED, ALL_FAILED = ["ok"] * 4, ["ok", "ok", "ok", "failed"], ["failed"] * 4
ONE_QUARANTINED, ALL_QUARANTINED = ["ok", "ok", "ok", "quarantined"], ["quarantined"] * 4


def test_a_retry_replaces_failed_frames(warehouse: Warehouse, drive: Drive) -> None:
    assert scan(warehouse, drive, ONE_FAILED) == ONE_FAILED
    assert scan(warehouse, drive, OK) == OK


def test_a_worse_retry_takes_nothing_away(warehouse: Warehouse, drive: Drive) -> None:
    scan(warehouse, drive, ONE_FAILED)
    assert scan(warehouse, drive, ALL_FAILED) == ONE_FAILED


def test_repaired_frames_replace_those_in_quarantine(warehouse: Warehouse, drive: Drive) -> None:
    assert scan(warehouse, drive, ALL_QUARANTINED) == ALL_QUARANTINED
    assert scan(warehouse, drive, ONE_QUARANTINED) == ONE_QUARANTINED
    assert scan(warehouse, drive, ALL_QUARANTINED) == ONE_QUARANTINED
    assert scan(warehouse, drive, ALL_FAILED) == ONE_QUARANTINED
    assert scan(warehouse, drive, OK) == OK


def test_a_drive_with_frames_in_quarantine_is_done_unless_they_are_to_be_tried_again(
    warehouse: Warehouse, drive: Drive
) -> None:
    key = ledger.run_key(drive, "m", "config")
    for statuses, done_again in ((ONE_QUARANTINED, False), (OK, True)):
        scan(warehouse, drive, statuses)
        runs = warehouse.read(warehouse.current(), "runs").to_pylist()
        assert ledger.is_done(runs, drive, key)
        assert ledger.is_done(runs, drive, key, retry_quarantined=True) is done_again


def test_a_failed_scan_with_another_model_takes_nothing_away(warehouse: Warehouse, drive: Drive) -> None:
    scan(warehouse, drive, OK, model="b")
    assert scan(warehouse, drive, ALL_FAILED, model="c") == OK
    assert scan(warehouse, drive, OK, model="c") == OK
    runs = warehouse.read(warehouse.current(), "runs").to_pylist()
    assert [run["model_sha256"] for run in runs] == ["c"]


def test_the_better_of_two_retries_at_once_stands(
    warehouse: Warehouse, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a worse retry is between reading and writing, a better one commits."""
    scan(warehouse, drive, ALL_FAILED)
    key = ledger.run_key(drive, "m", "config")
    (shard,) = ledger.plan(drive, key, 512)
    real = type(warehouse.store).swap
    raced = []

    def swap(self: Store, name: str, data: bytes, *, tag: str) -> None:
        if not raced:
            raced.append(True)
            ledger.commit(warehouse, shard, OBSERVATIONS.empty_table(), frames_table(drive, OK, key))
        real(self, name, data, tag=tag)  # type: ignore[arg-type]

    monkeypatch.setattr(type(warehouse.store), "swap", swap)
    empty = OBSERVATIONS.empty_table()
    stands = ledger.commit(warehouse, shard, empty, frames_table(drive, ONE_FAILED, key))
    assert (stands.ok, stands.failed) == (4, 0)


def test_staged_shards_that_were_let_go_of_are_told(warehouse: Warehouse, drive: Drive) -> None:
    key = ledger.run_key(drive, "m", "config")
    shards = ledger.plan(drive, key, 512)
    ledger.commit(warehouse, shards[0], OBSERVATIONS.empty_table(), frames_table(drive, OK, key))
    for name in list(warehouse.store.keys("staging/")):
        warehouse.store.delete(name)
    with pytest.raises(WarehouseError, match=r"1 shards of d1 were scanned, but what they staged is gone.*run again"):
        ledger.collect(warehouse, drive, shards, "m")


def test_a_drive_id_belongs_to_one_drive(warehouse: Warehouse, drive: Drive, tmp_path: Path) -> None:
    scan(warehouse, drive, OK)
    runs = warehouse.read(warehouse.current(), "runs")
    key = ledger.run_key(drive, "m", "config")
    assert ledger.is_done(runs.to_pylist(), drive, key)
    assert not ledger.is_done(runs.to_pylist(), drive, ledger.run_key(drive, "other", "config"))
    stranger = read_drive(make_drive(str(tmp_path / "other"), "d1", n=5))
    with pytest.raises(SurveyError, match=r"drive_id 'd1' is taken in this warehouse, by .*d1"):
        ledger.check_identity(runs, stranger)
    shutil.copytree(drive.uri, tmp_path / "moved")
    ledger.check_identity(runs, read_drive(str(tmp_path / "moved")))


def test_a_recording_has_one_id(warehouse: Warehouse, drive: Drive) -> None:
    """Ingested anew under another id its frames would be there twice; another recording in its folder has its own."""
    scan(warehouse, drive, OK)
    runs = warehouse.read(warehouse.current(), "runs")
    with pytest.raises(SurveyError, match=r"drive_id is 'd2', and these frames were scanned as 'd1'"):
        ledger.check_identity(runs, read_drive(make_drive(drive.uri, "d2", n=4)))
    later = {index: {"captured_at": START + timedelta(days=1, seconds=index)} for index in range(4)}
    ledger.check_identity(runs, read_drive(make_drive(drive.uri, "d3", n=4, replace=later)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frames", "per_shard", "slices"),
    [
        (0, 4, [(0, 0)]),
        (4, 4, [(0, 4)]),
        (5, 2, [(0, 2), (2, 4), (4, 5)]),
        (80, 512, [(0, 32), (32, 64), (64, 80)]),  # the least shard
        (400, 512, [(i, i + 50) for i in range(0, 400, 50)]),  # eight shards
        (400, 200, [(i, i + 50) for i in range(0, 400, 50)]),
        (4000, 200, [(i, i + 200) for i in range(0, 4000, 200)]),
    ],
)
def test_shards_cover_every_frame_once(
    tmp_path: Path, frames: int, per_shard: int, slices: list[tuple[int, int]]
) -> None:
    drive = read_drive(make_drive(str(tmp_path / "d"), n=frames, images=dict.fromkeys(range(frames))))
    assert [(shard.start, shard.stop) for shard in ledger.plan(drive, "k", per_shard)] == slices


def test_a_damaged_commit_is_scanned_again_and_gives_way(warehouse: Warehouse, drive: Drive) -> None:
    """Any byte of a commit changed: its counts and files are what they were, or it counts as none."""
    key = ledger.run_key(drive, "m", "config")
    (shard,) = ledger.plan(drive, key, 512)
    frames = frames_table(drive, ["ok"] * 3 + ["quarantined"], key)
    made = ledger.commit(warehouse, shard, OBSERVATIONS.empty_table(), frames)
    whole = warehouse.store.read(shard.commit_key)
    for at in range(len(whole)):
        other = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        warehouse.store.write(shard.commit_key, other)
        assert ledger.commits(warehouse, key) in ({}, {0: made}), other
    warehouse.store.write(shard.commit_key, whole[:-10])
    again = ledger.commit(warehouse, shard, OBSERVATIONS.empty_table(), frames)
    assert ledger.commits(warehouse, key) == {0: again}


@pytest.mark.parametrize("changed", [{"ok": 3}, {"detections": 1}, {"files": []}])
def test_a_commit_whose_files_have_other_rows_than_it_says_is_refused(
    warehouse: Warehouse, drive: Drive, changed: dict[str, Any]
) -> None:
    """Of an earlier version, which wrote no digest."""
    key = ledger.run_key(drive, "m", "config")
    shards = ledger.plan(drive, key, 512)
    ledger.commit(warehouse, shards[0], OBSERVATIONS.empty_table(), frames_table(drive, ["ok"] * 4, key))
    tree = json.loads(warehouse.store.read(shards[0].commit_key))
    del tree["sha256"]
    warehouse.store.write(shards[0].commit_key, json.dumps({**tree, **changed}).encode())
    with pytest.raises(WarehouseError, match=r"its files have .* expected"):
        ledger.collect(warehouse, drive, shards, "m")
