"""A finished training run, which several tests look at, and the secret of a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import labelled
from support.clusters import know_a_secret
from support.once import made_once
from support.training import Trained, Training, write_config


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two workers, four epochs, all addresses relative to the folder."""
    folder = made_once(tmp_path_factory, "trained", _train)
    code, out, err = json.loads((folder / "told.json").read_text())
    return Trained(folder, folder / "runs" / "train", code, out, err)


def _train(folder: Path) -> None:
    labelled.draw_dataset(folder / "data", {"train": 24, "val": 4, "test": 2})
    write_config(folder)
    with Training(folder) as training:
        code = training.end()
        training.wait_until_nothing_runs()
        (folder / "told.json").write_text(json.dumps([code, training.out, training.err]))


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects to a cluster must know a secret."""
    know_a_secret(tmp_path, monkeypatch)
