"""What a run's workers report to its driver, in a process of its own, so nothing that takes long is imported here.

With torch, as in the rest of training, that process would take seconds to start and hundreds of megabytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roadscan.errors import RoadscanError
from roadscan.progress import Progress

if TYPE_CHECKING:
    from roadscan.train.history import History


class Reporter:
    """What workers report, for the driver to read: progress, history, the first mistake, the last restart's cause.

    It is an actor of its own; its ``on_`` methods are called by workers, the others by the driver.
    """

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._history: History = []
        self._failure: RoadscanError | None = None
        self._cause_of_restart: RoadscanError | None = None

    def on_progress(self, progress: Progress) -> None:
        self._progress = progress

    def progress(self) -> Progress | None:
        return self._progress

    def on_epoch(self, history: History) -> None:
        self._history = history

    def history(self) -> History:
        return self._history

    def on_failure(self, error: RoadscanError) -> None:
        self._failure = self._failure or error

    def failure(self) -> RoadscanError | None:
        return self._failure

    def on_restart(self, cause: RoadscanError | None) -> None:
        self._cause_of_restart = cause

    def cause_of_restart(self) -> RoadscanError | None:
        return self._cause_of_restart
