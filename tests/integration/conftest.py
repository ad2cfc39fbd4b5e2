"""A finished training run, which several tests look at."""

from __future__ import annotations

import labelled
import pytest
from training import Trained, Training, write_config


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
