"""The register of drives, built in memory, with ids that are counted."""

from __future__ import annotations

from itertools import count

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.inventory import InventoryConfig
from roadscan.inventory.build import Built, DriveTables, build
from roadscan.schemas import ASSETS
from roadscan.taxonomy import HIGHWAY

CONFIG = InventoryConfig(warehouse="unused")


def run(*drives: DriveTables, previous: pa.Table | None = None) -> Built:
    numbers = count(0 if previous is None else 10_000)
    old = ASSETS.empty_table() if previous is None else previous
    return build(drives, old, HIGHWAY, CONFIG, lambda: f"A{next(numbers):05d}")


def confirmed(built: Built) -> pa.Table:
    return built.assets.filter(pc.equal(built.assets["state"], "confirmed"))
