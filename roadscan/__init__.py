"""roadscan: survey drives in, a register of road assets out, on a Ray cluster.

The names of this page are the public interface; everything below may move::

    import roadscan

    warehouse = roadscan.open_warehouse("s3://warehouse/highways")
    warehouse.table("assets").to_geopandas()
    warehouse.query("FROM assets_per_class").to_pandas()
    roadscan.Detector("demo").detect("frame.jpg")
    roadscan.run_scan(roadscan.load_config(roadscan.ScanConfig, "scan.yaml"))

A name is imported when it is first asked for, so ``import roadscan`` alone costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roadscan.errors import (
    AccessDenied,
    ClusterError,
    ConfigError,
    Conflict,
    DatasetError,
    DeviceError,
    LeaseHeld,
    Malformed,
    ModelError,
    NotAnImage,
    NotFound,
    OutputError,
    RoadscanError,
    StorageError,
    SurveyError,
    TooLarge,
    TooManyPixels,
    TrainingError,
    Unreachable,
    WarehouseError,
)
from roadscan.lazy import lazy_exports

if TYPE_CHECKING:
    from roadscan.api.detector import Detections, Detector
    from roadscan.api.warehouse import Release, Table, Warehouse, open_warehouse
    from roadscan.config import load_config
    from roadscan.inventory import InventoryConfig, InventorySummary, run_inventory
    from roadscan.model.slices import SliceConfig
    from roadscan.progress import Progress
    from roadscan.scan import ScanConfig, ScanSummary, run_scan
    from roadscan.survey.importers import IngestConfig, IngestSummary, ingest

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
    "Malformed",
    "ModelError",
    "NotAnImage",
    "NotFound",
    "OutputError",
    "Progress",
    "Release",
    "RoadscanError",
    "ScanConfig",
    "ScanSummary",
    "SliceConfig",
    "StorageError",
    "SurveyError",
    "Table",
    "TooLarge",
    "TooManyPixels",
    "TrainingError",
    "Unreachable",
    "Warehouse",
    "WarehouseError",
    "ingest",
    "load_config",
    "open_warehouse",
    "run_inventory",
    "run_scan",
]

if not TYPE_CHECKING:  # a type checker that saw it would take every misspelt name for granted
    __getattr__ = lazy_exports(
        __name__,
        {
            "api.detector": ["Detections", "Detector"],
            "api.warehouse": ["Release", "Table", "Warehouse", "open_warehouse"],
            "config": ["load_config"],
            "inventory": ["InventoryConfig", "InventorySummary", "run_inventory"],
            "model.slices": ["SliceConfig"],
            "progress": ["Progress"],
            "scan": ["ScanConfig", "ScanSummary", "run_scan"],
            "survey.importers": ["IngestConfig", "IngestSummary", "ingest"],
        },
    )

    def __dir__() -> list[str]:
        """The public names, also those that nobody has asked for yet."""
        return sorted({*globals(), *__all__})
