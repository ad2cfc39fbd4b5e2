from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage

from roadscan.errors import NotFound, StorageError, TrainingError, Unreachable
from roadscan.storage import DiskStore, open_store
from roadscan.tune.journal import JOURNAL, StoreJournal


def study_in(folder: Path) -> optuna.Study:
    storage = JournalStorage(StoreJournal(open_store(folder)))
    return optuna.create_study(study_name="s", storage=storage, load_if_exists=True)


@pytest.mark.parametrize("data", [b"hello\n", b"\xff\xfe\n", b"[1]\n", b"1\n", b"{}\n", b'{"op_code": 4', b"\n"])
def test_what_is_no_journal_is_refused_and_left(tmp_path: Path, data: bytes) -> None:
    (tmp_path / JOURNAL).write_bytes(data)
    with pytest.raises(StorageError, match=rf"{JOURNAL}: not a journal of Optuna; rename it"):
        study_in(tmp_path)
    assert (tmp_path / JOURNAL).read_bytes() == data


def test_nothing_is_written_before_the_study(tmp_path: Path) -> None:
    StoreJournal(open_store(tmp_path))
    with pytest.raises(NotFound):
        open_store(tmp_path).read(JOURNAL)


def test_all_that_optuna_keeps_comes_back(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    study.set_user_attr("what", {"ä": [1, None]})
    study.enqueue_trial({"x": 0.25}, user_attrs={"start": "baseline"})
    first, second = study.ask(), study.ask()
    for trial in (first, second):
        trial.suggest_float("x", 1e-9, 1, log=True), trial.suggest_categorical("y", (None, 0, "1 to 3"))
    first.report(0.1 + 0.2, 1)
    study.tell(first, 1 / 3)
    again = study_in(tmp_path)
    assert again.user_attrs == study.user_attrs
    assert again.get_trials() == study.get_trials()
    assert [trial.state.name for trial in again.trials] == ["COMPLETE", "RUNNING"]


def test_the_driver_that_lost_can_write_no_more(tmp_path: Path) -> None:
    first = study_in(tmp_path)
    second = study_in(tmp_path)
    second.ask()
    kept = (tmp_path / JOURNAL).read_bytes()
    for _ in range(2):
        with pytest.raises(TrainingError, match="another process goes on with this sweep; let it, or stop it"):
            first.ask()
    assert (tmp_path / JOURNAL).read_bytes() == kept
    second.ask()
    assert len(study_in(tmp_path).trials) == 2


def test_what_a_store_could_not_take_is_written_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = study_in(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(DiskStore, "swap", _unreachable)
        with pytest.raises(Unreachable):
            study.set_user_attr("a", 1)
    study.set_user_attr("b", 2)
    assert study_in(tmp_path).user_attrs == study.user_attrs == {"a": 1, "b": 2}


def _unreachable(*_: object, **__: object) -> str:
    raise Unreachable("gone")
