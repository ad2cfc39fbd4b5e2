"""What a training loop needs of the processes it runs in, and the loop on one process alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist

from roadscan.storage import open_store


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: epochs and steps done of all, and the losses of the last steps."""

    epoch: int
    epochs: int
    step: int
    steps: int
    losses: dict[str, float]


class Ranks(Protocol):
    """This process among those that train together.

    Attributes:
        rank: 0 to `world_size` - 1.
        world_size: how many there are.
        device: where this one computes.
    """

    rank: int
    world_size: int
    device: torch.device

    def latest(self) -> Path | None:
        """Folder of the newest checkpoint, or None at the start of a run."""

    def report(self, metrics: dict[str, Any], checkpoint: Path | None) -> None:
        """Called by every rank after each epoch; rank 0 gives the folder of a checkpoint to keep."""

    def progress(self, progress: Progress) -> None:
        """Called by rank 0 now and then."""


@dataclass
class Alone:
    """One process, checkpoints in a folder, nobody watching."""

    folder: Path
    device: torch.device = field(default_factory=lambda: torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    rank: int = 0
    world_size: int = 1

    def latest(self) -> Path | None:
        found = self.folder / "latest"
        return found if found.is_dir() else None

    def report(self, metrics: dict[str, Any], checkpoint: Path | None) -> None:  # noqa: ARG002 - nobody watches
        if checkpoint is not None:
            (self.folder / "latest").mkdir(parents=True, exist_ok=True)
            for file in checkpoint.iterdir():
                store = open_store(self.folder / "latest")
                store.write(file.name, file.read_bytes())

    def progress(self, progress: Progress) -> None:
        pass


def everyone(value: Any) -> list[Any]:
    """The value of each rank, by rank."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def of_first(value: Any) -> Any:
    """Rank 0's value."""
    return everyone(value)[0]
