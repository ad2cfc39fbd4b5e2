from __future__ import annotations

from pathlib import Path

import pytest

from roadscan.scan.attempts import attempt
from roadscan.scan.ledger import Shard
from roadscan.storage import Store, open_store

SHARD = Shard("d", "digest", "key", 3, 0, 8)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path)


def die(store: Store, scan_id: str) -> int:
    """Begin a try as a process does that dies of it; which one it is."""
    with pytest.MonkeyPatch.context() as patch, attempt(store, SHARD, scan_id) as number:
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
