"""A run's epochs where people look for them: JSON, CSV, TensorBoard, and MLflow for those who have it.

Everything is written anew from the whole history, so a run that was interrupted leaves no gap and no double.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from roadscan.errors import ConfigError
from roadscan.storage import Store
from roadscan.train.config import TrackingConfig, TrainConfig

History = list[dict[str, Any]]
TENSORBOARD = "tensorboard/events.out.tfevents.0.roadscan"  # the name by which TensorBoard knows its files
RUN_TAG = "roadscan.run"


def write_history(history: History, config: TrainConfig, store: Store) -> None:
    """Write the history of a run.

    Args:
        history: one row an epoch, with ``epoch`` from 1; rows without validation lack its columns.
        config: the run.
        store: its folder.
    """
    store.write("history.json", json.dumps(history, indent=1).encode())
    store.write("history.csv", _csv(history).encode())
    store.write(TENSORBOARD, _tensorboard(history))
    if config.tracking.mlflow_uri:
        _log_mlflow(history[-1], config, config.tracking)


def _csv(history: History) -> str:
    columns = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def _tensorboard(history: History) -> bytes:
    with tempfile.TemporaryDirectory(prefix="roadscan-tensorboard-") as folder:
        with SummaryWriter(folder) as writer:
            for row in history:
                for name, value in _numbers(row).items():
                    writer.add_scalar(name, value, row["epoch"])
        return next(Path(folder).iterdir()).read_bytes()


def _log_mlflow(row: dict[str, Any], config: TrainConfig, tracking: TrackingConfig) -> None:
    """Add one epoch to the MLflow run of this name."""
    try:
        from mlflow import MlflowClient  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise ConfigError("tracking.mlflow_uri: MLflow is not installed; pip install mlflow-skinny") from None
    client = MlflowClient(tracking_uri=tracking.mlflow_uri)
    experiment = client.get_experiment_by_name(tracking.experiment)
    identifier = experiment.experiment_id if experiment else client.create_experiment(tracking.experiment)
    found = client.search_runs([identifier], f"tags.`{RUN_TAG}` = '{config.name}'", max_results=1)
    run = found[0] if found else client.create_run(identifier, tags={RUN_TAG: config.name}, run_name=config.name)
    for name, value in _numbers(row).items():
        client.log_metric(run.info.run_id, name, value, step=row["epoch"])


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "epoch"}
