from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from roadscan.errors import ConfigError
from roadscan.tune.config import TuneConfig
from roadscan.tune.sweep import Sweep, TrialRow, TrialSpec

SPACE = {
    "variant": ["n", "s"],
    "loss.gamma": [0, {"low": 1, "high": 3}],
    "loss.alpha": [None, {"low": 0.1, "high": 0.9}],
    "optimiser.lr": {"low": 1e-4, "high": 1e-2, "log": True},
}
EPOCHS = 9


def config(**fields: Any) -> TuneConfig:
    tree = {"train": {"data": "d", "epochs": EPOCHS}, "space": SPACE, "trials": 20, "pruning": {}}
    return TuneConfig.model_validate(tree | fields)


def score(trial: TrialSpec) -> float:
    """What a trial comes to: best at gamma 1.5 and a rate of 1e-3."""
    distance = abs(trial.train.loss.gamma - 1.5) / 3 + abs(math.log10(trial.train.optimiser.lr) + 3)
    return 0.6 - 0.2 * distance


def run(sweep: Sweep, trial: TrialSpec, curve: Callable[[int], float]) -> None:
    for epoch in range(1, EPOCHS + 1):
        if sweep.report(trial.number, epoch, curve(epoch)):
            return sweep.prune(trial.number, {})
    return sweep.complete(trial.number, {"model_sha256": "0" * 64})


def run_all(sweep: Sweep) -> list[TrialRow]:
    while (trial := sweep.next()) is not None:
        final = score(trial)
        run(sweep, trial, lambda epoch, final=final: final * (1 - math.exp(-epoch / 2)))
    return sweep.rows()


def study_of(storage: InMemoryStorage) -> optuna.Study:
    return optuna.load_study(study_name="sweep", storage=storage)


def test_the_known_good_settings_come_first() -> None:
    rows = run_all(Sweep(config(), InMemoryStorage()))
    assert [row.start for row in rows[:5]] == ["baseline", "baseline", "published", "published", None]
    assert rows[1].settings == {"variant": "s", "loss.gamma": 0, "loss.alpha": None, "optimiser.lr": 1e-3}
    assert rows[2].settings == {"variant": "n", "loss.gamma": 2.0, "loss.alpha": 0.25, "optimiser.lr": 1e-3}
    assert [row.number for row in rows] == list(range(20))


def test_the_search_learns_from_known_good_settings_in_its_space() -> None:
    storage = InMemoryStorage()
    run_all(Sweep(config(), storage))
    params = {"variant": "n", "loss.gamma": "1 to 3", "loss.gamma in 1 to 3": 2.0, "loss.alpha": "0.1 to 0.9"}
    assert params.items() <= study_of(storage).trials[2].params.items()


def test_known_good_settings_outside_of_the_space_are_run_too() -> None:
    storage = InMemoryStorage()
    swept = config(space={"loss.gamma": [{"low": 1, "high": 3}]}, train={"data": "d", "loss": {"alpha": 0.3}})
    rows = run_all(Sweep(swept, storage))
    assert rows[0].settings == {"loss.gamma": 0.0, "loss.alpha": None}
    assert swept.trial(rows[0].settings).loss.alpha is None
    assert study_of(storage).trials[0].params == {}
    assert swept.trial(rows[1].settings).loss.alpha == 0.25


def test_the_baseline_is_that_of_its_variant() -> None:
    """Where a variant has another loss than the base, its baseline has cross-entropy all the same."""
    swept = config(space={"variant": ["n", "s"]}, by_variant={"s": {"loss.gamma": 2.0, "batch": 8}})
    sweep = Sweep(swept, InMemoryStorage())
    first, second, third = sweep.next(), sweep.next(), sweep.next()
    assert (first.train.variant, first.train.loss.gamma, first.train.batch) == ("n", 0, 16)
    assert (second.train.variant, second.train.loss.gamma, second.train.batch) == ("s", 0, 8)
    assert third.train.loss.gamma == {"n": 0, "s": 2}[third.train.variant]


def test_poor_trials_are_given_up_but_for_the_baseline() -> None:
    sweep = Sweep(config(trials=8), InMemoryStorage())
    baseline, other = sweep.next(), sweep.next()
    run(sweep, other, lambda _: 0.9)
    run(sweep, baseline, lambda _: 0.1)
    published = sweep.next()
    run(sweep, published, lambda _: 0.1)
    states = {row.number: (row.state, row.epochs) for row in sweep.rows()}
    assert states == {0: ("complete", EPOCHS), 1: ("complete", EPOCHS), 2: ("pruned", 1)}


def test_a_trial_is_not_given_up_at_its_last_epoch() -> None:
    sweep = Sweep(config(trials=4, space={"loss.gamma": [0, 2]}), InMemoryStorage())
    baseline, published = sweep.next(), sweep.next()
    run(sweep, baseline, lambda epoch: 0.1 if epoch < EPOCHS else 0.9)
    run(sweep, published, lambda _: 0.2)  # better up to the last
    assert [row.state for row in sweep.rows()] == ["complete", "complete"]


def test_a_score_that_was_cut_off_is_no_result_for_the_search() -> None:
    """In the study it is pruned, after all that are complete, whatever it was; told as complete it would lead here."""
    storage = InMemoryStorage()
    sweep = Sweep(config(trials=3, space={"loss.gamma": [0, {"low": 1, "high": 3}]}), storage)
    baseline, other, late = sweep.next(), sweep.next(), sweep.next()
    run(sweep, baseline, lambda epoch: 0.05 * epoch)
    run(sweep, other, lambda epoch: 0.06 * epoch)
    assert sweep.report(late.number, 1, 0.055)
    sweep.report(late.number, 2, 0.7)  # of an epoch that was under way when the trial was stopped
    sweep.prune(late.number, {})
    study = study_of(storage)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "PRUNED"]
    assert study.best_trial.number == other.number
    assert study.trials[late.number].value == 0.7


def test_all_that_a_trial_reported_is_in_the_study() -> None:
    storage = InMemoryStorage()
    rows = run_all(Sweep(config(), storage))
    pruned = [row for row in rows if row.state == "pruned"]
    assert pruned
    for row in pruned:
        trial = study_of(storage).trials[row.number]
        assert trial.state == TrialState.PRUNED
        assert trial.intermediate_values == row.curve
        assert row.epochs == max(row.curve) < EPOCHS


def test_a_sweep_goes_on_with_the_trials_under_way() -> None:
    storage = InMemoryStorage()
    first = Sweep(config(), storage)
    started = [first.next() for _ in range(6)]
    run(first, started[0], lambda _: 0.3)
    first.report(5, 1, 0.4)
    again = Sweep(config(), storage)
    assert [again.next() for _ in range(5)] == started[1:]
    assert again.report(5, 1, 0.1) == again.report(5, 1, 0.4)  # what was reported before stands
    assert again.rows()[5].curve == {1: 0.4}
    assert again.next().number == 6


def test_a_kill_between_asking_and_settling_leaves_nothing_half_done() -> None:
    storage = InMemoryStorage()
    first = Sweep(config(), storage)
    for _ in range(4):
        first.next()
    half = study_of(storage).ask()
    gone_on = half.suggest_categorical("variant", ("n", "s"))
    again = Sweep(config(), storage)
    trials = [again.next() for _ in range(5)]
    assert trials[4].number == 4
    assert trials[4].settings["variant"] == gone_on
    assert set(trials[4].settings) == set(SPACE)


def test_what_was_not_drawn_before_a_kill_is_drawn_from_the_seed() -> None:
    drawn = []
    for _ in range(2):
        storage = InMemoryStorage()
        first = Sweep(config(), storage)
        for _ in range(4):
            first.next()
        study_of(storage).ask().suggest_categorical("variant", ("n", "s"))
        drawn.append(Sweep(config(), storage).rows()[4].settings | {"variant": "n"})  # rows first, as for a display
        taken_up = Sweep(config(), storage)
        assert [taken_up.next() for _ in range(5)][4].settings | {"variant": "n"} == drawn[-1]
    assert drawn[0] == drawn[1]


def test_a_sweep_that_goes_on_does_not_draw_the_same_again() -> None:
    storage = InMemoryStorage()
    drawn = []
    for _ in range(8):
        sweep = Sweep(config(), storage)  # a new process each time
        while (trial := sweep.next()).number < len(drawn):
            pass
        drawn.append(trial.settings)
    rates = [settings["optimiser.lr"] for settings in drawn[4:]]
    assert len(set(rates)) == len(rates)


def test_the_same_seed_makes_the_same_sweep() -> None:
    one, two, other = (run_all(Sweep(config(seed=seed), InMemoryStorage())) for seed in (1, 1, 2))
    assert one == two != other


def test_other_settings_are_refused() -> None:
    storage = InMemoryStorage()
    Sweep(config(), storage)
    Sweep(config(trials=40, max_concurrent=3), storage)
    with pytest.raises(ConfigError, match=r"(?s)the sweep of this name .*train\.epochs: the sweep has 9, got 10"):
        Sweep(config(train={"data": "d", "epochs": 10}), storage)
    with pytest.raises(ConfigError, match=r"space\.variant"):
        Sweep(config(space=SPACE | {"variant": ["n"]}), storage)


def test_settings_that_cannot_be_together_are_a_failed_trial() -> None:
    space = {"batch": [1, 8], "accumulate": [1, 4]}
    rows = run_all(Sweep(config(space=space, train={"data": "d", "batch": 8}, trials=30), InMemoryStorage()))
    failed = [row for row in rows if row.state == "failed"]
    assert failed
    for row in failed:
        assert row.settings == {"batch": 1, "accumulate": 4}
        assert "batch: got 1 images for 4 parts" in row.failure
    assert len(rows) == 30


def test_a_trial_without_the_metric_has_failed() -> None:
    sweep = Sweep(config(), InMemoryStorage())
    trial = sweep.next()
    sweep.complete(trial.number, {})
    assert sweep.rows()[0].failure == "its training reported no map50_95"


def test_with_latency_nothing_is_given_up() -> None:
    storage = InMemoryStorage()
    sweep = Sweep(config(latency=True, trials=6), storage)
    sweep.set_latencies({"n": 3.0, "s": 8.0})
    while (trial := sweep.next()) is not None:
        for epoch in range(1, EPOCHS + 1):
            assert not sweep.report(trial.number, epoch, 0.1)
        sweep.complete(trial.number, {}, sweep.latencies()[trial.train.variant])
    assert {(row.settings["variant"], row.latency_ms) for row in sweep.rows()} == {("n", 3.0), ("s", 8.0)}
    assert study_of(storage).directions == [optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE]
    assert Sweep(config(latency=True), storage).latencies() == {"n": 3.0, "s": 8.0}


def test_what_matters_is_found() -> None:
    sweep = Sweep(config(trials=60), InMemoryStorage())
    assert sweep.importances() == ({}, 0)
    while (trial := sweep.next()) is not None:
        value = 0.6 - 0.2 * abs(math.log10(trial.train.optimiser.lr) + 3)
        run(sweep, trial, lambda epoch, value=value: value * epoch / EPOCHS)
    shares, epochs = sweep.importances()
    assert epochs == 1  # as many as all of them had
    assert max(shares, key=shares.__getitem__) == "optimiser.lr"
    assert sum(shares.values()) == pytest.approx(1)
