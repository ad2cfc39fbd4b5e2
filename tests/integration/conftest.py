"""A finished training run, which several tests look at, and the secret of a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import labelled
from support.clusters import know_a_secret
from support.training import Trained, Training, write_config


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two workers, four epochs, all addresses relative to the folder."""
    folder = tmp_path_factory.mktemp("trained")
    labelled.draw_dataset(folder / "data", {"train": 24, "val": 4, "test": 2})
    write_config(folder)
    with Training(folder) as training:
        code = training.end()
        training.wait_until_nothing_runs()
        return Trained(folder, folder / "runs" / "train", code, training.out, training.err)


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects to a cluster must know a secret."""
    know_a_secret(tmp_path, monkeypatch)
