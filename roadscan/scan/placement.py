"""Where a scan's processes are put: how many, with which share of cores and GPUs. Decisions alone; starts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from roadscan.errors import ConfigError
from roadscan.nodes import GrowthConfig, Node, places
from roadscan.scan.config import ScanConfig

#: Cores that one process can keep busy: it decodes in threads, and what of its work holds Python's lock (requests to an
#: object store, rows) caps a process at about 180 images of 8 MP a second, which is what 4 to 5 cores decode.
CORES_A_PROCESS = 4
MOST_A_GPU = 4  # each has a model in the GPU's memory
THREADS_A_CORE = 4  # of a process: a thread mostly waits for the store
#: Part of a node's object store that one decoded shard may take. Ray Data fills half of the store, two stages share
#: that, and each has a shard in work and one that waits.
SHARE_OF_STORE = 1 / 8


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the processes of a scan are put.

    Attributes:
        actors: processes with the model.
        cpus: cores that each may use.
        gpus: of each; also a part of one.
        decoders: decoding tasks at a time; 0 where the actors decode.
        cpus_a_decoder: cores of each decoding task.
    """

    actors: int
    cpus: int
    gpus: float
    decoders: int = 0
    cpus_a_decoder: int = 0

    @property
    def threads(self) -> int:
        """Images that one process fetches and decodes at a time."""
        return min(max(THREADS_A_CORE * (self.cpus_a_decoder or self.cpus), 8), 64)

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
        ConfigError: no machine has room for a process, or there is no use in what `decode_on` asks for.

    >>> from roadscan.scan.config import ScanConfig
    >>> config = ScanConfig(drives=("d",), warehouse="w")
    >>> place(config, [Node(16, 1)], 100)
    Placement(actors=4, cpus=4, gpus=0.25, decoders=0, cpus_a_decoder=0)
    >>> place(config, [Node(2)], 100)
    Placement(actors=1, cpus=2, gpus=0.0, decoders=0, cpus_a_decoder=0)
    """
    if grows and config.grows_to is not None:
        nodes = _grown(config, config.grows_to, nodes)
    cpus, gpus = _of_each_actor(config, nodes)
    eligible = [node for node in nodes if node.gpus] if gpus else nodes
    room = sum(places(node, cpus, gpus) for node in eligible)
    if not room:
        raise ConfigError(
            f"no machine has room for a process with {_said(cpus, gpus)}; there are {_all_said(nodes)}. "
            + ("Say in grows_to what the cluster grows to, or l" if grows else "L")
            + "ower cpus_per_actor and gpus_per_actor"
        )
    actors = min(config.actors or room, room, max(shards, 1))
    if config.decode_on == "actors":
        return Placement(actors, cpus, gpus)
    return Placement(actors, cpus, gpus, *_decoders(nodes, cpus, gpus, shards))


def advice_on_store(shard_bytes: int, store_bytes: float, shard_frames: int) -> str | None:
    """What to do where a decoded shard is too large for the nodes' object stores; None where it is not.

    Args:
        shard_bytes: of the largest shard, decoded.
        store_bytes: of the smallest object store that it passes.
        shard_frames: as the config has it.

    >>> advice_on_store(378_000_000, 20e9, 512)
    >>> advice_on_store(378_000_000, 1e9, 512)  # doctest: +ELLIPSIS
    'shard_frames: got 512; decoded, a shard is 378 MB, ... Set shard_frames to 169 or less, ...'
    """
    fits = SHARE_OF_STORE * store_bytes
    if shard_bytes <= fits:
        return None
    return (
        f"shard_frames: got {shard_frames}; decoded, a shard is {shard_bytes / 1e6:.0f} MB, and the smallest object "
        f"store on its way has {store_bytes / 1e6:.0f} MB, of which it should take {fits / 1e6:.0f} at most: Ray will "
        f"write to disk what does not fit. Set shard_frames to {max(int(shard_frames * fits / shard_bytes), 1)} or "
        "less, give the nodes larger stores (ray start --object-store-memory), or leave decode_on at actors"
    )


def _grown(config: ScanConfig, growth: GrowthConfig, nodes: Sequence[Node]) -> list[Node]:
    """The nodes of a cluster that has grown; those without a GPU that are there now go on decoding."""
    stay = [node for node in nodes if not node.gpus] if config.decode_on == "all_nodes" and growth.gpus else []
    return [*growth.grown(), *stay]


def _of_each_actor(config: ScanConfig, nodes: Sequence[Node]) -> tuple[int, float]:
    """Its cores and GPUs: what the config says, or what keeps the GPUs busy."""
    with_gpu = [node for node in nodes if node.gpus]
    cpus, gpus = config.cpus_per_actor, config.gpus_per_actor
    if config.decode_on == "all_nodes":
        _refuse_useless_decoders(nodes, gpus)
        return cpus or 1, gpus or 1.0  # a core detects and commits; all others decode
    if gpus is None:
        gpus = 1 / _processes_a_gpu(with_gpu, cpus) if with_gpu else 0.0
    return cpus or _cores(with_gpu if gpus else nodes, gpus), gpus


def _refuse_useless_decoders(nodes: Sequence[Node], gpus: float | None) -> None:
    """Decoding apart from the actors pays for its transport only where GPU nodes lack cores that others have.

    Raises:
        ConfigError: there are no actors with GPUs, or no cores but theirs.
    """
    if gpus == 0 or not any(node.gpus for node in nodes):
        raise ConfigError(
            f"decode_on: got all_nodes, but no process of this scan would have a GPU (nodes: {_all_said(nodes)}); "
            "expected gpus_per_actor above 0 and a node with one. Leave decode_on at actors, where each decodes its own"
        )
    if not any(node.cpus >= 1 and not node.gpus for node in nodes):
        raise ConfigError(
            f"decode_on: got all_nodes, but no node without a GPU lends cores (nodes: {_all_said(nodes)}); "
            "expected at least one. Leave decode_on at actors, or start nodes without GPUs before the scan"
        )


def _decoders(nodes: Sequence[Node], cpus: int, gpus: float, shards: int) -> tuple[int, int]:
    """Decoding tasks at a time and cores of each: on all that the actors leave free."""
    free = [node.cpus - (cpus * places(node, cpus, gpus) if node.gpus else 0) for node in nodes]
    each = _cores([node for node in nodes if not node.gpus], 0)
    return min(sum(int(cores // each) for cores in free), max(shards, 1)), each


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


def _all_said(nodes: Sequence[Node]) -> str:
    return ", ".join(_said(node.cpus, node.gpus) for node in nodes) or "none"
