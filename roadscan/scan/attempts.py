"""Which shards a process has died of: a mark is left before a shard is scanned, and crossed out when that is over.

A process that dies leaves its mark as it is: whoever takes the shard next, on whatever machine, learns of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from threading import BoundedSemaphore, Lock
from typing import Literal

from roadscan.errors import Conflict
from roadscan.scan.ledger import Shard
from roadscan.storage import Store

TRIES = 3  # of a shard in one scan: what kills a process though its images are decoded apart would do so for ever
OVER = b"over"
Stage = Literal["scan", "decode"]


class Room:
    """What the shards of one process share: as many at a time as it has places for, or one that has them all.

    Args:
        places: shards at a time.
    """

    def __init__(self, places: int) -> None:
        self._places, self._free, self._door = places, BoundedSemaphore(places), Lock()

    @contextmanager
    def take(self, alone: bool) -> Iterator[None]:
        """A block that has one place; or, alone, every place."""
        places = self._places if alone else 1
        with self._door:  # whoever waits for all of them is overtaken by nobody
            for _ in range(places):
                self._free.acquire()
        try:
            yield
        finally:
            self._free.release(places)


@contextmanager
def attempt(
    store: Store, shard: Shard, scan_id: str, stage: Stage = "scan",
    take: Callable[[bool], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> Iterator[int]:  # fmt: skip
    """A block in which a shard is scanned, or decoded for another process -> which try of it this is, from 1.

    Args:
        store: the warehouse's.
        shard: the shard.
        scan_id: of the run. What earlier runs left, perhaps as they were killed, counts as one try.
        stage: what is done with it.
        take: a room's. From the second try on a shard is alone in it: one that only stood beside what killed the
            process has no try counted twice.
    """
    key = f"{shard.commit_key.removesuffix('.json')}.{stage}"
    with ExitStack() as place:
        place.enter_context(take(False))
        number = _first_try(store, key, scan_id)
        if number > 1:
            place.close()
            place.enter_context(take(True))
            store.write(key, _mark(scan_id, number))
        try:
            yield number
        finally:
            store.write(key, OVER)


def _first_try(store: Store, key: str, scan_id: str) -> int:
    """Mark a shard if this is its first try -> which try this is."""
    try:
        store.create(key, _mark(scan_id, 1))
    except Conflict:
        standing = store.read(key).split()
        if standing[0] != OVER:
            return 1 + (int(standing[1]) if standing[0] == scan_id.encode() else 1)
        store.write(key, _mark(scan_id, 1))
    return 1


def _mark(scan_id: str, number: int) -> bytes:
    """A mark that is no other one: to a store the same bytes are the same write."""
    return f"{scan_id} {number} {secrets.token_hex(4)}".encode()
