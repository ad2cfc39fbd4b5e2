"""Where a scan's processes are put: how many, with which share of cores and GPUs. Decisions alone; starts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from roadscan.errors import ConfigError
from roadscan.nodes import Node, places
from roadscan.scan.config import ScanConfig

#: Cores that one process can keep busy: it decodes in threads, and what of its work holds Python's lock (requests to an
#: object store, rows) caps a process at about 180 images of 8 MP a second, which is what 4 to 5 cores decode.
CORES_A_PROCESS = 4
MOST_A_GPU = 4  # each has a model in the GPU's memory
THREADS_A_CORE = 4  # of a process: a thread mostly waits for the store


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the processes of a scan are put.

    Attributes:
        actors: processes.
        cpus: cores that each may use.
        gpus: of each; also a part of one.
    """

    actors: int
    cpus: int
    gpus: float

    @property
    def threads(self) -> int:
        """Images that one process fetches and decodes at a time."""
        return min(max(THREADS_A_CORE * self.cpus, 8), 64)

    @property
    def shards_at_once(self) -> int:
        """Shards that one process scans at a time: while one is in its rows or its commit, another has the device."""
        return 3 if self.gpus else 2


def place(config: ScanConfig, nodes: Sequence[Node], shards: int, *, grows: bool = False) -> Placement:
    """Settle what the config leaves to the cluster.

    Args:
        config: the scan.
        nodes: the machines that there are.
        shards: to be scanned: a process without one would be idle.
        grows: whether others may join them: then those are planned with that the config says it grows to.

    Raises:
        ConfigError: no machine has room for a process.

    >>> from roadscan.scan.config import ScanConfig
    >>> config = ScanConfig(drives=("d",), warehouse="w")
    >>> place(config, [Node(16, 1)], 100)
    Placement(actors=4, cpus=4, gpus=0.25)
    >>> place(config, [Node(2)], 100)
    Placement(actors=1, cpus=2, gpus=0.0)
    """
    if grows and config.grows_to is not None:
        nodes = config.grows_to.grown()
    with_gpu = [node for node in nodes if node.gpus]
    gpus, cpus = config.gpus_per_actor, config.cpus_per_actor
    if gpus is None:
        gpus = 1 / _processes_a_gpu(with_gpu, cpus) if with_gpu else 0.0
    eligible = with_gpu if gpus else list(nodes)
    if cpus is None:
        cpus = _cores(eligible, gpus)
    room = sum(places(node, cpus, gpus) for node in eligible)
    if not room:
        there = ", ".join(_said(node.cpus, node.gpus) for node in nodes) or "none"
        raise ConfigError(
            f"no machine has room for a process with {_said(cpus, gpus)}; there are {there}. "
            + ("Say in grows_to what the cluster grows to, or l" if grows else "L")
            + "ower cpus_per_actor and gpus_per_actor"
        )
    return Placement(min(config.actors or room, room, max(shards, 1)), cpus, gpus)


def _processes_a_gpu(nodes: Sequence[Node], cpus: int | None) -> int:
    """As many as its cores can feed, on the machine that has the fewest a GPU."""
    fewest = min(node.cpus / node.gpus for node in nodes)
    return int(min(max(round(fewest / (cpus or CORES_A_PROCESS)), 1), MOST_A_GPU))


def _cores(nodes: Sequence[Node], gpus: float) -> int:
    """Of each process: its share of a GPU's cores, or what one process can use."""
    if gpus:
        return max(int(min((node.cpus / node.gpus * gpus for node in nodes), default=1)), 1)
    usable = [node.cpus for node in nodes if node.cpus >= 1]
    return int(min([CORES_A_PROCESS, *usable]))


def _said(cpus: float, gpus: float) -> str:
    return f"{cpus:g} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
