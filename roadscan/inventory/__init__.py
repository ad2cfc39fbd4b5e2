"""From observations of many drives to a register of road assets: tables in, tables out.

    run → update: the warehouse's drives, tile by tile (tiles/)
            → build: drive/ → fuse/ → register/        one tile, a pure function of its tables
          → reviews, reference/                        what people decided, and where the kilometres are
    query, views: SQL over what was published
    explain: why one asset of it is what it is

`geometry/` serves all of them. Ray is in `tiles.ray` alone.
"""

from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.query import query
from roadscan.inventory.query.rendering import render
from roadscan.inventory.run import run_audit, run_inventory, run_tile
from roadscan.inventory.summary import InventoryAudit, InventorySummary, TileSummary
from roadscan.inventory.update import update_inventory

__all__ = [
    "InventoryAudit",
    "InventoryConfig",
    "InventorySummary",
    "TileSummary",
    "query",
    "render",
    "run_audit",
    "run_inventory",
    "run_tile",
    "update_inventory",
]
