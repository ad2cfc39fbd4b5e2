"""Where the trials of a sweep are put: how many at once, each with which workers. Knows nothing of Ray."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from roadscan.errors import ConfigError
from roadscan.model.bundle import Variant
from roadscan.nodes import RESOLUTION, Node, shares
from roadscan.train.config import TrainConfig
from roadscan.train.placement import Placement, nodes_to_plan_with, place
from roadscan.tune.config import TuneConfig

Demand = tuple[int, float]  # CPUs, GPUs of one worker


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep asks of the cluster.

    Attributes:
        placements: of the workers of a trial, by variant.
        at_once: how many trials of a variant run at once, if all have it.
        nodes: to run them on; None where `max_concurrent` alone limits them, as the cluster grows on demand.
        max_concurrent: trials at once, of whatever variant.
    """

    placements: dict[str, Placement]
    at_once: dict[str, int]
    nodes: Sequence[Node] | None
    max_concurrent: int | None

    def placed(self, train: TrainConfig) -> TrainConfig:
        """A training -> the same with the placement that its variant has here."""
        placement = self.placements[train.variant]
        where = {"gpu": placement.gpus > 0, "cpus_per_worker": placement.cpus, "workers": placement.workers}
        execution = train.execution.model_copy(update={**where, "grows_to": None})
        return train.model_copy(update={"execution": execution})

    def has_room(self, variants: Sequence[str]) -> bool:
        """Whether trials of these variants can all run at once."""
        if self.max_concurrent is not None and len(variants) > self.max_concurrent:
            return False
        workers = [demand for variant in variants for demand in _worker_demands(self.placements[variant])]
        return self.nodes is None or fits(self.nodes, workers)


def place_trials(config: TuneConfig, nodes: Sequence[Node], *, grows: bool) -> SweepPlan:
    """A sweep's config and the nodes -> where the trials of each variant run, and how many at once.

    Args:
        config: the sweep.
        nodes: that the cluster has now.
        grows: whether others may join them.

    Raises:
        ConfigError: there is no room for a variant.
    """
    trains = {variant: config.trial({"variant": variant}) for variant in config.variants}
    return place_variants(trains, nodes, grows=grows, max_concurrent=config.max_concurrent, field="space.variant")


def place_variants(
    trains: Mapping[Variant, TrainConfig],
    nodes: Sequence[Node],
    *,
    grows: bool,
    max_concurrent: int | None,
    field: str = "variants",
) -> SweepPlan:
    """A training of each variant and the nodes -> where such trainings run, and how many at once.

    Args:
        trains: by variant; what the cluster grows to is the first one's.
        nodes: that the cluster has now.
        grows: whether others may join them.
        max_concurrent: trainings at once, at most; None for as many as there is room for.
        field: that names the variants, for messages.

    Raises:
        ConfigError: there is no room for a variant.
    """
    execution = next(iter(trains.values())).execution
    stated = nodes_to_plan_with(execution, nodes, grows=grows) if execution.grows_to else None
    offered = stated if stated is not None else nodes
    is_autoscaled = grows and stated is None and max_concurrent is not None
    plan = SweepPlan({}, {}, None if is_autoscaled else offered, max_concurrent)
    for variant, train in trains.items():
        try:
            found = place(train, nodes, grows=grows, copies=_copies(train, offered, max_concurrent))
        except ConfigError as error:
            raise ConfigError(f"variant {variant}: {error}; or leave it out of {field}") from None
        plan.placements[variant] = found
        plan.at_once[variant] = next(n for n in itertools.count() if not plan.has_room([variant] * (n + 1)))
        if plan.at_once[variant] == 0:
            raise ConfigError(
                f"variant {variant}: a trial needs {found}, which the cluster has not; lower "
                f"by_variant.{variant}.execution.workers, leave it out of {field}, or say in "
                "train.execution.grows_to what the cluster grows to"
            )
    return plan


def fits(nodes: Sequence[Node], workers: Sequence[Demand]) -> bool:
    """Whether workers can all run at once, each on one node, and a part of a GPU on one card.

    Largest first, each on the first node that has room.
    """
    cores, cards = [node.cpus for node in nodes], [[1.0] * int(node.gpus) for node in nodes]
    for cpus, gpus in sorted(workers, key=lambda worker: worker[::-1], reverse=True):
        for node in range(len(nodes)):
            card = next((n for n, share in enumerate(cards[node]) if share > gpus - RESOLUTION), None)
            if cores[node] >= cpus and (card is not None or not gpus):
                cores[node] -= cpus
                if gpus and card is not None:
                    cards[node][card] -= gpus
                break
        else:
            return False
    return True


def _copies(train: TrainConfig, offered: Sequence[Node], max_concurrent: int | None) -> int:
    """How many trials share the CPUs where none are stated: all that the GPUs allow at once, else one."""
    execution = train.execution
    workers = sum(int(node.gpus) for node in offered) * shares(execution.gpus_per_worker)
    by_gpus = workers // execution.fewest_most[1] if execution.gpu is not False else 1
    return max_concurrent or max(1, by_gpus)


def _worker_demands(placement: Placement) -> list[Demand]:
    return [(placement.cpus, placement.gpus)] * placement.most
