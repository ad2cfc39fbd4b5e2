"""How many trials a cluster has room for."""

from __future__ import annotations

from collections.abc import Sequence

Demand = tuple[int, int]  # CPUs, GPUs


def fits(nodes: Sequence[Demand], workers: Sequence[Demand]) -> bool:
    """Whether workers can all run at once, each on one node; largest first, each on the first node that has room."""
    free = [list(node) for node in nodes]
    for cpus, gpus in sorted(workers, key=lambda worker: worker[::-1], reverse=True):
        node = next((node for node in free if node[0] >= cpus and node[1] >= gpus), None)
        if node is None:
            return False
        node[0] -= cpus
        node[1] -= gpus
    return True
