"""A training from its config to its summary: checked, placed, and trained by workers on the Ray cluster."""

from __future__ import annotations

from roadscan.cluster import connect, grows, nodes
from roadscan.progress import OnProgress, silent
from roadscan.train.check import check_training
from roadscan.train.config import TrainConfig
from roadscan.train.placement import place
from roadscan.train.result import TrainSummary


def run_train(config: TrainConfig, on_progress: OnProgress = silent) -> TrainSummary:
    """A training's config -> its summary and model file; it goes on from the run's newest checkpoint, if there is one.

    Args:
        config: the run.
        on_progress: called about once a second while it trains, from another thread.

    Raises:
        ConfigError: the cluster has no room for the workers, or the run was started with other settings.
        DeviceError: a worker holds a GPU that it cannot compute on.
        DatasetError, ModelError, StorageError: as their names say.
        TrainingError: workers were lost more often than `max_failures`, or the loss is not finite any more.
    """
    checked = check_training(config)
    connect()
    from roadscan.train.ray import train_on_cluster

    placement = place(checked.config, nodes(), grows=grows())
    return train_on_cluster(checked.config, placement, checked.initial, on_progress)
