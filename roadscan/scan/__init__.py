"""The scan: from survey drives in object storage to committed observations."""

from typing import TYPE_CHECKING

from roadscan.lazy import lazy_exports

if TYPE_CHECKING:
    from roadscan.scan.config import ScanConfig
    from roadscan.scan.plan import ScanPlan, plan_scan
    from roadscan.scan.run import ScanSummary, run_scan

__all__ = ["ScanConfig", "ScanPlan", "ScanSummary", "plan_scan", "run_scan"]

if not TYPE_CHECKING:  # as in roadscan/__init__.py
    __getattr__ = lazy_exports(
        __name__, {"config": ["ScanConfig"], "plan": ["ScanPlan", "plan_scan"], "run": ["ScanSummary", "run_scan"]}
    )
