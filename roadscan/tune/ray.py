"""A sweep on a Ray cluster: Ray Tune runs the trials, each a Ray Train run with workers of its own.

Tune asks the sweep for trials and tells it what they report. All that has to outlive the driver is in the sweep's study
and in the trials' own checkpoints: a sweep goes on in a new Tune experiment, and a trial that was under way goes on
from its last epoch.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray
import ray.tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from roadscan.dataset.read import open_draft
from roadscan.errors import RoadscanError, TrainingError
from roadscan.progress import OnProgress, Progress
from roadscan.storage import Store, arrow_filesystem, open_store, read_record
from roadscan.train.config import TrainConfig
from roadscan.train.history import HISTORY, History
from roadscan.train.initial import Initial
from roadscan.train.process_group import environment
from roadscan.train.ray import train_on_cluster
from roadscan.train.result import MODEL
from roadscan.tune.config import NETWORK_FIELDS, TuneConfig
from roadscan.tune.latency import measure_latency
from roadscan.tune.placement import SweepPlan
from roadscan.tune.results import TRIALS, trial_name
from roadscan.tune.space import options
from roadscan.tune.sweep import Sweep, TrialSpec

CONTINUE: str = TrialScheduler.CONTINUE
STOP: str = TrialScheduler.STOP
FINISHED: str = Searcher.FINISHED


def run_trials(
    sweep: Sweep, plan: SweepPlan, store: Store, initials: Mapping[str, Initial], on_progress: OnProgress
) -> None:
    """Run a sweep's trials to their end; Ray is connected.

    Args:
        sweep: gives trials, and takes what came of them.
        plan: of the cluster.
        store: the sweep's folder.
        initials: first weights of trials, by their address.
        on_progress: called with all trials so far, when one starts, ends, or has done an epoch.

    Raises:
        RoadscanError: what stopped the sweep; trials under way are left for the next driver.
    """
    runner = _TrialRunner(sweep, plan, store, on_progress)
    filesystem, path = arrow_filesystem(store.uri)
    # Trials write their own files, and progress is shown by who called: none of Tune's.
    os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0"}
    # The weights themselves: where a trial's process runs, their file need not be.
    references = {uri: ray.put(initial) for uri, initial in initials.items()}
    ray.tune.Tuner(
        # A byte, since Tune wants something: the trial's own process only waits for its workers.
        ray.tune.with_resources(ray.tune.with_parameters(_run_trial, initials=references), {"memory": 1}),
        tune_config=ray.tune.TuneConfig(
            search_alg=_SweepSearcher(runner),
            scheduler=_SweepScheduler(runner),
            num_samples=-1,  # the search says when it is finished
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=ray.tune.RunConfig(
            name="tune",
            storage_path=path,
            storage_filesystem=filesystem,
            failure_config=ray.tune.FailureConfig(max_failures=sweep.config.max_failures),
            verbose=0,
        ),
    ).fit()
    if runner.error is not None:
        raise runner.error


class _TrialRunner:
    """What Tune's searcher and scheduler share: the sweep, and which trials are under way."""

    def __init__(self, sweep: Sweep, plan: SweepPlan, store: Store, on_progress: OnProgress) -> None:
        self.error: RoadscanError | None = None
        self._sweep, self._plan, self._store, self._on_progress = sweep, plan, store, on_progress
        self._waiting: TrialSpec | None = None  # asked for, and too large for what is free
        self._running: dict[str, TrialSpec] = {}
        self._hours: dict[str, dict[int, float]] = {}  # of all workers together, by epoch

    def next_trial(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's spec; None while there is no room, ``FINISHED`` if there is none."""
        if self.error is not None:
            return FINISHED
        if not any(map(self._has_room, self._plan.placements)):
            return None
        self._waiting = self._waiting or self._sweep.next()
        if self._waiting is None:
            return FINISHED
        if not self._has_room(self._waiting.train.variant):
            return None
        trial, self._waiting = self._waiting, None
        self._running[trial_id], self._hours[trial_id] = trial, {}
        self._send_progress()
        placement = self._plan.placements[trial.train.variant]
        train = self._train_config(trial).model_dump_json()
        return {"train": train, "placement": placement, "environment": environment()}

    def on_result(self, trial_id: str, result: dict[str, Any]) -> bool:
        """What a trial reports -> whether it is to be stopped."""
        number = self._running[trial_id].number
        if self.error is not None:
            return True
        if "epoch" not in result:
            return False
        self._hours[trial_id][result["epoch"]] = result["seconds"] * result["workers"] / 3600
        metric = self._sweep.config.metric
        is_pruned = metric in result and self._sweep.report(number, result["epoch"], result[metric])
        self._send_progress()
        return is_pruned

    def on_end(self, trial_id: str, result: dict[str, Any] | None, *, error: bool) -> None:
        """Tell the sweep how a trial ended: by itself, stopped, or lost too often."""
        trial, hours = self._running.pop(trial_id), self._hours.pop(trial_id)
        if self.error is not None:
            return  # it is still under way for the next driver
        facts: dict[str, Any] = {"worker_hours": round(sum(hours.values()), 4)}
        result = result or {}
        if error:
            self._sweep.fail(trial.number, "its process was lost more than max_failures times", facts)
        elif "fatal" in result:
            self.error = result["fatal"]
        elif "failure" in result:
            self._sweep.fail(trial.number, result["failure"], facts)
        elif "model_sha256" in result:
            facts |= {"model_sha256": result["model_sha256"], "device": result["device"]}
            self._sweep.complete(trial.number, facts, self._latency_ms(trial.train))
        else:
            self._sweep.prune(trial.number, facts)
        self._send_progress()

    def _train_config(self, trial: TrialSpec) -> TrainConfig:
        name, runs = trial_name(trial.number), self._store.child(TRIALS)
        where = {"name": name, "runs": runs.uri, "out": runs.uri_of(f"{name}/{MODEL}")}
        return self._plan.placed(trial.train).model_copy(update=where)

    def _has_room(self, variant: str) -> bool:
        return self._plan.has_room([variant, *(running.train.variant for running in self._running.values())])

    def _latency_ms(self, train: TrainConfig) -> float | None:
        return self._sweep.latencies()[_network(train)] if self._sweep.config.latency else None

    def _send_progress(self) -> None:
        trials = self._sweep.rows()
        ended = sum(row.state != "running" for row in trials)
        self._on_progress(Progress("tune", ended, self._sweep.config.trials, "trials", {"trials": trials}))


class _SweepSearcher(Searcher):  # type: ignore[misc]
    """Asks the sweep for trials, on behalf of Ray Tune."""

    def __init__(self, runner: _TrialRunner) -> None:
        super().__init__()
        self._runner = runner

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        with _errors_kept(self._runner):
            return self._runner.next_trial(trial_id)
        return FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        with _errors_kept(self._runner):
            self._runner.on_end(trial_id, result, error=error)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is the record."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as for `save`."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _SweepScheduler(FIFOScheduler):  # type: ignore[misc]
    """Stops the trials that the sweep prunes, on behalf of Ray Tune."""

    def __init__(self, runner: _TrialRunner) -> None:
        super().__init__()
        self._runner = runner

    def on_trial_result(self, _: Any, trial: Any, result: dict[str, Any]) -> str:
        with _errors_kept(self._runner):
            if not self._runner.on_result(trial.trial_id, result):
                return CONTINUE
        return STOP

    def __getstate__(self) -> dict[str, Any]:
        return {}


@contextmanager
def _errors_kept(runner: _TrialRunner) -> Iterator[None]:
    """Keep an error for the end: raised here, Ray Tune would wrap it, and leave trials running."""
    try:
        yield
    except RoadscanError as error:
        runner.error = runner.error or error


def _run_trial(spec: dict[str, Any], initials: dict[str, Any]) -> None:
    """One trial, in a process that Ray Tune starts: train, report every epoch, and what came of it."""
    os.environ |= spec["environment"]
    config = TrainConfig.model_validate_json(spec["train"])
    reported = 0

    def on_progress(progress: Progress) -> None:
        report(progress.facts.get("history", []))

    def report(history: History) -> None:
        nonlocal reported
        for row in history[reported:]:
            ray.tune.report(row)
        reported = max(reported, len(history))

    try:
        initial = initials[config.initial] if config.initial else ray.put(None)
        summary = train_on_cluster(config, spec["placement"], initial, on_progress)
        # Of a run that had been finished before, nothing was heard.
        report(read_record(open_store(config.runs).child(config.name), HISTORY, History))
    except TrainingError as error:
        ray.tune.report({"failure": str(error)})
    except RoadscanError as error:
        ray.tune.report({"fatal": error})
    else:
        ray.tune.report({"model_sha256": summary.model_sha256, "device": summary.device})


def measure_latencies(config: TuneConfig, plan: SweepPlan) -> dict[str, float]:
    """A sweep's config -> milliseconds an image by network of its space, measured in turn where trials will run."""
    choices = [options(config.space[field]) if field in config.space else (None,) for field in NETWORK_FIELDS]
    found: dict[str, float] = {}
    task = open_draft(config.train.data).task
    for values in itertools.product(*choices):
        settings = {field: value for field, value in zip(NETWORK_FIELDS, values, strict=True) if field in config.space}
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
