"""A scan on this machine alone: processes that are given shards through pipes, and need no cluster.

Each is a program of its own (``python -m roadscan.scan.worker``): no caller's ``__main__`` is imported again. A pipe
that closes is how either side learns that the other has died.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait

from roadscan.errors import RoadscanError
from roadscan.model.device import OVERRIDE, Cuda, has_driver
from roadscan.nodes import Node, shares, usable_cores
from roadscan.scan.child import how_it_ended, start
from roadscan.scan.config import ScanConfig
from roadscan.scan.ledger import Scanned, Shard
from roadscan.scan.placement import Placement

LOG = logging.getLogger(__name__)
TRIES = 3  # to start a process, when one after the other ends before it can scan


def this_machine() -> Node:
    """This machine as a node: cores that this process may use, and GPUs that torch can."""
    if os.environ.get(OVERRIDE) or not has_driver():
        return Node(usable_cores())
    cuda = Cuda.here()
    if not cuda.names:
        LOG.warning("a GPU that torch %s cannot use: this scan is on the CPU; see 'roadscan doctor'", cuda.torch)
    return Node(usable_cores(), len(cuda.names))


def scan_in_processes(
    config: ScanConfig, shards: Sequence[Shard], model_sha256: str, placement: Placement, scan_id: str
) -> Iterator[Scanned]:
    """Shards -> what each gave, as it is committed. One whose process died is given to the next, which knows of it.

    Args:
        config: the scan; its warehouse is absolute.
        shards: to be scanned.
        model_sha256: of the model that `ledger.keep_model` kept.
        placement: of the processes.
        scan_id: of this run.

    Raises:
        RoadscanError: what a process could not get over, or that none can be started.
    """
    waiting, in_vain = deque(shards), 0

    def started(number: int) -> _WorkerProcess:
        return _WorkerProcess(config, model_sha256, placement, scan_id, number)

    processes = [started(number) for number in range(placement.actors)]
    try:
        while waiting or any(process.scanning for process in processes):
            _assign_shards(waiting, processes, placement.shards_at_once)
            for number in _ready(processes):
                process = processes[number]
                try:
                    answer = process.connection.recv()
                except (EOFError, OSError):  # closed; or cut off in the middle of an answer
                    waiting.extendleft(reversed(process.end()))
                    in_vain = 0 if process.can_scan else in_vain + 1
                    _tell_of_death(process, in_vain)
                    processes[number] = started(number)
                    break  # whoever is ready still will be, after what was lost is handed out again
                process.can_scan = True
                if answer is None:
                    continue
                shard, result = answer
                process.scanning.remove(shard)
                if isinstance(result, RoadscanError):
                    raise result
                yield result
    finally:
        for process in processes:
            process.end()


@dataclass
class _WorkerProcess:
    """One process, the shards that it is scanning, and whether it has begun to."""

    config: ScanConfig
    model_sha256: str
    placement: Placement
    scan_id: str
    number: int
    scanning: list[Shard] = field(default_factory=list)
    can_scan: bool = False

    def __post_init__(self) -> None:
        environment = {"OMP_NUM_THREADS": str(self.placement.cpus), **os.environ}
        if self.placement.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = gpus_of(self.number, self.placement, environment)
        self._popen, self.connection = start("roadscan.scan.worker", environment)
        self._send((self.config, self.model_sha256, self.placement, self.scan_id))

    def assign(self, shard: Shard) -> None:
        """Have it scan one more shard."""
        self.scanning.append(shard)
        self._send(shard)

    def _send(self, what: object) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # that it has died is learnt where its answer is read
            self.connection.send(what)

    def end(self) -> list[Shard]:
        """End it -> the shards that it was scanning."""
        self.connection.close()
        self._popen.kill()
        self.exit_code = self._popen.wait()
        return self.scanning


def gpus_of(number: int, placement: Placement, environment: dict[str, str]) -> str:
    """A process's number -> its GPU, as CUDA_VISIBLE_DEVICES: each card has as many processes as it has room for."""
    given = environment.get("CUDA_VISIBLE_DEVICES")
    names = given.split(",") if given else [str(index) for index in range(len(Cuda.here().names))]
    return names[number // shares(placement.gpus) % len(names)] if names else ""


def _assign_shards(waiting: deque[Shard], processes: Sequence[_WorkerProcess], at_once: int) -> None:
    """Give waiting shards to the processes that have the fewest."""
    while waiting:
        process = min(processes, key=lambda one: len(one.scanning))
        if len(process.scanning) >= at_once:
            return
        process.assign(waiting.popleft())


def _ready(processes: Sequence[_WorkerProcess]) -> list[int]:
    ready = wait([process.connection for process in processes])
    return [number for number, process in enumerate(processes) if process.connection in ready]


def _tell_of_death(process: _WorkerProcess, in_vain: int) -> None:
    """Say that a process died.

    Args:
        process: which.
        in_vain: how many in turn died before they could scan.

    Raises:
        RoadscanError: too many.
    """
    ended = how_it_ended(process.exit_code)
    if in_vain >= TRIES:
        raise RoadscanError(
            f"the scan stopped: {TRIES} processes died before they could scan; the last ended with {ended}. "
            "Run again to go on from the last commit"
        )
    LOG.warning(
        "a process ended with %s while it scanned %s", ended, "; ".join(map(str, process.scanning)) or "nothing"
    )
