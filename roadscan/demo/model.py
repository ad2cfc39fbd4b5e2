"""Train the demo model: simulated roads in, one model file with an honest card out.

It uses ultralytics' own trainer on this machine. The roads of the training, validation and test splits are different
roads; none of them is the road of the demonstration.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from roadscan import __version__
from roadscan.config import Config
from roadscan.model import yolo
from roadscan.model.bundle import ModelCard, StateDict, Task, Variant, load, save
from roadscan.scan.decode import decode, image_size, plan_letterbox
from roadscan.survey.simulate import SimulationConfig, write_yolo_dataset
from roadscan.taxonomy import HIGHWAY, SEGMENTABLE

LIMITS = "For the demonstration and for tests. It knows its classes from rendered images alone: not for real roads."


class DemoModelConfig(Config):
    """How the demo model is made."""

    out: str = Field("roadscan/model/demo-detect.zip", description="the model file to write")
    task: Task = Field("detect", description="detect or segment")
    variant: Variant = Field("n", description="YOLOv8 size")
    initial: str | None = Field(None, description="model file to start from; empty for scratch")
    image_size_px: int = Field(640, ge=32, multiple_of=32, description="longer side of the network's input")
    images: int = Field(1000, ge=10, description="in all splits together: 80 % training, 10 % validation, 10 % test")
    roads: SimulationConfig = Field(SimulationConfig(), description="the roads that the images are of")
    dataset: str | None = Field(
        None, description="folder for the dataset, kept and used again; empty for a temporary one"
    )
    settings: dict[str, Any] = Field({}, description="ultralytics' training settings, by its own names")


def train_demo_model(config: DemoModelConfig, on_epoch: Callable[[int, dict[str, float]], None]) -> ModelCard:
    """Simulate, train, score on the test roads, and write the model file.

    Args:
        config: how.
        on_epoch: called with each epoch's number and validation metrics.
    """
    classes = HIGHWAY.names if config.task == "detect" else SEGMENTABLE
    work = Path(config.dataset) if config.dataset else Path(tempfile.mkdtemp(prefix="roadscan-demo-model-"))
    data = work / "data.yaml"
    if not data.exists():
        write_yolo_dataset(work, config.roads, config.task, config.images)
    initial = load(config.initial, task=config.task) if config.initial else None
    start: StateDict | None = None
    origin = "scratch"
    if config.initial and initial:
        origin = f"{Path(config.initial).name}: {initial.card.trained_on}"
        images = _some_batches(work, config)
        start = yolo.adapt(config.task, config.variant, len(classes), initial.weights, images)
    weights = yolo.train_stock(
        config.task, config.variant, data, work / "training", len(classes), start, on_epoch,
        {"imgsz": config.image_size_px, **config.settings},
    )  # fmt: skip
    half = {name: tensor.half().float() for name, tensor in weights.items()}  # the precision of the file
    metrics = yolo.validate_stock(half, config.task, config.variant, classes, data, "test", config.image_size_px)
    card = ModelCard(
        task=config.task,
        variant=config.variant,
        classes=classes,
        image_size_px=config.image_size_px,
        initialised_from=origin,
        trained_on=f"{config.images} images of roadscan's simulator: {config.roads.model_dump(mode='json')}",
        training={"trainer": "ultralytics' own", **config.settings},
        metrics={"simulated test roads": metrics},
        limits=LIMITS,
        code_version=__version__,
    )
    save(Path(config.out), card, weights)
    if not config.dataset:
        shutil.rmtree(work)
    return card


def _some_batches(dataset: Path, config: DemoModelConfig, batches: int = 8, size: int = 8) -> Iterator[torch.Tensor]:
    """Training images, spread over the dataset, as the network sees them."""
    paths = sorted((dataset / "images" / "train").iterdir())
    for chosen in np.array_split(np.linspace(0, len(paths) - 1, batches * size).astype(int), batches):
        images = []
        for index in chosen:
            data = paths[index].read_bytes()
            images.append(
                decode(data, plan_letterbox(image_size(data, math.inf), config.image_size_px, yolo.STRIDE_PX))
            )
        yield torch.from_numpy(np.stack(images)[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 255
