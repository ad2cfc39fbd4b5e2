"""A sweep as an Optuna study: what to try next, what to prune, what came of it. Knows nothing of Ray or of training.

The study is the sweep's only record, so whoever opens it again goes on: with the trials that were under way, by their
numbers, and then with new ones. A trial that is pruned enters the study as pruned, with all that it reported. As
complete, its score so far would stand beside those of whole trainings.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import optuna
from optuna.pruners import BasePruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from roadscan.errors import ConfigError
from roadscan.model.bundle import Variant
from roadscan.parsing import read_json
from roadscan.train.config import TrainConfig
from roadscan.train.state import check_identity
from roadscan.tune.config import TuneConfig
from roadscan.tune.space import Settings, params_of, suggest

optuna.logging.set_verbosity(optuna.logging.WARNING)

Start = Literal["baseline", "published"]
BASELINE: Start = "baseline"
PUBLISHED: Start = "published"
FEWEST_COMPARED = 30  # trials from which importances mean something
BEST_SHARE = 0.25  # of the trials, whose settings importances explain
State = Literal["complete", "pruned", "failed", "running"]
STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}  # fmt: skip


@dataclass(frozen=True)
class TrialSpec:
    """A trial to run.

    Attributes:
        number: from 0, in the order in which trials were made.
        settings: what it differs in, by dotted field of the training config.
        train: its training, but for where it is kept.
    """

    number: int
    settings: Settings
    train: TrainConfig


@dataclass(frozen=True)
class TrialRow:
    """What is known of a trial, started or ended.

    Attributes:
        number: as of `TrialSpec`.
        state: pruned was ended early, after `epochs`; failed has a `failure`.
        start: the name of the known good settings that it has; None where the search chose them.
        settings: as of `TrialSpec`.
        curve: by epoch, the best of the sweep's metric up to then.
        latency_ms: of its network, where that was searched, too.
        worker_hours: of its workers, training and not waiting.
        failure: why it failed.
        model_sha256: of the model file that it left.
        device: that it was trained on; None while it runs.
    """

    number: int
    state: State
    start: Start | None
    settings: Settings
    curve: dict[int, float]
    latency_ms: float | None
    worker_hours: float
    failure: str | None
    model_sha256: str | None
    device: str | None = None

    @property
    def epochs(self) -> int:
        """Epochs done, up to the last that was measured."""
        return max(self.curve, default=0)

    @property
    def value(self) -> float | None:
        """The best of the metric so far."""
        return self.curve[self.epochs] if self.curve else None

    @property
    def best_epoch(self) -> int:
        """The epoch with `value`; 0 before the first."""
        return min((epoch for epoch in self.curve if self.curve[epoch] == self.value), default=0)


class Sweep:
    """The study of a sweep, as its one driver uses it."""

    def __init__(self, config: TuneConfig, storage: BaseStorage) -> None:
        """Open the study, or make it.

        Raises:
            ConfigError: the sweep of this name was started with other settings.
        """
        self.config = config
        directions: list[Literal["maximize", "minimize"]] = ["maximize", "minimize"] if config.latency else ["maximize"]
        self._study = optuna.create_study(
            storage=storage, study_name=config.name, directions=directions, pruner=_pruner(config), load_if_exists=True
        )
        identity = read_json(json.dumps(config.identity()))
        if "identity" not in self._study.user_attrs:
            self._study.set_user_attr("identity", identity)
        check_identity(self._study.user_attrs["identity"], identity, "sweep")
        self._open: dict[int, optuna.Trial] = {}
        self._curves: dict[int, dict[int, float]] = {}  # of those open: by epoch, the best up to then
        self._enqueue()

    def latencies(self) -> dict[str, float]:
        """Milliseconds by network, as `set_latencies` was given them; empty before."""
        return dict(self._study.user_attrs.get("latency_ms", {}))

    def set_latencies(self, latency_ms: Mapping[str, float]) -> None:
        """Keep what was measured, so that all trials are held against the same."""
        self._study.set_user_attr("latency_ms", dict(latency_ms))

    def next(self) -> TrialSpec | None:
        """The next trial to run; None if all have been made."""
        while (trial := self._next_trial()) is not None:
            self._open[trial.number] = trial
            self._curves[trial.number] = self._curve(self._frozen(trial.number))
            settings = self._settings(trial)
            try:
                return TrialSpec(trial.number, settings, self.config.trial(settings))
            except ConfigError as error:  # each field may have its value, but not all together
                self.fail(trial.number, str(error), {})
        return None

    def report(self, number: int, epoch: int, value: float) -> bool:
        """A trial's metric after an epoch -> whether the trial is to be pruned.

        What was taken in before, as when a trial goes on after a crash, is not taken in again.
        """
        trial, curve = self._open[number], self._curves[number]
        if epoch not in curve:
            curve[epoch] = max([value, *curve.values()])
            if not self.config.latency:  # Optuna has no intermediate values for two objectives
                trial.report(curve[epoch], epoch)
        is_kept = trial.user_attrs.get("start") == BASELINE or epoch >= self.config.train.epochs
        return not self.config.latency and trial.should_prune() and not is_kept

    def complete(self, number: int, facts: Mapping[str, Any], latency_ms: float | None = None) -> None:
        """Record a trial that has had all its epochs, or stopped by itself since it got no better."""
        curve = self._curves[number]
        if not curve:
            return self.fail(number, f"its training reported no {self.config.metric}", facts)
        value = max(curve.values())
        return self._tell(number, facts, [value, latency_ms] if self.config.latency else [value], TrialState.COMPLETE)

    def prune(self, number: int, facts: Mapping[str, Any]) -> None:
        """Record a trial that was pruned."""
        self._tell(number, facts, None, TrialState.PRUNED)

    def fail(self, number: int, why: str, facts: Mapping[str, Any]) -> None:
        """Record a trial that failed, and why."""
        self._tell(number, {**facts, "failure": why}, None, TrialState.FAIL)

    def rows(self) -> list[TrialRow]:
        """All trials so far, by number."""
        trials = self._study.get_trials(deepcopy=False)
        return [self._row(trial) for trial in trials if trial.state in STATES]

    def importances(self) -> tuple[dict[str, float], int]:
        """How much each parameter decides whether a trial is among the best; and after how many epochs that is.

        Importances are shares of 1. Trials are compared after as many epochs as all of them had: later, survivors alone
        would tell what survives. PED-ANOVA (Watanabe et al. 2023, https://arxiv.org/abs/2304.10255); empty while there
        are too few trials.
        """
        ended = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        if len(ended) < FEWEST_COMPARED:
            return {}, 0
        epochs = min(max(self._curve(trial)) for trial in ended)
        compared = optuna.create_study(direction="maximize")
        for trial in ended:
            value = max(value for epoch, value in self._curve(trial).items() if epoch <= epochs)
            compared.add_trial(
                optuna.trial.create_trial(params=trial.params, distributions=trial.distributions, value=value)
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is experimental, and warns where trials do not differ
            evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
            return optuna.importance.get_param_importances(compared, evaluator=evaluator), epochs

    def _next_trial(self) -> optuna.Trial | None:
        trials = self._study.get_trials(deepcopy=False)
        made = [trial for trial in trials if trial.state != TrialState.WAITING]
        for trial in made:
            if trial.state == TrialState.RUNNING and trial.number not in self._open:
                return self._resumed(trial)
        if len(made) >= self.config.trials:
            return None
        self._seed(len(made))
        return self._study.ask()

    def _resumed(self, trial: FrozenTrial) -> optuna.Trial:
        """A trial under way -> the same to go on with; what a killed process had not drawn yet is drawn now."""
        self._seed(trial.number)
        return optuna.Trial(self._study, trial._trial_id)

    def _seed(self, number: int) -> None:
        """Seed the sampler by the trial's number: from one seed, a process that resumes would draw the first again."""
        self._study.sampler = make_sampler(self.config.seed * 1_000_003 + number)

    def _settings(self, trial: optuna.Trial) -> Settings:
        fixed: Settings | None = trial.user_attrs.get("settings")
        return suggest(self.config.space, trial) if fixed is None else fixed

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def _tell(self, number: int, facts: Mapping[str, Any], values: list[Any] | None, state: TrialState) -> None:
        trial, curve = self._open.pop(number), self._curves.pop(number)
        trial.set_user_attr("facts", {"curve": [*curve.items()], **facts})
        self._study.tell(trial, values, state=state)

    def _row(self, trial: FrozenTrial) -> TrialRow:
        settings = trial.user_attrs.get("settings")
        if settings is None and trial.state.is_finished():
            settings = suggest(self.config.space, FixedTrial(trial.params))
        elif settings is None:
            settings = suggest(self.config.space, self._resumed(trial))
        facts = trial.user_attrs.get("facts", {})
        return TrialRow(
            number=trial.number,
            state=STATES[trial.state],
            start=trial.user_attrs.get("start"),
            settings=settings,
            curve=self._curve(trial),
            latency_ms=trial.values[1] if self.config.latency and trial.values else None,
            worker_hours=facts.get("worker_hours", 0.0),
            failure=facts.get("failure"),
            model_sha256=facts.get("model_sha256"),
            device=facts.get("device"),
        )

    def _curve(self, trial: FrozenTrial) -> dict[int, float]:
        told = trial.user_attrs.get("facts", {}).get("curve")
        return dict(told) if told is not None else dict(self._curves.get(trial.number) or trial.intermediate_values)

    def _enqueue(self) -> None:
        """Enqueue the initial points that are not in the study yet."""
        there = [
            (trial.user_attrs["start"], trial.user_attrs["variant"])
            for trial in self._study.get_trials(deepcopy=False)
            if "start" in trial.user_attrs
        ]
        for start, variant, settings in initial_points(self.config):
            if (start, variant) not in there:
                attrs = {"start": start, "variant": variant}
                inside = settings.keys() <= self.config.space.keys()
                params = params_of(self.config.space, settings) if inside else None
                if params is None:  # the search cannot learn from them, but they are in the table
                    self._study.enqueue_trial({}, user_attrs={**attrs, "settings": settings})
                else:
                    self._study.enqueue_trial(params, user_attrs=attrs)


def initial_points(config: TuneConfig) -> list[tuple[Start, Variant, Settings]]:
    """A sweep's config -> the settings to try first: cross-entropy for each variant, then the published focal loss.

    The second only where gamma is searched; its gamma 2 and alpha 0.25 are those of Lin et al. 2017
    (https://arxiv.org/abs/1708.02002).
    """
    kind = config.train.loss.kind
    losses: dict[Start, Settings] = {
        BASELINE: {"loss.kind": kind if kind == "gfl" else "bce", "loss.gamma": 0.0, "loss.alpha": None},
        PUBLISHED: {"loss.kind": "gfl", "loss.gamma": 2.0, "loss.alpha": 0.25},
    }
    if "loss.gamma" not in config.space:
        del losses[PUBLISHED]
    found = []
    for start, loss in losses.items():
        for variant in config.variants:
            settings = config.base_settings([*config.space]) | loss | {"variant": variant}
            base = config.base_settings([*settings], variant)
            needed = {
                field: value for field, value in settings.items() if field in config.space or value != base[field]
            }
            found.append((start, variant, needed))
    return found


def _pruner(config: TuneConfig) -> BasePruner:
    if config.pruning is None or config.latency:
        return NopPruner()
    return SuccessiveHalvingPruner(config.pruning.first_epoch, config.pruning.factor)


def make_sampler(seed: int) -> TPESampler:
    """What proposes the next trial, from all that are known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
