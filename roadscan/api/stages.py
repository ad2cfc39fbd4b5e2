"""The stages from images to the register as functions: `roadscan ingest`, `scan` and `inventory` without a terminal."""

from __future__ import annotations

from roadscan.inventory import InventoryConfig, InventorySummary
from roadscan.inventory.run import run_inventory
from roadscan.scan.config import ScanConfig
from roadscan.scan.run import ScanSummary, run_scan
from roadscan.survey.importers import IngestConfig, IngestSummary, ingest

__all__ = [
    "IngestConfig", "IngestSummary", "InventoryConfig", "InventorySummary", "ScanConfig", "ScanSummary",
    "ingest", "run_scan", "update_inventory",
]  # fmt: skip


def update_inventory(config: InventoryConfig) -> InventorySummary:
    """Make the register of all drives that a warehouse holds. Called again, it changes nothing.

    Raises:
        RoadscanError: the warehouse cannot be read or written, or another run published in the meantime.
    """
    return run_inventory(config)
