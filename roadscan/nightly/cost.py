"""What a night costs: for how many seconds there were nodes, of which kind.

Kinds have prices, and those change; so seconds are counted here, and money is a product that someone else makes. A node
is counted from the look at which it was first there to the first at which it was not.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Self

from roadscan.cluster import NodeKind, node_kinds

LOOK_S = 5.0


class NodeMeter:
    """Counts the seconds of nodes, for the length of a ``with`` block.

    Args:
        look: the nodes that there are; None where that is not known yet.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        look: Callable[[], Sequence[NodeKind] | None] = node_kinds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look, self._clock = look, clock
        self._nodes: Sequence[NodeKind] | None = None
        self._seconds: dict[str, float] = defaultdict(float)
        self._working_s = 0.0
        self._since = clock()
        self._counting = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_until_over, name="node meter", daemon=True)

    def __enter__(self) -> Self:
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()  # not waited for: a cluster that is gone answers late

    def look(self) -> None:
        """Look which nodes there are; the time before the first look that tells is given to those of that look."""
        nodes = self._look()
        if nodes is None:
            return
        with self._counting:
            self._nodes = self._nodes or nodes
            self._count()
            self._nodes = nodes

    def seconds(self) -> dict[str, float]:
        """Node-seconds until now, by kind; of the nodes of the last look, so that a cluster that hangs is not asked."""
        with self._counting:
            self._count()
            return {kind: round(seconds, 1) for kind, seconds in sorted(self._seconds.items())}

    def working_s(self) -> float:
        """Node-seconds until now of nodes that lend cores or GPUs to jobs."""
        self.look()
        return self._working_s

    def _count(self) -> None:
        """Give the time since the last count to each node."""
        if self._nodes is None:
            return
        now = self._clock()
        passed, self._since = now - self._since, now
        for node in self._nodes:
            self._seconds[node.kind] += passed
            self._working_s += passed * node.works

    def _look_until_over(self) -> None:
        while not self._over.wait(LOOK_S):
            self.look()
