"""How far each run of an ablation is, read from its folder: what is there is done, and nothing else is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from roadscan.ablate.runs import Run
from roadscan.errors import NotFound
from roadscan.storage import Store, open_store, read_record
from roadscan.train.history import HISTORY, History
from roadscan.train.result import SUMMARY

#: Ray Train's files by which a run goes on; the snapshot names the others, so it goes first.
SNAPSHOT, CHECKPOINTS = "checkpoint_manager_snapshot.json", "checkpoint_"
State: TypeAlias = Literal["waiting", "running", "complete", "failed"]


@dataclass(frozen=True)
class RunState:
    """How far a run is.

    Attributes:
        run: the run.
        state: complete as soon as its summary is there, which is written last.
        epochs: done.
        failure: why it failed; the same command tries it again.
    """

    run: Run
    state: State
    epochs: int
    failure: str | None = None


def folder_of(run: Run) -> Store:
    """The folder of a run."""
    return open_store(run.train.runs).child(run.name)


def is_complete(run: Run) -> bool:
    """Whether a run has come to its end: trained, measured, and all files written."""
    return folder_of(run).exists(SUMMARY)


def history_of(run: Run) -> History:
    """The epochs that a run has done; none before the first."""
    try:
        return read_record(folder_of(run), HISTORY, History)
    except NotFound:
        return []


def drop_checkpoints(run: Run) -> None:
    """Delete what a complete run would go on from: 1.4 GB of a YOLOv8x, beside its model file of 0.1 GB."""
    folder = folder_of(run)
    if folder.exists(SNAPSHOT):
        folder.delete(SNAPSHOT)
    for name in folder.folders():
        for key in [*folder.keys(f"{name}/")] if name.startswith(CHECKPOINTS) else ():
            folder.delete(key)
