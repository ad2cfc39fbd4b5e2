"""Ablations: what a loss is worth, over sizes of network and seeds, with how sure that is."""

from typing import TYPE_CHECKING

from roadscan.lazy import lazy_exports

if TYPE_CHECKING:
    from roadscan.ablate.config import AblateConfig
    from roadscan.ablate.run import AblationSummary, plan_ablation, run_ablation

__all__ = ["AblateConfig", "AblationSummary", "plan_ablation", "run_ablation"]

if not TYPE_CHECKING:  # as in roadscan/__init__.py
    __getattr__ = lazy_exports(
        __name__, {"config": ["AblateConfig"], "run": ["AblationSummary", "plan_ablation", "run_ablation"]}
    )
