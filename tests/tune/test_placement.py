"""How many trials find room, of what size, on clusters that are there and on ones that grow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadscan.errors import ConfigError
from roadscan.nodes import Node
from roadscan.train.placement import Placement
from roadscan.tune.config import TuneConfig
from roadscan.tune.placement import SweepPlan, fits, place_trials

HEAD = Node()
GROWN = {"nodes": 8, "cpus": 7, "gpus": 1}


def planned(
    nodes: list[Node], *, grows: bool = False, execution: dict[str, Any] | None = None, **fields: Any
) -> SweepPlan:
    tree = {"train": {"data": "d", "batch": 64, "execution": execution or {}}, "space": {"variant": ["n", "x"]}}
    return place_trials(TuneConfig.model_validate(tree | fields), nodes, grows=grows)


@pytest.mark.parametrize(
    ("nodes", "workers", "expected"),
    [
        ([], [], True),
        ([], [(1, 0)], False),
        ([Node(4)], [(2, 0), (2, 0)], True),
        ([Node(3), Node(3)], [(2, 0), (2, 0), (2, 0)], False),  # six cores, but no third place for two
        ([Node(3), Node(1)], [(1, 0), (3, 0)], True),  # the larger first
        ([Node(8, 1)], [(4, 0.5), (4, 0.5)], True),
        ([Node(8, 1)], [(2, 1), (2, 0.5)], False),
        ([Node(8, 2)], [(1, 0.6)] * 3, False),  # 1.8 GPUs, but no card with 0.6 left
        ([Node(8, 2)], [(1, 0.6), (1, 0.6), (1, 0.4), (1, 0.4)], True),
        ([Node(8, 1)], [(1, 1 / 3)] * 3, True),
        ([Node(20, 1)], [(1, 0.1)] * 10, True),
        ([Node(20, 1)], [(1, 0.1)] * 11, False),
        ([Node(1, 1), Node(8)], [(2, 1)], False),
    ],
)
def test_workers_find_room(nodes: list[Node], workers: list[tuple[int, float]], expected: bool) -> None:
    assert fits(nodes, workers) == expected


@given(
    st.lists(st.builds(Node, st.integers(0, 8), st.integers(0, 4)), max_size=4),
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0, 0.3, 0.5, 1])), max_size=6),
)
def test_nothing_fits_beyond_what_there_is(nodes: list[Node], workers: list[tuple[int, float]]) -> None:
    if fits(nodes, workers):
        assert sum(cpus for cpus, _ in workers) <= sum(node.cpus for node in nodes)
        assert sum(gpus for _, gpus in workers) <= sum(node.gpus for node in nodes) + 1e-6
    if all(gpus in (0, 1) for _, gpus in workers):  # of parts, the first that has room may leave none for a larger one
        assert fits([*nodes, *map(Node._make, workers)], workers)


def test_trials_with_one_two_and_half_a_gpu() -> None:
    fields = {
        "space": {"variant": ["n", "s", "x"]},
        "by_variant": {"n": {"execution.gpus_per_worker": 0.5}, "x": {"execution.workers": 2}},
    }
    plan = planned([Node(8, 2)], **fields)
    assert plan.placements == {
        "n": Placement(1, cpus=2, gpus=0.5), "s": Placement(1, cpus=4, gpus=1), "x": Placement(2, cpus=4, gpus=1)
    }  # fmt: skip
    assert plan.at_once == {"n": 4, "s": 2, "x": 1}
    assert plan.has_room(["n", "n", "s"])
    assert not plan.has_room(["n", "x"])


def test_a_cluster_that_starts_from_none_is_planned_as_large_as_it_grows() -> None:
    """On the first of its nodes alone, a trial of two workers would find no place; with all, eight of one run."""
    execution = {"gpu": True, "grows_to": GROWN}
    plan = planned([HEAD], grows=True, execution=execution, by_variant={"x": {"execution.workers": 4}})
    assert plan.placements == {"n": Placement(1, cpus=7, gpus=1), "x": Placement(4, cpus=7, gpus=1)}
    assert plan.at_once == {"n": 8, "x": 2}
    assert plan.has_room(["x", "n", "n", "n", "n"])
    assert not plan.has_room(["x", "n", "n", "n", "n", "n"])
    with pytest.raises(ConfigError, match=r"variant x: execution\.workers: got 9, the cluster has places for 8"):
        planned([HEAD], grows=True, execution=execution, by_variant={"x": {"execution.workers": 9}})


def test_max_concurrent_bounds_what_there_is_room_for() -> None:
    plan = planned([HEAD], grows=True, execution={"gpu": True, "grows_to": GROWN}, max_concurrent=2)
    assert plan.at_once == {"n": 2, "x": 2}


def test_without_a_word_on_growth_max_concurrent_is_believed_but_not_where_nothing_grows() -> None:
    stated: dict[str, Any] = {"execution": {"gpu": True, "cpus_per_worker": 4}, "max_concurrent": 3}
    assert planned([HEAD], grows=True, **stated).at_once == {"n": 3, "x": 3}
    with pytest.raises(ConfigError, match=r"variant n: .*places for 0"):
        planned([Node(8)], **stated)


def test_a_variant_without_room_is_named() -> None:
    execution = {"cpus_per_worker": 4}
    with pytest.raises(ConfigError, match=r"variant x: .*got 3, the cluster has places for 2 with 4 CPUs each"):
        planned([Node(8)], execution=execution, by_variant={"x": {"execution.workers": 3}})
    with pytest.raises(ConfigError, match=r"variant x: a trial needs 3 x \(4 CPUs\), which the cluster has not"):
        planned([Node(8)], execution=execution, by_variant={"x": {"execution.workers": [1, 3]}})


def test_a_placed_trial_needs_no_cluster_to_be_planned_again() -> None:
    execution = {"gpu": None, "grows_to": GROWN, "max_failures": 7}
    plan = planned([HEAD], grows=True, execution=execution)
    config = TuneConfig.model_validate({"train": {"data": "d", "execution": execution}, "space": {"variant": ["n"]}})
    placed = plan.placed(config.train).execution
    assert (placed.workers, placed.gpu, placed.cpus_per_worker, placed.grows_to) == (1, True, 7, None)
    assert placed.max_failures == 7
