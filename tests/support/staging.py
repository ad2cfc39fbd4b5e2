"""What scans have staged in a warehouse, and published."""

from __future__ import annotations

import time

from roadscan.storage import Store
from roadscan.warehouse import Warehouse


def commits(store: Store) -> set[str]:
    """Keys of the commits of shards."""
    return {key for key in store.keys("staging/") if key.endswith(".json")}


def logical_rows(warehouse: str) -> dict[str, list[dict[str, object]]]:
    """The rows of observations and frames that readers have, in an order of their own."""
    house = Warehouse(warehouse)
    release = house.current()
    keys = {"observations": "observation_id", "frames": "frame_id"}
    return {
        table: sorted(house.read(release, table).to_pylist(), key=lambda row, key=key: str(row[key]))  # type: ignore[misc]
        for table, key in keys.items()
    }


def wait_for_commits(warehouse: str, count: int) -> None:
    """Return as soon as so many shards are committed."""
    store = Warehouse(warehouse).store
    deadline = time.monotonic() + 120
    while len(commits(store)) < count:
        assert time.monotonic() < deadline, "no commit within two minutes"
        time.sleep(0.2)
