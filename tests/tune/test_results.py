from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from roadscan.config import load_config
from roadscan.errors import StorageError, TrainingError
from roadscan.storage import open_store
from roadscan.train.config import TrainConfig
from roadscan.tune.config import TuneConfig
from roadscan.tune.journal import JOURNAL, StoreJournal
from roadscan.tune.results import pareto_front, replay, table, write_results
from roadscan.tune.sweep import Sweep, TrialRow

SPACE = {"variant": ["n", "s"], "loss.gamma": [0, {"low": 1, "high": 3}], "loss.alpha": [None, 0.25]}


def config(**fields: Any) -> TuneConfig:
    return TuneConfig.model_validate({"train": {"data": "d", "epochs": 3}, "space": SPACE, "trials": 6} | fields)


def row(number: int, value: float, latency_ms: float | None = None) -> TrialRow:
    return TrialRow(number, "complete", None, {"variant": "n"}, {1: value}, latency_ms, 0.5, None, None)


@given(
    st.fixed_dictionaries(
        {
            "loss.gamma": st.just(0.0) | st.floats(1, 3),
            "loss.alpha": st.none() | st.floats(0, 1) | st.sampled_from(["from_frequency", {"bus stop": 0.3}]),
            "optimiser.lr": st.floats(1e-9, 1),
            "batch": st.integers(1, 512),
            "trained_on": st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"))),
            "execution.gpu": st.sampled_from([None, True, False]),
        }
    )
)
def test_the_replayed_training_is_the_trials(settings: dict[str, Any]) -> None:
    wanted = TuneConfig.model_validate({"train": {"data": "s3://raw/a b", "epochs": 3}, "space": SPACE}).trial(settings)
    program, command, *options = shlex.split(replay(wanted, "trial-0007"))
    assert (program, command, {*options[::2]}) == ("roadscan", "train", {"--set"})
    replayed = load_config(TrainConfig, None, options[1::2])
    assert replayed == wanted.model_copy(update={"name": "trial-0007", "out": "trial-0007.zip"})


def test_the_front_has_no_trial_that_another_beats() -> None:
    rows = [row(0, 0.5, 3.0), row(1, 0.4, 2.0), row(2, 0.45, 4.0), row(3, 0.6, 9.0), row(4, 0.5, 3.0), row(5, 0.6, 9.5)]
    assert [one.number for one in pareto_front(rows)] == [1, 0, 3]


def swept(folder: Path, of: TuneConfig | None = None) -> Sweep:
    """Six trials: five to the end, each better than the one before; the last failed."""
    sweep = Sweep(of or config(), JournalStorage(StoreJournal(open_store(folder))))
    while (trial := sweep.next()) is not None:
        if trial.number == 5:
            sweep.fail(trial.number, "lost", {})
            continue
        for epoch in range(1, 4):
            sweep.report(trial.number, epoch, 0.1 * trial.number + 0.01 * min(epoch, 2))
        sweep.complete(trial.number, {"model_sha256": str(trial.number), "worker_hours": 0.5})
        open_store(folder).write(f"trials/trial-{trial.number:04d}/model.zip", f"model {trial.number}".encode())
    return sweep


def test_a_sweep_leaves_its_best_model_table_and_pictures(tmp_path: Path) -> None:
    sweep, store = swept(tmp_path), open_store(tmp_path)
    summary = write_results(sweep, store, lambda train: train.model_copy(update={"batch": 8}))
    assert (summary.best, summary.value, summary.baseline) == (4, pytest.approx(0.42), pytest.approx(0.12))
    assert store.read("best.zip") == b"model 4"
    assert (summary.epochs, summary.unpruned_epochs, summary.worker_hours) == (15, 18, 2.5)
    assert summary.grid_epochs == 2 * (1 + 5) * 2 * 3
    assert summary.states == {"complete": 5, "pruned": 0, "failed": 1}
    assert "--set batch=8" in summary.replay
    assert json.loads(store.read("sweep.json"))["best"] == 4
    assert {"trials.parquet", "learning-curves.png", "parallel-coordinates.png", "gamma-alpha.png"} <= set(store.keys())


def test_the_table_has_a_row_a_trial_and_a_column_a_field(tmp_path: Path) -> None:
    made = table(config(), swept(tmp_path).rows(), open_store(tmp_path), lambda train: train)
    assert made.num_rows == 6
    assert made.column("variant").to_pylist()[:2] == ["n", "s"]
    assert made.column("loss.gamma").to_pylist()[:3] == [0, 0, 2]
    assert made.column("best_epoch").to_pylist()[0] == 2
    assert made.column("failure").to_pylist() == [None] * 5 + ["lost"]
    assert made.column("map50_95").to_pylist()[5] is None


def test_what_only_the_baseline_differs_in_has_a_column_too(tmp_path: Path) -> None:
    swept = config(train={"data": "d", "loss": {"alpha": 0.3}}, space={"variant": ["n", "s"], "loss.gamma": [0, 2.5]})
    rows = [row(0, 0.1), row(1, 0.2)]
    rows[0].settings.update({"loss.gamma": 0, "loss.alpha": None})
    rows[1].settings.update({"loss.gamma": 2.5})
    made = table(swept, rows, open_store(tmp_path), lambda train: train)
    assert made.column("loss.gamma").to_pylist() == [0, 2.5]
    assert made.column("loss.alpha").to_pylist() == [None, 0.3]


def test_a_sweep_may_search_words_and_switches_of_the_loss(tmp_path: Path) -> None:
    space = {
        "loss.gamma": [0, 2],
        "loss.alpha": [None, "from_frequency", "effective_number", {"low": 0.1, "high": 0.9}],
        "loss.kind": ["gfl", "varifocal"],
        "loss.scale_gain": [False, True],
        "loss.prior": [None, 0.01],
    }
    made = config(trials=16, space=space)
    rows = (sweep := swept(tmp_path, made)).rows()
    for field in ("loss.alpha", "loss.scale_gain", "loss.prior"):
        assert len({row.settings[field] for row in rows}) > 1
    assert all(made.trial(row.settings) for row in rows if row.state == "complete")
    write_results(sweep, open_store(tmp_path), lambda train: train)
    assert (tmp_path / "gamma-alpha.png").exists()


def test_a_sweep_of_failures_says_why(tmp_path: Path) -> None:
    sweep = Sweep(config(trials=2), InMemoryStorage())
    while (trial := sweep.next()) is not None:
        sweep.fail(trial.number, "no luck", {})
    with pytest.raises(TrainingError, match="none of 2 trials came to an end; no luck"):
        write_results(sweep, open_store(tmp_path), lambda train: train)


def test_the_journal_is_one_that_optuna_reads(tmp_path: Path) -> None:
    rows = swept(tmp_path).rows()
    study = optuna.load_study(study_name="sweep", storage=JournalStorage(JournalFileBackend(str(tmp_path / JOURNAL))))
    assert [trial.value for trial in study.trials] == [one.value for one in rows]
    assert study.best_trial.number == 4
    again = Sweep(config(), JournalStorage(StoreJournal(open_store(tmp_path))))
    assert again.rows() == rows
    assert again.next() is None


def test_of_two_drivers_the_first_is_refused_when_the_second_has_begun(tmp_path: Path) -> None:
    first = Sweep(config(), JournalStorage(StoreJournal(open_store(tmp_path))))
    first.next()
    second = Sweep(config(), JournalStorage(StoreJournal(open_store(tmp_path))))
    second.next()
    second.report(0, 1, 0.5)
    with pytest.raises(TrainingError, match="another process goes on with this sweep"):
        first.report(0, 1, 0.4)


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_text("hello")
    with pytest.raises(StorageError, match="not a journal of Optuna"):
        StoreJournal(open_store(tmp_path))
