"""A small labelled dataset of simulated roads, and model files made from the demo model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from support.once import made_once

from roadscan.model.bundle import load, save
from roadscan.simulate import SimulationConfig, write_yolo_dataset

ROADS = SimulationConfig(seed=25, density=3.0, width_px=640, height_px=360, conditions=("day", "rain"), workers=1)


@pytest.fixture(scope="session")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2 images for validation and 9 of 3 drives to test on."""
    return made_once(tmp_path_factory, "roads", _film)


def _film(folder: Path) -> None:
    summary = write_yolo_dataset(folder, ROADS, "detect", 11, shares=(0, 2 / 11, 9 / 11))
    assert summary.images == {"train": 0, "val": 2, "test": 9}
    tree = yaml.safe_load((folder / "data.yaml").read_text())
    del tree["train"]
    (folder / "data.yaml").write_text(yaml.safe_dump(tree))
    rows = pq.read_table(folder / "frames.parquet").to_pylist()
    for number, row in enumerate(rows):
        row["drive_id"] = f"{row['split']}-{number % 3}"
    pq.write_table(pa.Table.from_pylist(rows), folder / "frames.parquet")


@pytest.fixture
def changed(roads: Path, tmp_path: Path) -> Callable[..., str]:
    """A copy of the dataset whose data.yaml has other entries; None removes one."""

    def change(frames: bool = True, **entries: Any) -> str:
        folder = Path(shutil.copytree(roads, tmp_path / "changed"))
        tree = yaml.safe_load((folder / "data.yaml").read_text()) | {"path": str(folder)} | entries
        (folder / "data.yaml").write_text(yaml.safe_dump({k: v for k, v in tree.items() if v is not None}))
        if not frames:
            (folder / "frames.parquet").unlink()
        return str(folder)

    return change


@pytest.fixture(scope="session")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two model files near the demo model, as trainings with other seeds would give, and one that is clearly worse."""
    folder = made_once(tmp_path_factory, "seeds", _vary)
    return [str(folder / f"seed{seed}.zip") for seed in range(3)]


def _vary(folder: Path) -> None:
    demo = load("demo")
    for seed, noise in enumerate((0.005, 0.005, 0.25)):
        torch.manual_seed(seed)
        weights = {
            name: tensor * (1 + noise * torch.randn_like(tensor)) if name.endswith("conv.weight") else tensor
            for name, tensor in demo.weights.items()
        }
        save(folder / f"seed{seed}.zip", demo.card, weights)
