"""The shell around a sweep: Ray Tune runs the trials, each a Ray Train run with workers of its own.

Tune asks the sweep for trials and tells it what they report. All that has to outlive the driver is in the sweep's study
and in the trials' own checkpoints: a sweep goes on in a new Tune experiment, and a trial that was under way goes on
from its last epoch.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
import ray.tune
from optuna.storages import JournalStorage
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from roadscan.cluster import connect, grows, nodes, refuse_lost_outputs
from roadscan.dataset.read import open_draft
from roadscan.errors import ConfigError, ModelError, RoadscanError, TrainingError
from roadscan.storage import Store, arrow_filesystem, open_store
from roadscan.train.backend import environment
from roadscan.train.check import check_data, check_fit, check_writable
from roadscan.train.config import TrainConfig
from roadscan.train.history import HISTORY, check_tracking
from roadscan.train.initial import Initial, read_initial
from roadscan.train.launch import run_placed
from roadscan.train.result import MODEL
from roadscan.tune.config import OF_NETWORK, TuneConfig
from roadscan.tune.journal import StoreJournal
from roadscan.tune.latency import measure_latency
from roadscan.tune.results import TRIALS, SweepSummary, trial_name, write_results
from roadscan.tune.room import Plan, plan_trials
from roadscan.tune.space import options
from roadscan.tune.sweep import Assignment, Sweep, TrialRow

CONTINUE: str = TrialScheduler.CONTINUE
STOP: str = TrialScheduler.STOP
FINISHED: str = Searcher.FINISHED
OnRows = Callable[[list[TrialRow]], None]


def plan_sweep(config: TuneConfig) -> Plan:
    """Look at the data, the first weights and the cluster; starts nothing but a local cluster where there is none.

    Raises:
        ConfigError: the cluster has no room for a variant; or the metric is of masks, and the labels are boxes.
        DatasetError, ModelError, StorageError: as their names say.
    """
    check_sweep(config)
    connect()
    return plan_trials(config, nodes(), grows=grows())


def check_sweep(config: TuneConfig) -> dict[str, Initial]:
    """Look at all that a sweep reads and writes, before Ray starts.

    Returns:
        The first weights of trials, by their address.

    Raises:
        RoadscanError: as `plan_sweep`, but for the cluster.
    """
    check_tracking(config.train.tracking)
    refuse_lost_outputs({"sweeps": config.sweeps}, os.environ)
    check_writable("sweeps", open_store(config.sweeps))
    draft = check_data(config.train.data)
    if config.metric.startswith("mask") and draft.task != "segment":
        raise ConfigError(f"metric: got {config.metric}, but {config.train.data} is labelled for {draft.task}")
    found: dict[str, Initial] = {}
    for variant in config.variants:
        train = config.trial({"variant": variant})
        for uri in _starts_from(config, train):
            found[uri] = found.get(uri) or read_initial(uri)
            try:
                check_fit(found[uri], draft, train)
            except ModelError as error:
                raise ModelError(f"variant {variant}: {error}") from None
    return found


def _starts_from(config: TuneConfig, train: TrainConfig) -> list[str]:
    """Addresses of first weights that trials like this one may have."""
    choices = options(config.space["initial"]) if "initial" in config.space else (train.initial,)
    return [str(uri) for uri in choices if uri is not None]


def run_sweep(config: TuneConfig, on_rows: OnRows | None = None) -> SweepSummary:
    """Run all trials that are still to be run, and write the results.

    Args:
        config: the sweep.
        on_rows: called with all trials so far, when one starts, ends, or has done an epoch.

    Raises:
        ConfigError: the sweep was started with other settings; and what `plan_sweep` raises.
        TrainingError: another driver goes on with the sweep, or no trial came to an end.
    """
    initials = check_sweep(config)
    store = open_store(config.sweeps).child(config.name)
    # Absolute: trials have folders of their own.
    data = open_store(config.train.data).uri
    config = config.model_copy(update={"train": config.train.model_copy(update={"data": data})})
    connect()
    plan = plan_trials(config, nodes(), grows=grows())
    sweep = Sweep(config, JournalStorage(StoreJournal(store)))
    if config.latency and not sweep.latencies():
        sweep.set_latencies(_latencies(config, plan))
    run = _Run(sweep, plan, store, on_rows or (lambda _: None))
    filesystem, path = arrow_filesystem(store.uri)
    # Trials write their own files, and progress is shown by who called: none of Tune's.
    os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"}
    # The weights themselves: where a trial's process runs, their file need not be.
    references = {uri: ray.put(initial) for uri, initial in initials.items()}
    ray.tune.Tuner(
        # A byte, since Tune wants something: the trial's own process only waits for its workers.
        ray.tune.with_resources(ray.tune.with_parameters(_run_trial, initials=references), {"memory": 1}),
        tune_config=ray.tune.TuneConfig(
            search_alg=_Search(run),
            scheduler=_Pruning(run),
            num_samples=-1,  # the search says when it is finished
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=ray.tune.RunConfig(
            name="tune",
            storage_path=path,
            storage_filesystem=filesystem,
            failure_config=ray.tune.FailureConfig(max_failures=config.max_failures),
            verbose=0,
        ),
    ).fit()
    if run.error is not None:
        raise run.error
    return write_results(sweep, store, plan.settle)


class _Run:
    """What Tune's two sides share: the sweep, and which trials are under way."""

    def __init__(self, sweep: Sweep, plan: Plan, store: Store, on_rows: OnRows) -> None:
        self.error: RoadscanError | None = None
        self._sweep, self._plan, self._store, self._on_rows = sweep, plan, store, on_rows
        self._held: Assignment | None = None  # asked for, and too large for what is free
        self._running: dict[str, Assignment] = {}
        self._hours: dict[str, dict[int, float]] = {}  # of all workers together, by epoch

    def start(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's spec; None while there is no room, ``FINISHED`` if there is none."""
        if self.error is not None:
            return FINISHED
        if not any(map(self._has_room, self._plan.placements)):
            return None
        self._held = self._held or self._sweep.next()
        if self._held is None:
            return FINISHED
        if not self._has_room(self._held.train.variant):
            return None
        assignment, self._held = self._held, None
        self._running[trial_id], self._hours[trial_id] = assignment, {}
        self._show()
        placement = self._plan.placements[assignment.train.variant]
        train = self._kept_in_sweep(assignment).model_dump_json()
        return {"train": train, "placement": placement, "environment": environment()}

    def take(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Take in what a trial reports; whether it is to be stopped."""
        number = self._running[trial_id].number
        if self.error is not None:
            return True
        if "epoch" not in result:
            return False
        self._hours[trial_id][result["epoch"]] = result["seconds"] * result["workers"] / 3600
        metric = self._sweep.config.metric
        give_up = metric in result and self._sweep.report(number, result["epoch"], result[metric])
        self._show()
        return give_up

    def end(self, trial_id: str, result: dict[str, Any] | None, *, error: bool) -> None:
        """A trial has ended, was stopped, or was lost too often."""
        assignment, hours = self._running.pop(trial_id), self._hours.pop(trial_id)
        if self.error is not None:
            return  # it is still under way for the next driver
        facts: dict[str, Any] = {"worker_hours": round(sum(hours.values()), 4)}
        result = result or {}
        if error:
            self._sweep.fail(assignment.number, "its process was lost more than max_failures times", facts)
        elif "fatal" in result:
            self.error = result["fatal"]
        elif "failure" in result:
            self._sweep.fail(assignment.number, result["failure"], facts)
        elif "model_sha256" in result:
            facts |= {"model_sha256": result["model_sha256"], "device": result["device"]}
            self._sweep.complete(assignment.number, facts, self._latency_ms(assignment.train))
        else:
            self._sweep.prune(assignment.number, facts)
        self._show()

    def _kept_in_sweep(self, assignment: Assignment) -> TrainConfig:
        name, runs = trial_name(assignment.number), self._store.child(TRIALS)
        where = {"name": name, "runs": runs.uri, "out": runs.uri_of(f"{name}/{MODEL}")}
        return self._plan.settle(assignment.train).model_copy(update=where)

    def _has_room(self, variant: str) -> bool:
        return self._plan.has_room([variant, *(running.train.variant for running in self._running.values())])

    def _latency_ms(self, train: TrainConfig) -> float | None:
        return self._sweep.latencies()[_network(train)] if self._sweep.config.latency else None

    def _show(self) -> None:
        self._on_rows(self._sweep.rows())


class _Search(Searcher):  # type: ignore[misc]
    """Asks the sweep for trials, on behalf of Ray Tune."""

    def __init__(self, run: _Run) -> None:
        super().__init__()
        self._run = run

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        with _kept(self._run):
            return self._run.start(trial_id)
        return FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        with _kept(self._run):
            self._run.end(trial_id, result, error=error)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is the record."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as for `save`."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Pruning(FIFOScheduler):  # type: ignore[misc]
    """Stops the trials that the sweep gives up, on behalf of Ray Tune."""

    def __init__(self, run: _Run) -> None:
        super().__init__()
        self._run = run

    def on_trial_result(self, _: Any, trial: Any, result: dict[str, Any]) -> str:
        with _kept(self._run):
            if not self._run.take(trial.trial_id, result):
                return CONTINUE
        return STOP

    def __getstate__(self) -> dict[str, Any]:
        return {}


@contextmanager
def _kept(run: _Run) -> Iterator[None]:
    """Keep an error for the end: raised here, Ray Tune would wrap it, and leave trials running."""
    try:
        yield
    except RoadscanError as error:
        run.error = run.error or error


def _run_trial(spec: dict[str, Any], initials: dict[str, Any]) -> None:
    """One trial, in a process that Ray Tune starts: train, report every epoch, and what came of it."""
    os.environ |= spec["environment"]
    config = TrainConfig.model_validate_json(spec["train"])
    reported = 0

    def report(history: list[dict[str, Any]]) -> None:
        nonlocal reported
        for row in history[reported:]:
            ray.tune.report(row)
        reported = max(reported, len(history))

    try:
        initial = initials[config.initial] if config.initial else ray.put(None)
        summary = run_placed(config, spec["placement"], initial, on_history=report)
        # Of a run that had been finished before, nothing was heard.
        report(json.loads(open_store(config.runs).child(config.name).read(HISTORY)))
    except TrainingError as error:
        ray.tune.report({"failure": str(error)})
    except RoadscanError as error:
        ray.tune.report({"fatal": error})
    else:
        ray.tune.report({"model_sha256": summary.model_sha256, "device": summary.device})


def _latencies(config: TuneConfig, plan: Plan) -> dict[str, float]:
    """Of every network in the space, measured one after another, where trials will run."""
    choices = [options(config.space[field]) if field in config.space else (None,) for field in OF_NETWORK]
    found: dict[str, float] = {}
    task = open_draft(config.train.data).task
    for values in itertools.product(*choices):
        settings = {field: value for field, value in zip(OF_NETWORK, values, strict=True) if field in config.space}
        train = config.trial(settings)
        placement = plan.placements[train.variant]
        measure = ray.remote(measure_latency).options(
            num_cpus=placement.cpus, num_gpus=placement.gpus, runtime_env={"env_vars": environment()}
        )
        network = (task, train.variant, train.activation, train.image_size_px)
        found[_network(train)] = ray.get(measure.remote(*network, placement.cpus, holds_gpu=placement.gpus > 0))
    return found


def _network(train: TrainConfig) -> str:
    return f"{train.variant} {train.activation} {train.image_size_px}"
