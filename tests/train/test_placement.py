"""Where the workers of a run are put."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.distributed import config_of

from roadscan.errors import ConfigError
from roadscan.nodes import Node, places
from roadscan.train.placement import Placement, place

HEAD = Node()  # with --num-cpus 0


def config(batch: int = 64, **execution: Any) -> Any:
    return config_of(Path("data"), batch=batch, execution=execution)


def placed(nodes: list[Node], *, grows: bool = False, copies: int = 1, **execution: Any) -> Placement:
    return place(config(**execution), nodes, grows=grows, copies=copies)


@pytest.mark.parametrize(
    ("nodes", "workers", "expected"),
    [
        ([Node(8)], 1, 8),
        ([Node(8)], 2, 4),
        ([Node(8)], 3, 2),
        ([Node(2)], 2, 1),
        ([HEAD, Node(4), Node(4)], 2, 4),
        ([HEAD, Node(4), Node(4)], 3, 2),
        ([Node(8), Node(2)], 2, 4),  # both on the larger
        ([Node(8), Node(2)], 5, 2),
        ([Node(2.5)], 1, 2),
    ],
)
def test_processors_are_shared_out_evenly(nodes: list[Node], workers: int, expected: int) -> None:
    assert placed(nodes, workers=workers) == Placement(workers, cpus=expected, gpus=0)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([Node(8)], 2),
        ([Node(1)] * 4, 1),
        ([Node(3)], 1),  # three
        ([Node(4), Node(2)], 1),  # four, so not two of two
        ([HEAD, Node(16)], 4),
    ],
)
def test_a_range_of_workers_takes_room_for_as_many_as_there_is(nodes: list[Node], expected: int) -> None:
    assert placed(nodes, workers=(1, 4)) == Placement((1, 4), cpus=expected, gpus=0)


def test_a_range_of_one_number_is_that_number() -> None:
    assert placed([Node(4)], workers=(2, 2)).workers == 2


def test_gpus_are_used_where_there_are_any() -> None:
    nodes = [Node(16), Node(8, 2), Node(8, 2)]
    assert placed(nodes, workers=4) == Placement(4, cpus=4, gpus=1)
    assert placed(nodes, workers=4, gpu=False) == Placement(4, cpus=8, gpus=0)


@pytest.mark.parametrize(
    ("share", "copies", "cpus"),
    [
        (1, 2, 4),
        (0.5, 4, 2),
        (0.5, 2, 4),
        (0.3, 6, 1),  # three on each card
        (1 / 3, 6, 1),
    ],
)
def test_runs_of_a_part_of_a_gpu_share_the_node(share: float, copies: int, cpus: int) -> None:
    found = placed([Node(8, 2)], gpus_per_worker=share, copies=copies)
    assert found == Placement(1, cpus=cpus, gpus=share)


def test_a_part_of_a_gpu_lies_on_one_card() -> None:
    """Two of 0.6 are more than a card, so of two cards each holds one; by their sum they would hold three."""
    assert places(Node(8, 2), cpus=1, gpus=0.6) == 2


def test_a_worker_without_a_gpu_is_no_place_for_one_with() -> None:
    with pytest.raises(ConfigError, match=r"workers: got 2, the cluster has places for 1 with 1 GPU each; lower what"):
        placed([Node(64), Node(8, 1)], workers=2)


@pytest.mark.parametrize("nodes", [[], [HEAD], [Node(0.5)], [HEAD, Node(1)]])
def test_too_few_places_are_refused(nodes: list[Node]) -> None:
    there = int(sum(node.cpus for node in nodes))
    with pytest.raises(ConfigError, match=rf"workers: got 2, the cluster has places for {there}; lower it, or say in"):
        placed(nodes, workers=(2, 8), grows=True)


def test_what_a_worker_is_stated_to_need_is_believed_where_the_cluster_may_grow() -> None:
    stated: dict[str, Any] = {"workers": 8, "cpus_per_worker": 4, "gpu": True}
    assert placed([HEAD], **stated, grows=True) == Placement(8, cpus=4, gpus=1)
    with pytest.raises(ConfigError, match=r"places for 0 with 4 CPUs and 1 GPU each; lower what is asked for"):
        placed([Node(2)], **stated)


def test_workers_are_placed_on_what_the_cluster_grows_to() -> None:
    grown = {"nodes": 4, "cpus": 7, "gpus": 1}
    assert placed([HEAD], workers=(1, 4), grows_to=grown, grows=True) == Placement((1, 4), cpus=7, gpus=1)
    assert placed([HEAD], workers=2, grows_to=grown | {"nodes": 1, "gpus": 2}, grows=True).cpus == 3
    for cpus, fewest, there in ((8, 1, 0), (7, 5, 4)):  # larger than a node; more than there are nodes
        with pytest.raises(ConfigError, match=f"got {fewest}, the cluster has places for {there} with {cpus} CPUs"):
            placed([HEAD], workers=fewest, cpus_per_worker=cpus, grows_to=grown, grows=True)


def test_ray_of_this_process_alone_does_not_grow() -> None:
    """A config made for a cluster, tried on a laptop, must not wait for nodes that never come."""
    with pytest.raises(ConfigError, match="places for 0 with 1 GPU each"):
        placed([Node(8)], gpu=True, grows_to={"nodes": 4, "cpus": 7, "gpus": 1})


def test_batch_norm_over_workers_needs_gpus() -> None:
    with pytest.raises(ConfigError, match=r"batch_norm: sync needs GPUs; the cluster has none"):
        place(config_of(Path("data"), batch_norm="sync"), [Node(8)], grows=False)


@pytest.mark.parametrize(
    ("execution", "words"),
    [
        ({"gpus_per_worker": 0.5, "workers": (1, 2)}, "got 0.5 with 2 workers, which might share one GPU"),
        ({"gpus_per_worker": 0.5, "gpu": False}, "got 0.5 with gpu: false"),
        ({"gpus_per_worker": 2}, "less than or equal to 1"),
        ({"grows_to": {"nodes": 4, "cpus": 7}}, "gpus"),
    ],
)
def test_settings_that_cannot_be_are_refused(execution: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        config(**execution)


def test_a_placement_in_words() -> None:
    assert str(Placement((1, 4), cpus=7, gpus=1)) == "4 x (7 CPUs, 1 GPU)"
    assert str(Placement(1, cpus=1, gpus=0.5)) == "1 x (1 CPU, 0.5 GPU)"
