"""The processes that train together: what the loop asks of each, values exchanged between all, and a single process."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist

from roadscan.progress import Progress
from roadscan.storage import open_store

#: Ranks may wait for one that fetches a dataset, or that scores all of a validation. A rank that hangs in a step is
#: noticed by the process group's own timeout, which is minutes.
GATHER_TIMEOUT = timedelta(hours=6)


class Ranks(Protocol):
    """This process among those that train together.

    Attributes:
        rank: 0 to `world_size` - 1.
        world_size: how many there are.
        device: where this one computes.
        cpus: processor cores for it and the processes that it starts.
    """

    rank: int
    world_size: int
    device: torch.device
    cpus: int

    def latest(self) -> Path | None:
        """Folder of the newest checkpoint, or None at the start of a run."""

    def report(self, metrics: dict[str, Any], checkpoint: Path | None) -> None:
        """Called by every rank after each epoch; rank 0 gives the folder of a checkpoint to keep.

        The folder is the callee's from then on, and removed once it is kept, perhaps after the call. The next one waits
        for that: a run that goes on has lost one epoch that it had reported at most.
        """

    def on_progress(self, progress: Progress) -> None:
        """Called by rank 0 about once a second."""


@dataclass
class SingleProcess:
    """`Ranks` of one process: checkpoints go to a folder, and progress nowhere."""

    folder: Path
    device: torch.device = field(default_factory=lambda: torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    rank: int = 0
    world_size: int = 1
    cpus: int = 1

    def latest(self) -> Path | None:
        found = self.folder / "latest"
        return found if found.is_dir() else None

    def report(self, metrics: dict[str, Any], checkpoint: Path | None) -> None:  # noqa: ARG002 - nobody watches
        if checkpoint is not None:
            (self.folder / "latest").mkdir(parents=True, exist_ok=True)
            for file in checkpoint.iterdir():
                store = open_store(self.folder / "latest")
                store.write(file.name, file.read_bytes())
            shutil.rmtree(checkpoint)

    def on_progress(self, progress: Progress) -> None:
        pass


def all_gather(value: Any) -> list[Any]:
    """This rank's value -> the values of all ranks, by rank. A rank waits for the others for up to `GATHER_TIMEOUT`.

    The first call opens a connection for it, and is not to come after something that takes one rank long.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value, group=_object_group(dist.group.WORLD))
    return values


def broadcast(value: Any) -> Any:
    """This rank's value -> rank 0's value, on every rank."""
    return all_gather(value)[0]


@cache
def _object_group(world: Any) -> Any:  # noqa: ARG001 - the cache's key: a process may open more than one world, in turn
    """A group of all ranks for Python objects, on CPUs, apart from that of the tensors and its short timeout."""
    return dist.new_group(backend="gloo", timeout=GATHER_TIMEOUT)
