"""A run's history, a row an epoch, as JSON, CSV and TensorBoard files, and in MLflow for those who have it.

Files are written anew from the whole history, and MLflow gets the epochs that it has not: a run that was interrupted
leaves no gap and no double.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from typing import Any

from tensorboardX import SummaryWriter

from roadscan.errors import ConfigError
from roadscan.evaluate.jsonable import jsonable
from roadscan.scratch import Scratch
from roadscan.storage import Store
from roadscan.train.config import TrackingConfig, TrainConfig

logger = logging.getLogger(__name__)

History = list[dict[str, Any]]
HISTORY = "history.json"
TENSORBOARD = "tensorboard/events.out.tfevents.0.roadscan"  # the name by which TensorBoard knows its files
RUN_TAG = "roadscan.run"


def write_history(history: History, config: TrainConfig, store: Store) -> None:
    """Write the history of a run into its folder, and to MLflow where the config names one.

    Args:
        history: one row an epoch, with ``epoch`` from 1; rows without validation lack its columns.
        config: the run.
        store: its folder.
    """
    store.write(HISTORY, json.dumps(jsonable(history), indent=1, allow_nan=False).encode())
    store.write("history.csv", _csv(history).encode())
    store.write(TENSORBOARD, _tensorboard(history))
    if config.tracking.mlflow_uri:
        try:
            _log_mlflow(history, config, config.tracking)
        except Exception as error:  # noqa: BLE001 - whatever ails the tracker, the training goes on
            logger.warning("MLflow at %s: %s", config.tracking.mlflow_uri, error)


def _csv(history: History) -> str:
    columns = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def _tensorboard(history: History) -> bytes:
    with Scratch("tensorboard") as scratch:
        with SummaryWriter(str(scratch.path)) as writer:
            for row in history:
                for name, value in _numbers(row).items():
                    writer.add_scalar(name, value, row["epoch"])
        return next(scratch.path.iterdir()).read_bytes()


def check_tracking(tracking: TrackingConfig) -> None:
    """Refuse what cannot be tracked before anything starts.

    Raises:
        ConfigError: MLflow is wanted, and is not installed.
    """
    if tracking.mlflow_uri:
        try:
            import mlflow  # noqa: F401
        except ImportError:
            raise ConfigError(
                "tracking.mlflow_uri: MLflow is not installed; pip install 'roadscan[mlflow]', or leave it empty"
            ) from None


def _log_mlflow(history: History, config: TrainConfig, tracking: TrackingConfig) -> None:
    """Add to the MLflow run of this name the epochs that it does not have."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking.mlflow_uri)
    experiment = client.get_experiment_by_name(tracking.experiment)
    identifier = experiment.experiment_id if experiment else client.create_experiment(tracking.experiment)
    found = client.search_runs([identifier], f"tags.`{RUN_TAG}` = '{config.name}'", max_results=1)
    run = found[0] if found else client.create_run(identifier, tags={RUN_TAG: config.name}, run_name=config.name)
    logged = max((metric.step for metric in client.get_metric_history(run.info.run_id, "lr")), default=0)
    for row in history:
        for name, value in _numbers(row).items():
            if row["epoch"] > logged:
                client.log_metric(run.info.run_id, name, value, step=row["epoch"])


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "epoch"}
