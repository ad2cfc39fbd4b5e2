"""The nightly job: what drives are new, a lease, the scan, the register, one release and one summary a night."""

from typing import TYPE_CHECKING

from roadscan.lazy import lazy_exports

if TYPE_CHECKING:
    from roadscan.nightly.config import NightlyConfig
    from roadscan.nightly.dates import nights_of
    from roadscan.nightly.run import run_nightly
    from roadscan.nightly.summary import NightlySummary, NightSummary

__all__ = ["NightSummary", "NightlyConfig", "NightlySummary", "nights_of", "run_nightly"]

if not TYPE_CHECKING:  # as in roadscan/__init__.py
    __getattr__ = lazy_exports(
        __name__,
        {
            "config": ["NightlyConfig"],
            "dates": ["nights_of"],
            "run": ["run_nightly"],
            "summary": ["NightSummary", "NightlySummary"],
        },
    )
