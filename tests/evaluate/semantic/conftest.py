"""Drawn shapes of two drives, and semantic model files that nobody trained."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from support import labelled
from support.once import made_once

from roadscan.model import yolo
from roadscan.model.bundle import ModelCard, save

IMAGES = 5


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A semantic dataset with one image of validation, and five of two drives, in day and night, to test on."""
    return made_once(tmp_path_factory, "shapes", _draw)


def _draw(folder: Path) -> None:
    labelled.draw_dataset(folder, {"train": 1, "val": 1, "test": IMAGES}, task="semantic")
    rows = [
        {"image": f"images/test/test-{n:04d}.jpg", "drive_id": f"drive-{n % 2}", "condition": ("day", "night")[n // 3]}
        for n in range(IMAGES)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "frames.parquet")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three model files with other weights each."""
    folder = made_once(tmp_path_factory, "semantic-models", _initialise)
    return [str(folder / f"seed{seed}.zip") for seed in range(3)]


def _initialise(folder: Path) -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        network = yolo.build("semantic", "n", len(labelled.NAMES))
        card = ModelCard(task="semantic", variant="n", classes=labelled.NAMES, image_size_px=160)
        save(folder / f"seed{seed}.zip", card, network.state_dict())
