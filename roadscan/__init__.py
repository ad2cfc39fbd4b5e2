"""roadscan: survey drives in, a register of road assets out, on a Ray cluster.

The names of this page are the public interface; everything below may move::

    import roadscan

    warehouse = roadscan.open_warehouse("s3://warehouse/highways")
    warehouse.table("assets").to_geopandas()
    warehouse.query("FROM assets_per_class").to_pandas()
    roadscan.Detector("demo").detect("frame.jpg")

A name is imported when it is first asked for, so ``import roadscan`` alone costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from roadscan.errors import (
    AccessDenied,
    ClusterError,
    ConfigError,
    Conflict,
    DatasetError,
    DeviceError,
    LeaseHeld,
    ModelError,
    NotFound,
    RoadscanError,
    StorageError,
    SurveyError,
    TrainingError,
    Unreachable,
    WarehouseError,
)

if TYPE_CHECKING:
    from roadscan.api.detector import Detections, Detector
    from roadscan.api.stages import (
        IngestConfig,
        IngestSummary,
        InventoryConfig,
        InventorySummary,
        ScanConfig,
        ScanSummary,
        ingest,
        run_scan,
        update_inventory,
    )
    from roadscan.api.warehouse import Release, Table, Warehouse, open_warehouse
    from roadscan.config import load_config

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "ClusterError",
    "ConfigError",
    "Conflict",
    "DatasetError",
    "Detections",
    "Detector",
    "DeviceError",
    "IngestConfig",
    "IngestSummary",
    "InventoryConfig",
    "InventorySummary",
    "LeaseHeld",
    "ModelError",
    "NotFound",
    "Release",
    "RoadscanError",
    "ScanConfig",
    "ScanSummary",
    "StorageError",
    "SurveyError",
    "Table",
    "TrainingError",
    "Unreachable",
    "Warehouse",
    "WarehouseError",
    "ingest",
    "load_config",
    "open_warehouse",
    "run_scan",
    "update_inventory",
]

#: Where the names are that are imported when they are first asked for.
_MODULES = {
    "roadscan.api.detector": ("Detections", "Detector"),
    "roadscan.api.stages": (
        "IngestConfig", "IngestSummary", "InventoryConfig", "InventorySummary", "ScanConfig", "ScanSummary",
        "ingest", "run_scan", "update_inventory",
    ),
    "roadscan.api.warehouse": ("Release", "Table", "Warehouse", "open_warehouse"),
    "roadscan.config": ("load_config",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # a type checker that saw it would take every misspelt name for granted

    def __getattr__(name: str) -> object:
        """A public name, imported when it is first asked for (PEP 562)."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
        return value

    def __dir__() -> list[str]:
        """The public names, also those that nobody has asked for yet."""
        return sorted({*globals(), *__all__})
