"""The guard of a run: it ends one that cannot end itself, as it has lost its lease, or hangs.

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

BEFORE_EXIT_S = 180  # for the summary and the webhook of a run that is ended; a store's own deadline is 120
POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why a run is ended."""

    outcome: Literal["no progress", "lease lost"]
    reason: str


class Watchdog:
    """A limit on the time without progress.

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
        """Watch for progress until the end of the block; `lacking` says in the message what there was none of."""
        self._lacking = lacking
        self.progress()
        try:
            yield
        finally:
            self._since = None

    def progress(self) -> None:
        """Note that something was done."""
        self._since = self._clock()

    def check(self) -> StopReason | None:
        """The reason to end the run; None while there is progress."""
        since = self._since
        if since is None or self._clock() - since <= self._limit_s:
            return None
        return StopReason("no progress", f"{self._lacking} for {self._limit_s:g} s")


class Guard:
    """A thread that looks at a run, for the length of a ``with`` block, and ends the process at the first reason to.

    Args:
        checks: each gives a reason, or None.
        end: what is done then; it does not return.
    """

    def __init__(self, checks: Sequence[Callable[[], StopReason | None]], end: Callable[[StopReason], None]) -> None:
        self._checks, self._end = checks, end
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="guard", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._over.wait(POLL_S):
            for check in self._checks:
                if stop := check():
                    self._end(stop)
                    return


def end_process(code: int, before_exit: Callable[[], None]) -> None:
    """End this process with an exit code, after a function that is not waited for for ever.

    `os._exit`, since an ordinary exit would first wait for Ray's own clean-up, which may hang with the rest; Ray ends
    a driver's actors, and a local cluster, when the driver's process is gone.
    """
    thread = threading.Thread(target=before_exit, name="before exit", daemon=True)
    thread.start()
    thread.join(BEFORE_EXIT_S)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
