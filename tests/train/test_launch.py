"""Where the workers of a run are put, and what the driver hears of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from together import config_of

from roadscan.errors import ConfigError, DatasetError
from roadscan.train import launch
from roadscan.train.launch import Places, find_places

HEAD: dict[str, float] = {}  # a head with --num-cpus 0 lists no CPU


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The cluster's nodes; empty, for the test to fill."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(launch.ray, "nodes", lambda: found)
    return found


def alive(*resources: dict[str, float]) -> list[dict[str, Any]]:
    return [{"Alive": True, "Resources": each} for each in resources]


def config(batch: int = 64, **execution: Any) -> Any:
    return config_of(Path("data"), batch=batch, execution=execution)


@pytest.mark.parametrize(
    ("resources", "workers", "expected"),
    [
        ([{"CPU": 8}], 1, 8),
        ([{"CPU": 8}], 2, 4),
        ([{"CPU": 8}], 3, 2),
        ([{"CPU": 2}], 2, 1),
        ([HEAD, {"CPU": 4}, {"CPU": 4}], 2, 4),
        ([HEAD, {"CPU": 4}, {"CPU": 4}], 3, 2),
        ([{"CPU": 8}, {"CPU": 2}], 2, 4),  # both on the larger
        ([{"CPU": 8}, {"CPU": 2}], 5, 2),
        ([{"CPU": 2.5}], 1, 2),
    ],
)
def test_processors_are_shared_out_evenly(
    resources: list[dict[str, float]], workers: int, expected: int, nodes: list[dict[str, Any]]
) -> None:
    nodes += alive(*resources)
    assert find_places(config(workers=workers)) == Places(workers, gpu=False, cpus=expected)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([{"CPU": 8}], 2),
        ([{"CPU": 1}] * 4, 1),
        ([{"CPU": 3}], 1),  # three
        ([{"CPU": 4}, {"CPU": 2}], 1),  # four, so not two of two
        ([HEAD, {"CPU": 16}], 4),
    ],
)
def test_a_range_of_workers_takes_room_for_as_many_as_there_is(
    resources: list[dict[str, float]], expected: int, nodes: list[dict[str, Any]]
) -> None:
    nodes += alive(*resources)
    assert find_places(config(workers=(1, 4))) == Places((1, 4), gpu=False, cpus=expected)


def test_a_range_of_one_number_is_that_number(nodes: list[dict[str, Any]]) -> None:
    nodes += alive({"CPU": 4})
    assert find_places(config(workers=(2, 2))).workers == 2


def test_gpus_are_used_where_there_are_any(nodes: list[dict[str, Any]]) -> None:
    nodes += alive({"CPU": 16}, {"CPU": 8, "GPU": 2}, {"CPU": 8, "GPU": 2})
    assert find_places(config(workers=4)) == Places(4, gpu=True, cpus=4)
    assert find_places(config(workers=4, gpu=False)) == Places(4, gpu=False, cpus=8)


def test_a_worker_without_a_gpu_is_no_place_for_one_with(nodes: list[dict[str, Any]]) -> None:
    nodes += alive({"CPU": 64}, {"CPU": 8, "GPU": 1})
    with pytest.raises(ConfigError, match=r"workers: got 2, the cluster has places for 1 with a GPU each"):
        find_places(config(workers=2))


@pytest.mark.parametrize("resources", [[HEAD], [{"CPU": 0.5}], [HEAD, {"CPU": 1}]])
def test_too_few_places_are_refused(resources: list[dict[str, float]], nodes: list[dict[str, Any]]) -> None:
    nodes += alive(*resources)
    places = int(sum(each.get("CPU", 0) for each in resources))
    with pytest.raises(ConfigError, match=rf"workers: got 2, the cluster has places for {places}; lower it"):
        find_places(config(workers=(2, 8)))


def test_dead_nodes_are_no_places(nodes: list[dict[str, Any]]) -> None:
    nodes += [*alive({"CPU": 1}), {"Alive": False, "Resources": {"CPU": 8}}]
    with pytest.raises(ConfigError, match="places for 1"):
        find_places(config(workers=2))


def test_a_stated_number_of_processors_is_believed_as_the_cluster_may_grow(nodes: list[dict[str, Any]]) -> None:
    nodes += alive(HEAD)
    assert find_places(config(workers=8, cpus_per_worker=4)) == Places(8, gpu=False, cpus=4)


def test_batch_norm_over_workers_needs_gpus(nodes: list[dict[str, Any]]) -> None:
    nodes += alive({"CPU": 8})
    with pytest.raises(ConfigError, match=r"batch_norm: sync needs GPUs; the cluster has none"):
        find_places(config_of(Path("data"), batch_norm="sync"))


def test_the_driver_hears_the_first_mistake() -> None:
    watch = launch._Watch()
    assert watch.failure() is None
    watch.fail(first := DatasetError("first"))
    watch.fail(DatasetError("second"))
    assert watch.failure() is first
