"""From observations of many drives to a register of road assets: tables in, tables out; Ray in `launch` alone."""

from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.publish import InventorySummary, update_inventory
from roadscan.inventory.query import query, render

__all__ = ["InventoryConfig", "InventorySummary", "query", "render", "update_inventory"]
