"""The placement of a run's workers: nodes in, cores and GPUs of each worker out. Knows nothing of Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from roadscan.errors import ConfigError
from roadscan.nodes import Node, places
from roadscan.train.config import ExecutionConfig, TrainConfig


@dataclass(frozen=True)
class Placement:
    """Where the workers of a run are put.

    Attributes:
        workers: a number, or (fewest, most).
        cpus: each.
        gpus: each: one, a part of one, or 0.
    """

    workers: int | tuple[int, int]
    cpus: int
    gpus: float

    @property
    def most(self) -> int:
        """The greatest number of workers."""
        return self.workers if isinstance(self.workers, int) else self.workers[1]

    def __str__(self) -> str:
        gpus = f", {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.most} x ({self.cpus} CPU{'s' * (self.cpus > 1)}{gpus})"


def nodes_to_plan_with(execution: ExecutionConfig, nodes: Sequence[Node], *, grows: bool) -> list[Node] | None:
    """The cluster's nodes -> those to plan with.

    Args:
        execution: of the run.
        nodes: that the cluster has now.
        grows: whether others may join them.

    Returns:
        What the cluster grows to, where that is stated; None where it is not, but what a worker needs is: an autoscaler
        makes room for what it is asked for, and how much it can, Ray does not tell.
    """
    if grows and execution.grows_to is not None:
        return execution.grows_to.grown()
    return None if grows and execution.cpus_per_worker is not None else [*nodes]


def place(config: TrainConfig, nodes: Sequence[Node], *, grows: bool, copies: int = 1) -> Placement:
    """A run's config and the nodes -> where its workers go, with what the config leaves open settled.

    Args:
        config: the run.
        nodes: as for `nodes_to_plan_with`.
        grows: as for `nodes_to_plan_with`.
        copies: of the run that should find places at once, if there is room.

    Raises:
        ConfigError: fewer places than the fewest workers.
    """
    execution, (fewest, most) = config.execution, config.execution.fewest_most
    workers = (fewest, most) if fewest < most else most
    offered = nodes_to_plan_with(execution, nodes, grows=grows)
    gpus = _gpus_each(execution, nodes if offered is None else offered)
    if config.batch_norm == "sync" and not gpus:
        raise ConfigError("batch_norm: sync needs GPUs; the cluster has none; expected local or frozen")
    stated = execution.cpus_per_worker
    if offered is None:
        assert stated is not None
        return Placement(workers, stated, gpus)
    largest = int(max((node.cpus for node in offered), default=0))
    choices = range(largest, 0, -1) if stated is None else (stated,)
    for count in range(most * copies, fewest - 1, -1):
        for cpus in choices:
            if sum(places(node, cpus, gpus) for node in offered) >= count:
                return Placement(workers, cpus, gpus)
    found = sum(places(node, stated or 1, gpus) for node in offered)
    needs = [f"{stated} CPU{'s' * (stated > 1)}"] if stated else []
    each = " and ".join(needs + [f"{gpus:g} GPU"] * (gpus > 0))
    raise ConfigError(
        f"execution.workers: got {fewest}, the cluster has places for {found}{f' with {each} each' if each else ''}; "
        + ("lower it, or say in execution.grows_to what the cluster grows to" if grows else "lower what is asked for")
    )


def _gpus_each(execution: ExecutionConfig, nodes: Sequence[Node]) -> float:
    wanted = any(node.gpus for node in nodes) if execution.gpu is None else execution.gpu
    return execution.gpus_per_worker if wanted else 0
