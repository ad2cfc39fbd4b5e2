"""Releases compared, restored and let go of."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pyarrow as pa
import pytest
from support.tables import named_runs

from roadscan.errors import WarehouseError
from roadscan.schemas import REVIEWS
from roadscan.storage import Store
from roadscan.warehouse import Change, Release, Warehouse
from roadscan.warehouse import warehouse as module
from roadscan.warehouse.upkeep import Difference, difference, find_release, restore, vacuum

LATER = datetime.now(UTC) + timedelta(days=200)


def now_and_later() -> datetime:
    """The time now, after which files are written only when the disk's clock, of some milliseconds, shows it too."""
    now = datetime.now(UTC)
    time.sleep(0.1)
    return now


def put(warehouse: Warehouse, *names: str) -> Release:
    """A release whose runs are these and no others."""
    file = warehouse.write("runs", named_runs(*names))
    return warehouse.publish(lambda release: warehouse.replacement(release, [file], f"runs {names}"))


def runs(warehouse: Warehouse, release: Release) -> list[str]:
    return warehouse.read(release, "runs")["drive_id"].to_pylist()


def review(warehouse: Warehouse, asset_id: str) -> None:
    row = {"asset_id": asset_id, "action": "accept", "class": "Bus Stop", "geometry": b""}
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    table = pa.Table.from_pylist([{**row, "reviewed_at": moment, "first_seen": moment}], REVIEWS)
    file = warehouse.write("reviews", table)
    warehouse.publish(lambda _: Change("reviews", (file,)))


def test_a_difference_counts_rows_and_files(warehouse: Warehouse) -> None:
    old, new = put(warehouse, "a"), put(warehouse, "a", "b")
    assert difference(warehouse, old, new) == [Difference("runs", 1, 1, 1)]
    assert difference(warehouse, new, new) == []


def test_a_restored_release_is_the_newest_and_reviews_stay(warehouse: Warehouse) -> None:
    first = put(warehouse, "a")
    second = put(warehouse, "bad")
    review(warehouse, "x")
    restored = restore(warehouse, first.number)
    assert warehouse.current() == restored
    assert runs(warehouse, restored) == ["a"]
    assert warehouse.read(restored, "reviews")["asset_id"].to_pylist() == ["x"]
    assert runs(warehouse, find_release(warehouse, second.number)) == ["bad"]  # it may be looked at, and come back
    assert runs(warehouse, restore(warehouse, second.number)) == ["bad"]


def test_a_table_that_the_older_release_had_not_is_empty_after_its_restore(warehouse: Warehouse) -> None:
    first = warehouse.publish(lambda _: Change("empty"))
    put(warehouse, "a")
    assert runs(warehouse, restore(warehouse, first.number)) == []


def test_restoring_the_current_state_publishes_nothing(warehouse: Warehouse) -> None:
    release = put(warehouse, "a")
    assert restore(warehouse, release.number) == release


def test_a_number_that_is_no_release_is_told_with_those_there_are(warehouse: Warehouse) -> None:
    put(warehouse, "a")
    with pytest.raises(WarehouseError, match=r"got 7; .* has 1 to 1"):
        find_release(warehouse, 7)


def test_young_releases_and_files_are_kept(warehouse: Warehouse) -> None:
    releases = [put(warehouse, name) for name in "abc"]
    gone = vacuum(warehouse)
    assert (gone.releases, gone.files) == (0, 0)
    assert [runs(warehouse, one) for one in releases] == [["a"], ["b"], ["c"]]


def test_what_no_kept_release_needs_goes(warehouse: Warehouse) -> None:
    old, between, current = (put(warehouse, name) for name in "abc")
    orphan = warehouse.write("runs", named_runs("never published"))
    staged = warehouse.stage("runs", named_runs("staged"), "key/000000-runs")
    before = set(warehouse.store.keys())
    counted = vacuum(warehouse, now=LATER, dry_run=True)
    assert set(warehouse.store.keys()) == before
    assert vacuum(warehouse, now=LATER) == counted
    assert counted.releases == 2
    assert before - set(warehouse.store.keys()) >= {orphan.path, staged.path}
    assert counted.files == 4
    assert runs(Warehouse(warehouse.store.uri), warehouse.current()) == ["c"]
    assert warehouse.current() == current
    for gone in (old, between):
        with pytest.raises(WarehouseError, match="let go of"):
            find_release(warehouse, gone.number)
    assert vacuum(warehouse, now=LATER).files == 0


def test_a_release_that_is_restored_while_a_vacuum_runs_keeps_its_files(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is restored after the vacuum has decided which releases go."""
    old = put(warehouse, "a")
    put(warehouse, "b")
    other = Warehouse(warehouse.store.uri)
    delete = type(warehouse.store).delete

    def late(store: Store, key: str) -> None:
        if other.current().number == 2:
            restore(other, old.number)
        delete(store, key)

    monkeypatch.setattr(type(warehouse.store), "delete", late)
    vacuum(warehouse, now=LATER)
    assert runs(Warehouse(warehouse.store.uri), warehouse.current()) == ["a"]


def test_a_release_that_goes_while_it_is_restored_is_not_restored(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole vacuum passes after the restore has read its release and before it names its files in a log."""
    old, current = put(warehouse, "a"), put(warehouse, "b")
    create = type(warehouse.store).create

    def late(store: Store, key: str, data: bytes) -> str:
        if "_delta_log" in key:
            monkeypatch.setattr(type(warehouse.store), "create", create)
            vacuum(Warehouse(warehouse.store.uri), now=LATER)
        return create(store, key, data)

    monkeypatch.setattr(type(warehouse.store), "create", late)
    with pytest.raises(WarehouseError, match="release 1 was let go of"):
        restore(warehouse, old.number)
    reader = Warehouse(warehouse.store.uri)
    assert reader.current() == current
    assert runs(reader, current) == ["b"]
    assert runs(reader, put(reader, "c")) == ["c"]


def test_rows_that_are_published_again_while_a_vacuum_takes_their_old_file_stay(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are written after the vacuum has decided which files go, with the very bytes of one of these."""
    gone = warehouse.write("runs", named_runs("a", "b"))
    put(warehouse, "c")
    delete = type(warehouse.store).delete

    def late(store: Store, key: str) -> None:
        if key == gone.path:
            put(Warehouse(store.uri), "a", "b")
        delete(store, key)

    monkeypatch.setattr(type(warehouse.store), "delete", late)
    vacuum(warehouse, now=LATER)
    assert not warehouse.store.exists(gone.path)
    assert runs(Warehouse(warehouse.store.uri), warehouse.current()) == ["a", "b"]


def test_manifests_of_publishers_that_lost_and_commits_of_0_1_go_when_they_are_old(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(warehouse, "a")
    other, swap = Warehouse(warehouse.store.uri), type(warehouse.store).swap

    def late(store: Store, key: str, data: bytes, *, tag: str) -> str:
        monkeypatch.setattr(type(warehouse.store), "swap", swap)
        put(other, "b")
        return swap(store, key, data, tag=tag)

    monkeypatch.setattr(type(warehouse.store), "swap", late)
    put(warehouse, "c")
    warehouse.store.write("commits/key/000000.json", b"{}")
    manifests = set(warehouse.store.keys("releases/"))
    assert len(manifests) == 4  # one of them lost
    assert vacuum(warehouse).files == 0
    assert set(warehouse.store.keys("releases/")) == manifests
    vacuum(warehouse, now=LATER, days=1000)
    assert [one.number for one in warehouse.history()] == [3, 2, 1]
    assert len(list(warehouse.store.keys("releases/"))) == 3
    assert not warehouse.store.exists("commits/key/000000.json")


def test_the_history_goes_on_past_releases_that_were_let_go_of(warehouse: Warehouse) -> None:
    for name in "abc":
        put(warehouse, name)
    vacuum(warehouse, now=LATER)
    put(warehouse, "d")
    assert [one.number for one in warehouse.history()] == [4, 3]


def test_what_a_scan_has_staged_goes_as_a_whole_and_its_commits_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = Warehouse(str(tmp_path))
    put(warehouse, "a")
    for scan in ("old", "resumed"):
        warehouse.stage("runs", named_runs(scan), f"{scan}/000000-runs")
        warehouse.store.write(f"staging/{scan}/000000.json", b"{}")
    between = now_and_later()
    warehouse.store.write("staging/resumed/000001.json", b"{}")
    deleted: list[str] = []
    monkeypatch.setattr(type(warehouse.store), "delete", lambda store, key: deleted.append(key))
    vacuum(warehouse, now=between, staging_days=0)
    assert deleted[0] == "staging/old/000000.json"
    assert [key.split("/")[1] for key in deleted] == ["old", "old"]


KILLED_WHILE_WRITING = """
import os, sys
from roadscan import storage

def write(path, data):  # as storage.write_synced, to the half
    path.write_bytes(data[: len(data) // 2])
    os.kill(os.getpid(), 9)

storage.write_synced = write
storage.open_store(sys.argv[1]).write("runs/a.parquet", bytes(100))
"""


def test_what_is_left_of_a_write_that_was_killed_goes_when_it_is_old(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    put(warehouse, "a")
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = tmp_path.glob("runs/.*")
    assert vacuum(warehouse).files == 0
    gone = vacuum(warehouse, now=LATER, dry_run=True)
    assert (gone.files, gone.bytes) == (1, 50)  # the half of 100
    assert left.exists()
    vacuum(warehouse, now=LATER)
    assert not left.exists()
    assert runs(warehouse, warehouse.current()) == ["a"]


def test_a_file_that_a_kept_release_shares_with_one_that_goes_stays(warehouse: Warehouse) -> None:
    first = put(warehouse, "a")
    second = warehouse.write("runs", named_runs("b"))
    warehouse.publish(lambda _: Change("more", (second,)))
    assert vacuum(warehouse, now=LATER).releases == 1
    assert sorted(runs(warehouse, warehouse.current())) == ["a", "b"]
    assert first.number == 1


def test_what_a_publisher_under_way_has_committed_stays(warehouse: Warehouse) -> None:
    base = put(warehouse, "a")
    file = warehouse.write("runs", named_runs("soon"))
    warehouse.log("runs").commit(base.tables["runs"], [file], [], "under way")
    vacuum(warehouse, now=LATER)
    assert warehouse.store.exists(file.path)


def test_what_a_publisher_that_lost_has_committed_goes_after_the_next_release(warehouse: Warehouse) -> None:
    base = put(warehouse, "a")
    file = warehouse.write("runs", named_runs("never"))
    warehouse.log("runs").commit(base.tables["runs"], [file], [], "lost")
    put(warehouse, "b")
    vacuum(warehouse, now=LATER)
    assert not warehouse.store.exists(file.path)
    assert runs(warehouse, warehouse.current()) == ["b"]


def test_two_vacuums_and_readers_at_once_lose_nothing(warehouse: Warehouse) -> None:
    for name in "abcdef":
        put(warehouse, name)

    def read(_: int) -> list[str]:
        reader = Warehouse(warehouse.store.uri)
        return runs(reader, reader.current())

    with ThreadPoolExecutor(4) as pool:
        cleaners = [pool.submit(vacuum, Warehouse(warehouse.store.uri), now=LATER) for _ in range(2)]
        assert list(pool.map(read, range(20))) == [["f"]] * 20
        assert max(cleaner.result().releases for cleaner in cleaners) == 5
    assert runs(warehouse, warehouse.current()) == ["f"]


class LongAgo(datetime):
    """A clock that goes 200 days late."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) - timedelta(days=200)


def test_publishers_vacuums_and_readers_at_once_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old releases go while four publish, two clean up and others read the current one and a kept one."""
    uri = str(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(module, "datetime", LongAgo)
        *_, month_end = [put(Warehouse(uri), name) for name in "abc"]
    old_until = now_and_later()
    kept = put(Warehouse(uri), "c", "d")
    named = {tmp_path / file.path for one in (kept, month_end) for file in Warehouse(uri).files(one, "runs")}
    old = set(tmp_path.glob("runs/*.parquet")) - named

    def publish(number: int) -> None:
        for step in range(4):
            file = Warehouse(uri).write("runs", named_runs(f"{number}-{step}"))
            Warehouse(uri).publish(lambda _, file=file: Change("more", (file,)))  # type: ignore[misc]

    def read(_: int) -> bool:
        reader = Warehouse(uri)
        return {"c", "d"} <= set(runs(reader, reader.current())) and runs(reader, kept) == ["c", "d"]

    with ThreadPoolExecutor(8) as pool:
        publishers = [pool.submit(publish, number) for number in range(4)]
        cleaners = [pool.submit(vacuum, Warehouse(uri), now=old_until, staging_days=0) for _ in range(2)]
        assert all(pool.map(read, range(40)))
        for future in (*publishers, *cleaners):
            future.result()
    expected = {"c", "d", *(f"{number}-{step}" for number in range(4) for step in range(4))}
    assert set(runs(Warehouse(uri), Warehouse(uri).current())) == expected
    assert len(old) == 2
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in named)
