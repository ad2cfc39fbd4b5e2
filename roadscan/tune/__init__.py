"""Sweeps: which loss, which size of network, which learning rate a department should train with."""

from typing import TYPE_CHECKING

from roadscan.lazy import lazy_exports

if TYPE_CHECKING:
    from roadscan.tune.config import TuneConfig
    from roadscan.tune.plan import plan_sweep
    from roadscan.tune.results import TuneSummary
    from roadscan.tune.run import run_tune

__all__ = ["TuneConfig", "TuneSummary", "plan_sweep", "run_tune"]

if not TYPE_CHECKING:  # as in roadscan/__init__.py
    __getattr__ = lazy_exports(
        __name__, {"config": ["TuneConfig"], "plan": ["plan_sweep"], "results": ["TuneSummary"], "run": ["run_tune"]}
    )
