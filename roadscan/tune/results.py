"""The results of a sweep: a table of its trials, pictures, the best model file, and a summary."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from roadscan.config import overrides_of
from roadscan.errors import ConfigError, TrainingError
from roadscan.report.tuning import Point, pictures
from roadscan.storage import Store, parquet_bytes
from roadscan.train.config import TrainConfig
from roadscan.train.result import MODEL
from roadscan.tune.config import TuneConfig
from roadscan.tune.space import grid_points
from roadscan.tune.sweep import Sweep, TrialRow

TABLE, BEST, SUMMARY = "trials.parquet", "best.zip", "sweep.json"
TRIALS = "trials"
Placed = Callable[[TrainConfig], TrainConfig]  # a training -> the same with the placement that it has on a cluster
GRID_POINTS = 5  # in each range, of the grid that a sweep is held against


@dataclass(frozen=True)
class TuneSummary:
    """What a sweep came to.

    Attributes:
        sweep: address of its folder.
        best: the number of the trial with the best metric, whose model file is ``best.zip`` there.
        value: its metric on the validation split.
        baseline: the best of the trials with cross-entropy, by the same metric; None if none came to an end.
        replay: the command that trains the best trial again.
        pareto: numbers of the trials that no other beats in both metric and latency, fastest first; or none.
        states: trials by state.
        devices: that trials were trained on.
        epochs: trained in all.
        worker_hours: in all, of training and not of waiting; a worker has one GPU where there are GPUs.
        unpruned_epochs: that the same trials would have had without pruning.
        grid_epochs: that a full grid would have, with 5 points in each range.
    """

    sweep: str
    best: int
    value: float
    baseline: float | None
    replay: str
    pareto: list[int]
    states: dict[str, int]
    devices: list[str]
    epochs: int
    worker_hours: float
    unpruned_epochs: int
    grid_epochs: int


def trial_name(number: int) -> str:
    """The name of a trial's run."""
    return f"trial-{number:04d}"


def write_results(sweep: Sweep, store: Store, placed: Placed) -> TuneSummary:
    """A sweep with all trials ended -> its summary; writes table, pictures and best model into its folder, too.

    Args:
        sweep: with all trials ended.
        store: its folder.
        placed: makes of a trial's training the one that ran on this cluster.

    Raises:
        TrainingError: no trial came to an end.
    """
    config, rows = sweep.config, sweep.rows()
    complete = [row for row in rows if row.state == "complete"]
    if not complete:
        failures = {row.failure for row in rows if row.failure}
        raise TrainingError(f"{store.uri}: none of {len(rows)} trials came to an end; {'; '.join(sorted(failures))}")
    best = min(complete, key=lambda row: (-_value(row), row.number))
    front = pareto_front(complete) if config.latency else []
    store.write(TABLE, parquet_bytes(table(config, rows, store, placed)))
    store.write(BEST, store.read(f"{TRIALS}/{trial_name(best.number)}/{MODEL}"))
    baselines = [_value(row) for row in complete if row.start == "baseline"]
    summary = TuneSummary(
        sweep=store.uri,
        best=best.number,
        value=_value(best),
        baseline=max(baselines, default=None),
        replay=replay(placed(config.trial(best.settings)), trial_name(best.number)),
        pareto=[row.number for row in front],
        states={state: sum(row.state == state for row in rows) for state in ("complete", "pruned", "failed")},
        devices=sorted({row.device for row in rows if row.device}),
        epochs=sum(row.epochs for row in rows),
        worker_hours=round(sum(row.worker_hours for row in rows), 3),
        unpruned_epochs=len(rows) * config.train.epochs,
        grid_epochs=grid_points(config.space, GRID_POINTS) * config.train.epochs,
    )
    for name, picture in pictures(points(config, rows, front), *sweep.importances(), config.metric).items():
        store.write(name, picture)
    store.write(SUMMARY, json.dumps(asdict(summary), indent=1, allow_nan=False).encode())
    return summary


def pareto_front(rows: list[TrialRow]) -> list[TrialRow]:
    """Complete trials -> those that no other beats in both metric and latency, fastest first; of equals the first."""
    front: list[TrialRow] = []
    for row in sorted(rows, key=lambda row: (row.latency_ms, -_value(row), row.number)):
        if not front or _value(row) > _value(front[-1]):
            front.append(row)
    return front


def replay(train: TrainConfig, name: str) -> str:
    """A trial's training -> the command that runs it again, alone: every field that is not a default.

    >>> replay(TrainConfig.model_validate({"data": "d", "loss": {"gamma": 1.5}}), "trial-0003")
    'roadscan train --set data=d --set out=trial-0003.zip --set name=trial-0003 --set loss.gamma=1.5'
    """
    wanted = train.model_copy(update={"name": name, "out": f"{name}.zip", "runs": "runs"})
    return " ".join(["roadscan train", *(f"--set {shlex.quote(one)}" for one in overrides_of(wanted))])


def table(config: TuneConfig, rows: list[TrialRow], store: Store, placed: Placed) -> pa.Table:
    """Trials -> one row each, with a column for each field of the space."""
    fields = list(dict.fromkeys([*config.space, *(field for row in rows for field in row.settings)]))
    all_settings = [config.base_settings(fields, row.settings.get("variant")) | row.settings for row in rows]
    columns: dict[str, pa.Array] = {
        "trial": pa.array([row.number for row in rows], pa.int32()),
        "state": pa.array([row.state for row in rows]),
        "start": pa.array([row.start for row in rows], pa.string()),
        config.metric: pa.array([row.value for row in rows], pa.float64()),
        "epochs": pa.array([row.epochs for row in rows], pa.int32()),
        "best_epoch": pa.array([row.best_epoch for row in rows], pa.int32()),
        "worker_hours": pa.array([row.worker_hours for row in rows], pa.float64()),
    }
    if config.latency:
        columns["latency_ms"] = pa.array([row.latency_ms for row in rows], pa.float64())
    for field in fields:
        columns[field] = _column([settings[field] for settings in all_settings])
    trials = store.child(TRIALS)
    columns["failure"] = pa.array([row.failure for row in rows], pa.string())
    columns["model_sha256"] = pa.array([row.model_sha256 for row in rows], pa.string())
    columns["run"] = pa.array([trials.uri_of(trial_name(row.number)) for row in rows])
    columns["replay"] = pa.array([_replay_of(config, row, placed) for row in rows], pa.string())
    return pa.table(columns)


def points(config: TuneConfig, rows: list[TrialRow], front: list[TrialRow]) -> list[Point]:
    """Trials -> the same as pictures take them."""
    return [
        Point(
            number=row.number,
            state=row.state,
            is_baseline=row.start == "baseline",
            is_best=row in front,
            settings={**config.base_settings([*config.space]), **row.settings},
            curve=row.curve,
            latency_ms=row.latency_ms,
        )
        for row in rows
    ]


def _replay_of(config: TuneConfig, row: TrialRow, placed: Placed) -> str | None:
    """The command of a trial; None where its settings cannot be had together."""
    try:
        return replay(placed(config.trial(row.settings)), trial_name(row.number))
    except ConfigError:
        return None


def _value(row: TrialRow) -> float:
    assert row.value is not None, "complete trials have one"
    return row.value


def _column(values: list[Any]) -> pa.Array:
    """Values -> a column: numbers as numbers, a mixture as text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        return pa.array(values, pa.int64() if kinds == {int} else pa.float64())
    return pa.array(values) if len(kinds) == 1 else pa.array([None if v is None else str(v) for v in values])
