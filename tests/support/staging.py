"""What scans have staged in a warehouse."""

from __future__ import annotations

from roadscan.storage import Store


def commits(store: Store) -> set[str]:
    """Keys of the commits of shards."""
    return {key for key in store.keys("staging/") if key.endswith(".json")}
