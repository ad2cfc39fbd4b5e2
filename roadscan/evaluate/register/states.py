"""What a score looks at in a warehouse: assets by their state, and the drives of a release."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.warehouse import Release, Warehouse

STANDING = ("confirmed", "suspect")  # states of what the register holds to stand; a suspect was missed by one drive
REGISTERED = (*STANDING, "missing")


def in_state(assets: pa.Table, states: Sequence[str]) -> pa.Table:
    """The rows of `schemas.ASSETS` in one of some states."""
    return assets.filter(pc.is_in(assets["state"], pa.array(states, pa.string())))


def drive_ids(warehouse: Warehouse, release: Release) -> list[str]:
    """The drives whose observations a release has."""
    drives: list[str] = warehouse.read(release, "runs", columns=["drive_id"])["drive_id"].to_pylist()
    return drives
