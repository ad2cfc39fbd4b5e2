"""What ends a run that cannot end itself: one that has lost its lease, or that hangs.

The scan waits inside Ray's native code, where neither an exception nor a signal handler reaches it, so a thread looks
at the run from outside and ends the whole process.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Self

LAST_WORDS_S = 180  # for the summary and the webhook of a run that is ended; a store's own deadline is 120
LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run is ended."""

    outcome: Literal["no progress", "lease lost"]
    reason: str


class Watchdog:
    """Time since the last progress, while somebody asks for progress.

    Args:
        limit_s: without progress.
        clock: seconds, monotonic.
    """

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s, self._clock = limit_s, clock
        self._since: float | None = None
        self._lacking = ""

    @contextmanager
    def watching(self, lacking: str) -> Iterator[None]:
        """From here to the end of the block there must be progress; what it is that lacks, for the message."""
        self._lacking = lacking
        self.progress()
        try:
            yield
        finally:
            self._since = None

    def progress(self) -> None:
        """Something was done."""
        self._since = self._clock()

    def check(self) -> Stop | None:
        """Whether it has been too long."""
        since = self._since
        if since is None or self._clock() - since <= self._limit_s:
            return None
        return Stop("no progress", f"{self._lacking} for {self._limit_s:g} s")


class Guard:
    """Looks at a run, for the length of a ``with`` block, and ends the process at the first reason to.

    Args:
        checks: each gives a reason, or None.
        end: what is done then; it does not return.
    """

    def __init__(self, checks: Sequence[Callable[[], Stop | None]], end: Callable[[Stop], None]) -> None:
        self._checks, self._end = checks, end
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="guard", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):
            for check in self._checks:
                if stop := check():
                    self._end(stop)
                    return


def end_process(code: int, last_words: Callable[[], None]) -> None:
    """Say the last words, but not for ever, and end this process with an exit code.

    `os._exit`, since an ordinary exit would first wait for Ray's own clean-up, which may hang with the rest; Ray ends
    a driver's actors, and a local cluster, when the driver's process is gone.
    """
    speaker = threading.Thread(target=last_words, name="last words", daemon=True)
    speaker.start()
    speaker.join(LAST_WORDS_S)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
