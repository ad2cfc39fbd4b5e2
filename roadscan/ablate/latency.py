"""What a network costs, whatever it was trained with: its parameters, and how long it takes for an image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from roadscan.dataset.records import Task
from roadscan.errors import NotFound
from roadscan.model import yolo
from roadscan.storage import Store, read_record
from roadscan.train.config import TrainConfig

LATENCY = "latency.json"


@dataclass(frozen=True)
class Latency:
    """How long a network takes.

    Attributes:
        ms: from one square image in memory to its detections.
        device: on which, such as ``cpu, 2 cores`` or ``cuda: NVIDIA L4``.
    """

    ms: float
    device: str


def network_of(train: TrainConfig) -> str:
    """A training -> what its network's latency depends on, in words."""
    return f"{train.variant} {train.activation} {train.image_size_px}"


def read_latencies(store: Store) -> dict[str, Latency]:
    """An ablation's folder -> what was measured before, by network; empty before the first time."""
    try:
        return read_record(store, LATENCY, dict[str, Latency])
    except NotFound:
        return {}


def write_latencies(latencies: Mapping[str, Latency], store: Store) -> None:
    """Keep what was measured, so that a table that is made again has the same figures."""
    store.write(LATENCY, json.dumps({name: asdict(one) for name, one in latencies.items()}, indent=1).encode())


def count_parameters(task: Task, train: TrainConfig, classes: int) -> int:
    """Parameters of a training's network, with its BatchNorm."""
    return sum(one.numel() for one in yolo.build(task, train.variant, classes, train.activation).parameters())
