"""A training run that goes on whatever it loses, which several tests look at, and the secret of a cluster."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from support import labelled
from support.clusters import know_a_secret
from support.distributed import run_together
from support.once import made_once
from support.training import (
    SETTINGS,
    Trained,
    Training,
    history,
    lose_driver,
    lose_worker,
    newest_checkpoint,
    write_config,
)

from roadscan.train.config import TrainConfig


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two workers, four epochs, all addresses relative to the folder; it loses its driver, and then a worker."""
    folder = made_once(tmp_path_factory, "trained", _train)
    code, out, err = json.loads((folder / "told.json").read_text())
    return Trained(folder, folder / "runs" / "train", code, out, err)


def _train(folder: Path) -> None:
    labelled.draw_dataset(folder / "data", {"train": 24, "val": 4, "test": 2})
    write_config(folder)
    run = folder / "runs" / "train"
    with Training(folder) as killed:
        killed.wait_for_checkpoint(run)
        lose_driver(killed)
    assert 1 <= len(history(run)) < SETTINGS["epochs"]
    assert not (folder / "model.zip").exists()
    with Training(folder) as again:
        again.wait_for_checkpoint(run, after=newest_checkpoint(run))
        lose_worker(again)
        code = again.end()
        again.wait_until_nothing_runs()
        (folder / "told.json").write_text(json.dumps([code, again.out, again.err]))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Path:
    """The folder of the same run by two processes that nothing disturbs, and that know nothing of Ray."""
    settings = SETTINGS | {"data": str(trained.folder / "data")}
    return made_once(tmp_path_factory, "undisturbed", partial(run_together, 2, TrainConfig.model_validate(settings)))


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects to a cluster must know a secret."""
    know_a_secret(tmp_path, monkeypatch)
