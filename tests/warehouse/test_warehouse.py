from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from roadscan.disk import read_regular
from roadscan.errors import Conflict, StorageError, WarehouseError
from roadscan.schemas import RUNS
from roadscan.warehouse import Change, Release, Warehouse
from roadscan.warehouse import warehouse as module


def runs(drive_id: str, frames: int = 1) -> pa.Table:
    row = {
        "drive_id": drive_id,
        "drive_uri": "u",
        "drive_sha256": "s",
        "run_key": "k",
        "frames": frames,
        "frames_ok": frames,
        "frames_quarantined": 0,
    }
    row |= {"frames_failed": 0, "observations": 0, "model_sha256": "m", "code_version": "v"}
    return pa.Table.from_pylist([{**row, "finished_at": datetime(2026, 1, 1, tzinfo=UTC)}], RUNS)


def add(warehouse: Warehouse, drive_id: str, frames: int = 1) -> Release:
    file = warehouse.write("runs", runs(drive_id, frames))

    def change(release: Release) -> Change:
        old = warehouse.files(release, "runs", drive_id=drive_id)
        return Change(f"add {drive_id}", (file,), tuple(old))

    return warehouse.publish(change)


def drives(warehouse: Warehouse, release: Release) -> list[str]:
    return sorted(warehouse.read(release, "runs")["drive_id"].to_pylist())


def test_an_empty_warehouse_has_empty_tables(warehouse: Warehouse) -> None:
    release = warehouse.current()
    assert release == Release()
    assert warehouse.read(release, "runs").schema == RUNS
    assert warehouse.read(release, "runs").num_rows == 0


def test_a_file_is_invisible_until_it_is_published(warehouse: Warehouse) -> None:
    warehouse.write("runs", runs("lost"))
    add(warehouse, "a")
    assert drives(warehouse, warehouse.current()) == ["a"]


def test_a_drive_is_replaced_and_older_releases_stay(warehouse: Warehouse) -> None:
    first = add(warehouse, "a", frames=1)
    between = datetime.now(UTC)
    add(warehouse, "b")
    last = add(warehouse, "a", frames=7)
    assert (first.number, last.number) == (1, 3)
    assert drives(warehouse, last) == ["a", "b"]
    assert warehouse.read(last, "runs", drive_id="a", columns=["frames"]).to_pylist() == [{"frames": 7}]
    assert warehouse.as_of(between) == first
    with pytest.raises(WarehouseError, match="nothing was published"):
        warehouse.as_of(datetime(2020, 1, 1, tzinfo=UTC))


def test_publishers_at_the_same_time_all_get_in(warehouse: Warehouse) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: add(warehouse, name), "abcdefgh"))
    assert warehouse.current().number == 8
    assert drives(warehouse, warehouse.current()) == list("abcdefgh")


def test_a_change_that_changes_nothing_publishes_nothing(warehouse: Warehouse) -> None:
    add(warehouse, "a")
    assert warehouse.publish(lambda _: None).number == 1


def test_a_publisher_that_always_loses_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse, other = Warehouse(str(tmp_path)), Warehouse(str(tmp_path))
    monkeypatch.setattr(module, "PUBLISH_TRIES", 3)

    def slow(release: Release) -> Change:
        add(other, f"x{release.number}")
        return Change("too late")

    with pytest.raises(Conflict, match="3 times"):
        warehouse.publish(slow)


def test_a_crash_at_any_write_leaves_the_release_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = Warehouse(str(tmp_path))
    before = add(warehouse, "a")
    real = os.fsync
    for survivors in range(4):  # the data file, the table's log, the release, the pointer
        left = [survivors]

        def dying(file: int, left: list[int] = left) -> None:
            if not left[0]:
                raise OSError(errno.EIO, "the power went out")
            left[0] -= 1
            real(file)

        monkeypatch.setattr(os, "fsync", dying)
        with pytest.raises(StorageError, match="power"):
            add(warehouse, "b")
        monkeypatch.setattr(os, "fsync", real)
        assert warehouse.current() == before
        assert drives(warehouse, warehouse.current()) == ["a"]
    add(warehouse, "b")
    assert drives(warehouse, warehouse.current()) == ["a", "b"]


def test_a_damaged_file_is_noticed(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    (file,) = warehouse.files(add(warehouse, "a"), "runs")
    path = tmp_path / file.path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(StorageError, match="sha256"):
        warehouse.read(warehouse.current(), "runs")


def test_a_pointer_that_is_no_pointer_is_named(tmp_path: Path) -> None:
    (tmp_path / "current.json").write_text("hello")
    with pytest.raises(WarehouseError, match=r"current\.json.*not a release pointer"):
        Warehouse(str(tmp_path)).current()


@pytest.mark.s3
def test_files_from_a_store_are_kept_on_this_machine(
    s3: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    warehouse = Warehouse(f"s3://warehouse/{tmp_path.name}")
    files = warehouse.files(add(warehouse, "a"), "runs")
    (path,) = warehouse.local_files(files)
    assert path.parent == tmp_path / "roadscan" / "data"
    before, looked_at = path.stat(), list[Path]()

    def noted(path: Path, max_bytes: int) -> bytes:
        looked_at.append(path)
        return read_regular(path, max_bytes)

    monkeypatch.setattr("roadscan.warehouse.cache.read_regular", noted)
    assert warehouse.local_files(files) == [path]
    assert looked_at == []
    os.utime(path)  # as a backup that is put back leaves it
    assert warehouse.local_files(files) == [path]
    assert looked_at == [path]
    assert path.stat().st_ino == before.st_ino  # not fetched again


@pytest.mark.s3
def test_a_copy_that_was_damaged_is_fetched_again(s3: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    warehouse = Warehouse(f"s3://warehouse/{tmp_path.name}")
    files = warehouse.files(add(warehouse, "a"), "runs")
    (path,) = warehouse.local_files(files)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:100] + bytes([whole[100] ^ 1]) + whole[101:], b"", whole + b"x"):
        path.write_bytes(damaged)
        assert warehouse.local_files(files) == [path]
        assert path.read_bytes() == whole
