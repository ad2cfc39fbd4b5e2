"""What scans have staged in a warehouse, and published."""

from __future__ import annotations

import signal
import subprocess
import time

from roadscan.storage import Store
from roadscan.warehouse import Warehouse
from support.commands import PROGRAM, sets


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


def kill_a_scan(warehouse: str, after: int, **fields: object) -> set[str]:
    """Start a scan, and kill it once so many shards are committed -> the keys of their commits."""
    process = subprocess.Popen(
        [PROGRAM, "scan", *sets(warehouse=warehouse, **fields)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for_commits(warehouse, after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return commits(Warehouse(warehouse).store)
