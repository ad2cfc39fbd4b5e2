"""What a process and those that it starts cost while something is done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil


@dataclass
class Cost:
    """So far.

    Attributes:
        peak_gb: the largest sum of what all held at one moment.
        seconds: of the processor, by process.
    """

    peak_gb: float = 0.0
    seconds: dict[int, float] = field(default_factory=dict)

    @property
    def cpu_s(self) -> float:
        """Of all processes together."""
        return sum(self.seconds.values())

    def look(self) -> None:
        """Add what is so at this moment."""
        me = psutil.Process()
        try:
            everyone = [me, *me.children(recursive=True)]
            self.peak_gb = max(self.peak_gb, sum(one.memory_info().rss for one in everyone) / 1e9)
            self.seconds.update({one.pid: sum(one.cpu_times()[:2]) for one in everyone})
        except psutil.NoSuchProcess:
            pass


@contextmanager
def watched(every_s: float = 0.5) -> Iterator[Cost]:
    """The cost of what is done within, looked at again and again, and of what this process did before."""
    cost, done = Cost(), threading.Event()

    def watch() -> None:
        while not done.wait(every_s):
            cost.look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield cost
    finally:
        done.set()
        thread.join()
        cost.look()
