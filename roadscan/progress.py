"""How far a stage is: the one event that every stage sends, and the callback that it sends it to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is.

    Attributes:
        stage: the command's name, such as ``scan``.
        done: how much of the stage is done, in units.
        total: how much there is to do, in units.
        unit: of both, in the plural, such as ``frames``; a stage may go on with another unit.
        facts: what else the stage knows now. ``scan``: detections. ``train``: step, steps and losses of the epoch under
            way, or history, one row for each epoch that is done. ``tune``: trials, one row for each that was started.
            ``ablate``: runs, the state of each.
    """

    stage: str
    done: int
    total: int
    unit: str
    facts: Mapping[str, Any] = field(default_factory=dict)


OnProgress = Callable[[Progress], None]
#: Called with (done, total): the inner functions of a stage count, and do not know which stage they are in.
OnCount = Callable[[int, int], None]


def silent(_: Progress) -> None:
    """Ignore the event."""


def counter(on_progress: OnProgress, stage: str, unit: str) -> OnCount:
    """A callback for counts that sends each as an event.

    >>> count = counter(print, "ingest", "frames")
    >>> count(3, 10)
    Progress(stage='ingest', done=3, total=10, unit='frames', facts={})
    """
    return lambda done, total: on_progress(Progress(stage, done, total, unit))
