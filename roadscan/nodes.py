"""Cores and GPUs that jobs can use: of this machine, of a cluster's nodes, and of those that it grows to."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from roadscan.config import Config

CGROUP = Path("/sys/fs/cgroup")
RESOLUTION = 1e-4  # of Ray's fractions


class Node(NamedTuple):
    """The cores and GPUs that a node offers to jobs; a head that computes nothing offers none."""

    cpus: float = 0
    gpus: float = 0


class GrowthConfig(Config):
    """What a cluster grows to: nodes that are alike."""

    nodes: int = Field(ge=1, description="workers' nodes, at most")
    cpus: int = Field(ge=1, description="each, as Ray counts them: in Kubernetes those of a pod")
    gpus: int = Field(ge=0, description="each")

    def grown(self) -> list[Node]:
        """All nodes, once grown."""
        return [Node(self.cpus, self.gpus)] * self.nodes


def places(node: Node, cpus: int, gpus: float) -> int:
    """How many processes a node holds, each with so many cores and one GPU, a part of one, or none.

    >>> places(Node(16, 2), cpus=3, gpus=0.5), places(Node(16, 2), cpus=3, gpus=0)
    (4, 5)
    """
    by_cpu = int(node.cpus // cpus)
    return min(by_cpu, int(node.gpus) * shares(gpus)) if gpus else by_cpu


def shares(part: float) -> int:
    """How many processes with a part of a GPU each one card holds.

    >>> shares(1), shares(0.4), shares(1 / 3)
    (1, 2, 3)
    """
    return int((1 + RESOLUTION) / part)


def usable_cores() -> int:
    """Cores that this process may use: the machine's, or a container's share of them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _ = cgroup_limits()
    return max(min(cores, math.ceil(quota or cores)), 1)


def cgroup_limits(root: Path = CGROUP) -> tuple[float | None, float | None]:
    """Cores and bytes that a container's control group allows, version 2 or 1; None where it sets no limit."""

    def words(name: str) -> list[str]:
        try:
            return (root / name).read_text().split()
        except OSError:
            return []

    period = words("cpu/cpu.cfs_period_us")
    quota = words("cpu.max") or [*words("cpu/cpu.cfs_quota_us"), *period]
    limit = words("memory.max") or words("memory/memory.limit_in_bytes")
    cores = float(quota[0]) / float(quota[1]) if len(quota) == 2 and quota[0].isdigit() else None
    return cores, float(limit[0]) if limit and limit[0].isdigit() else None
