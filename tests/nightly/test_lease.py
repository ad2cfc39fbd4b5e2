"""The lease's state machine with a clock of the test's own, on a disk and in a real S3 store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roadscan.errors import LeaseHeld, Unreachable, WarehouseError
from roadscan.nightly.lease import Lease
from roadscan.storage import Store, open_store

KEY = "leases/nightly.json"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 1, 19, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "disk":
        return open_store(tmp_path)
    request.getfixturevalue("s3")
    return open_store(f"s3://warehouse/{tmp_path.name}")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lease(store: Store, clock: Clock) -> Lease:
    return Lease(store, KEY, length_s=90, skew_s=15, now=clock)


def test_of_many_takers_exactly_one_wins(store: Store, clock: Clock) -> None:
    for _ in range(2):  # at first there is no object, then one that was released
        takers = [lease(store, clock) for _ in range(8)]
        together = threading.Barrier(len(takers))

        def take(taker: Lease, together: threading.Barrier = together) -> Lease | None:
            together.wait()
            try:
                taker.acquire()
            except LeaseHeld:
                return None
            return taker

        with ThreadPoolExecutor(len(takers)) as pool:
            (winner,) = filter(None, pool.map(take, takers))
        assert winner.lost() is None
        winner.release()


def test_a_run_that_died_is_followed_after_its_length_and_the_skew(store: Store, clock: Clock) -> None:
    dead = lease(store, clock)
    dead.acquire()
    clock.passes(90 + 15)
    with pytest.raises(LeaseHeld, match=r"another run is under way on .*leases/nightly.json ends at"):
        lease(store, clock).acquire()
    clock.passes(0.001)
    lease(store, clock).acquire()


def test_a_renewed_lease_is_not_taken(store: Store, clock: Clock) -> None:
    holder = lease(store, clock)
    holder.acquire()
    for _ in range(10):
        clock.passes(80)
        holder.renew()
        assert holder.lost() is None
        with pytest.raises(LeaseHeld):
            lease(store, clock).acquire()


def test_a_holder_whose_clock_is_behind_by_the_skew_ends_before_another_begins(store: Store, clock: Clock) -> None:
    holder = lease(store, clock)
    holder.acquire()
    ahead = Clock()
    ahead.now = clock.now + timedelta(seconds=15)
    other = Lease(store, KEY, length_s=90, skew_s=15, now=ahead)
    for _ in range(200):
        clock.passes(1)
        ahead.passes(1)
        if other.holder() is None:
            break
    assert holder.lost() == "the lease could not be renewed for 90 s"


def test_a_holder_learns_that_it_was_followed(store: Store, clock: Clock) -> None:
    slow, next_ = lease(store, clock), lease(store, clock)
    slow.acquire()
    clock.passes(106)
    next_.acquire()
    slow.renew()
    assert slow.lost() == "another run took the lease"
    slow.release()  # not its own any more
    assert next_.lost() is None
    with pytest.raises(LeaseHeld):
        lease(store, clock).acquire()


def test_a_released_lease_is_free_at_once(store: Store, clock: Clock) -> None:
    with lease(store, clock) as first:
        assert first.holder() is not None
    with lease(store, clock):
        pass


def test_a_renewal_whose_acknowledgement_was_lost_is_ones_own(tmp_path: Path, clock: Clock) -> None:
    store = open_store(tmp_path)
    holder = lease(store, clock)
    holder.acquire()
    swap = store.swap

    def deaf(key: str, data: bytes, *, tag: str) -> str:
        swap(key, data, tag=tag)
        raise Unreachable("no answer")

    store.swap = deaf  # type: ignore[method-assign]
    clock.passes(30)
    holder.renew()
    store.swap = swap  # type: ignore[method-assign]
    for _ in range(3):
        clock.passes(30)
        holder.renew()
        assert holder.lost() is None


def test_a_thread_renews_it(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with Lease(store, KEY, length_s=0.6, skew_s=0) as held:
        tags = {store.stat(KEY).tag}
        while len(tags) < 6:  # five renewals are more than its length
            tags.add(store.stat(KEY).tag)
        assert held.lost() is None


def test_something_else_in_its_place_is_told(tmp_path: Path, clock: Clock) -> None:
    store = open_store(tmp_path)
    store.write(KEY, b"{}")
    with pytest.raises(WarehouseError, match=r"not a lease \(.*\); make sure that no run is under way, and remove it"):
        lease(store, clock).acquire()
