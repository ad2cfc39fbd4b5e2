from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pytest

from roadscan.scan.attempts import Room, attempt
from roadscan.scan.ledger import Shard
from roadscan.storage import Store, open_store

SHARD = Shard("d", "digest", "key", 3, 0, 8)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def die(store: Store, scan_id: str, shard: Shard = SHARD) -> int:
    """Begin a try as a process does that dies of it; which one it is."""
    with pytest.MonkeyPatch.context() as patch, attempt(store, shard, scan_id) as number:
        patch.setattr(type(store), "write", lambda *_: None)
    return number


def test_each_process_that_died_of_a_shard_counts(store: Store) -> None:
    assert [die(store, "a") for _ in range(4)] == [1, 2, 3, 4]


def test_what_ended_well_or_with_an_error_counts_no_more(store: Store) -> None:
    assert die(store, "a") == 1
    with pytest.raises(ValueError, match="wrong"), attempt(store, SHARD, "a") as second:
        raise ValueError("wrong")
    with attempt(store, SHARD, "a") as third:
        pass
    assert (second, third) == (2, 1)


def test_what_earlier_runs_died_of_counts_once(store: Store) -> None:
    for _ in range(5):
        die(store, "a")
    assert [die(store, "b"), die(store, "b")] == [2, 3]


def test_a_shard_that_is_decoded_elsewhere_counts_apart(store: Store) -> None:
    assert die(store, "a") == 1
    with attempt(store, SHARD, "a", "decode") as number:
        assert number == 1


def test_from_the_second_try_on_a_shard_is_alone_in_its_process(store: Store) -> None:
    """So that what dies with another one is counted once, however often that one kills the process."""
    other, room = Shard("d", "digest", "key", 4, 8, 16), Room(2)
    assert [die(store, "a"), die(store, "a", other)] == [1, 1]  # a process that had both under way
    inside, go_on, entered = Event(), Event(), Event()

    def deadly() -> int:
        with attempt(store, SHARD, "a", take=room.take) as number:
            inside.set()
            go_on.wait(60)
        return number

    def beside() -> int:
        with attempt(store, other, "a", take=room.take) as number:
            entered.set()
        return number

    with ThreadPoolExecutor() as threads:
        first = threads.submit(deadly)
        assert inside.wait(60)
        second = threads.submit(beside)
        assert not entered.wait(0.5)
        mark = f"{other.commit_key.removesuffix('.json')}.scan"
        assert store.read(mark).split()[1] == b"1", "counted before it began"
        go_on.set()
        assert (first.result(60), second.result(60)) == (2, 2)


def test_shards_at_their_first_try_share_a_process(store: Store) -> None:
    room, both = Room(2), Barrier(2, timeout=60)

    def scan(index: int) -> int:
        with attempt(store, Shard("d", "digest", "key", index, 0, 8), "a", take=room.take) as number:
            both.wait()
        return number

    with ThreadPoolExecutor() as threads:
        assert list(threads.map(scan, (0, 1))) == [1, 1]
