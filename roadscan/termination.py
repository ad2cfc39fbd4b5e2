"""SIGTERM, as Kubernetes and systemd send it, to the end that Ctrl-C gives a job: leases given back, exit code 143.

It interrupts the main thread as Ctrl-C does, so whatever cleans up after that cleans up after this. A thread sees the
signal as well, also while the main one waits in native code that no signal reaches, or where Ray has put a handler of
its own in place of this; it ends a process that is still there `GRACE_S` later, before who asked for the end does so.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from multiprocessing import active_children
from typing import Any, Self, TypeAlias

Handler: TypeAlias = Any  # of a signal, as Python's stubs would have it
TERMINATED = 128 + signal.SIGTERM  # as a shell tells it
GRACE_S = 20.0  # Kubernetes kills after 30


_current: Termination | None = None  # a process has one main thread


def handle_again() -> None:
    """Take the signal back from Ray, which puts a handler of its own in place when it starts, and aborts in it."""
    if _current is not None and threading.current_thread() is threading.main_thread():
        _current.install()


class Termination:
    """SIGTERM handled for the length of a ``with`` block, in a main thread; elsewhere it does nothing.

    Args:
        grace_s: from the signal to the end of a process that is still there, also after the block.

    Attributes:
        asked: whether the signal has come.
    """

    def __init__(self, grace_s: float = GRACE_S) -> None:
        self.asked = False
        self._grace_s = grace_s

    def __enter__(self) -> Self:
        self._handles = threading.current_thread() is threading.main_thread()
        if self._handles:
            self._read, self._write = os.pipe()
            os.set_blocking(self._write, False)
            self._fd_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
            self._before = self.install()
            self._thread = threading.Thread(target=self._watch, name="termination", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._handles or self.asked:  # what ends now is watched to its end
            return
        global _current
        _current = None
        signal.signal(signal.SIGTERM, self._before)
        signal.set_wakeup_fd(self._fd_before, warn_on_full_buffer=False)
        os.close(self._write)  # ends the thread
        self._thread.join()
        os.close(self._read)

    def install(self) -> Handler:
        """Handle the signal from here on; the handler of before."""
        global _current
        _current = self
        return signal.signal(signal.SIGTERM, self._interrupt)

    def _interrupt(self, *_: object) -> None:
        self.asked = True
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would end what gives back after the first
        for child in active_children():  # a terminal would send Ctrl-C to them, too: a pool waits for what it began
            child.terminate()
        raise KeyboardInterrupt

    def _watch(self) -> None:
        while number := os.read(self._read, 1):
            if number[0] == signal.SIGTERM:
                self.asked = True
                time.sleep(self._grace_s)
                for child in active_children():
                    child.kill()
                print(f"not ended {self._grace_s:g} s after SIGTERM: ended now", file=sys.stderr, flush=True)  # noqa: T201
                os._exit(TERMINATED)
