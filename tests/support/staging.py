"""What scans have staged in a warehouse, and published."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from roadscan.storage import Store
from roadscan.warehouse import Warehouse
from support.commands import PROGRAM, roadscan, sets


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


def go_on(killed: str, before: set[str], calm: str, summary: Path, **fields: object) -> dict[str, Any]:
    """Run a scan again that was killed after these commits: what it wrote of that in its summary.

    Its rows are those of a scan into the warehouse `calm` that nobody disturbs.
    """
    again = roadscan("scan", *sets(warehouse=killed, summary=summary, **fields))
    assert again.returncode == 0, again.stderr
    told: dict[str, Any] = json.loads(summary.read_text())
    assert told["shards_resumed"] >= len(before)
    undisturbed = roadscan("scan", *sets(warehouse=calm, **fields))
    assert undisturbed.returncode == 0, undisturbed.stderr
    assert logical_rows(killed) == logical_rows(calm)
    return told
