"""Training: the loop of one worker, and Ray Train, which starts many."""

from typing import TYPE_CHECKING

from roadscan.lazy import lazy_exports

if TYPE_CHECKING:
    from roadscan.train.config import TrainConfig
    from roadscan.train.result import TrainSummary
    from roadscan.train.run import run_train

__all__ = ["TrainConfig", "TrainSummary", "run_train"]

if not TYPE_CHECKING:  # as in roadscan/__init__.py
    __getattr__ = lazy_exports(__name__, {"config": ["TrainConfig"], "result": ["TrainSummary"], "run": ["run_train"]})
