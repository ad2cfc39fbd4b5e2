"""Which shards a process has died of: a mark is left before a shard is scanned, and crossed out when that is over.

A process that dies leaves its mark as it is: whoever takes the shard next, on whatever machine, learns of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from roadscan.errors import Conflict
from roadscan.scan.ledger import Shard
from roadscan.storage import Store

TRIES = 3  # of a shard in one scan: what kills a process though its images are decoded apart would do so for ever
OVER = b"over"
Stage = Literal["scan", "decode"]


@contextmanager
def attempt(store: Store, shard: Shard, scan_id: str, stage: Stage = "scan") -> Iterator[int]:
    """A block in which a shard is scanned, or decoded for another process -> which try of it this is, from 1.

    Args:
        store: the warehouse's.
        shard: the shard.
        scan_id: of the run. What earlier runs left, perhaps as they were killed, counts as one try.
        stage: what is done with it.
    """
    key = f"{shard.commit_key.removesuffix('.json')}.{stage}"
    number = 1
    try:
        store.create(key, _mark(scan_id, number))
    except Conflict:
        standing = store.read(key).split()
        if standing[0] != OVER:
            number = 1 + (int(standing[1]) if standing[0] == scan_id.encode() else 1)
        store.write(key, _mark(scan_id, number))
    try:
        yield number
    finally:
        store.write(key, OVER)


def _mark(scan_id: str, number: int) -> bytes:
    """A mark that is no other one: to a store the same bytes are the same write."""
    return f"{scan_id} {number} {secrets.token_hex(4)}".encode()
