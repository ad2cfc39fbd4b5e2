from __future__ import annotations

import pytest

from roadscan.errors import ConfigError
from roadscan.nodes import Node
from roadscan.scan.config import ScanConfig
from roadscan.scan.placement import Placement, place

MANY = 1000  # shards


def config(**fields: object) -> ScanConfig:
    return ScanConfig.model_validate({"drives": ("d",), "warehouse": "w", **fields})


@pytest.mark.parametrize(
    ("nodes", "fields", "placement"),
    [
        ([Node(2)], {}, Placement(1, 2, 0)),  # a laptop
        ([Node(16)], {}, Placement(4, 4, 0)),
        ([Node(0), Node(8), Node(8)], {}, Placement(4, 4, 0)),  # a head that lends nothing
        ([Node(16, 1)], {}, Placement(4, 4, 0.25)),
        ([Node(0), Node(8, 1), Node(8, 1)], {}, Placement(4, 4, 0.5)),
        ([Node(7, 1)], {}, Placement(2, 3, 0.5)),  # a pod on 8 cores
        ([Node(96, 8)], {}, Placement(24, 4, 1 / 3)),
        ([Node(4, 1), Node(32)], {}, Placement(1, 4, 1)),  # cores without a GPU are left alone
        ([Node(1, 1)], {}, Placement(1, 1, 1)),
        ([Node(16, 1)], {"gpus_per_actor": 1}, Placement(1, 16, 1)),
        ([Node(16, 1)], {"gpus_per_actor": 0.5}, Placement(2, 8, 0.5)),
        ([Node(16, 1)], {"gpus_per_actor": 0}, Placement(4, 4, 0)),
        ([Node(16, 1)], {"cpus_per_actor": 8}, Placement(2, 8, 0.5)),
        ([Node(16, 1)], {"actors": 2}, Placement(2, 4, 0.25)),
        ([Node(16, 2)], {"gpus_per_actor": 0.6}, Placement(2, 4, 0.6)),  # one a card, not three on two
    ],
)
def test_processes_share_cores_and_gpus(nodes: list[Node], fields: dict[str, object], placement: Placement) -> None:
    found = place(config(**fields), nodes, MANY)
    assert found == placement
    assert found.actors * found.cpus <= sum(node.cpus for node in nodes)  # nothing is given twice
    assert found.actors * found.gpus <= sum(node.gpus for node in nodes) + 1e-9


@pytest.mark.parametrize(
    ("fields", "placement"),
    [
        ({}, Placement(8, 3, 0.5)),
        ({"gpus_per_actor": 1}, Placement(4, 7, 1)),
        ({"gpus_per_actor": 0}, Placement(4, 4, 0)),
        ({"actors": 3}, Placement(3, 3, 0.5)),
    ],
)
def test_a_cluster_that_grows_is_planned_as_large_as_it_gets(fields: dict[str, object], placement: Placement) -> None:
    growth = {"nodes": 4, "cpus": 7, "gpus": 1}
    assert place(config(grows_to=growth, **fields), [Node(0)], MANY, grows=True) == placement
    assert place(config(grows_to=growth), [Node(2)], MANY, grows=False) == Placement(1, 2, 0)  # on this machine alone


def test_a_process_without_a_shard_is_not_started() -> None:
    assert place(config(), [Node(64)], 3).actors == 3
    assert place(config(), [Node(64)], 0).actors == 1


@pytest.mark.parametrize(
    ("nodes", "fields", "words"),
    [
        ([Node(0)], {}, "no machine has room for a process with 4 CPUs; there are 0 CPUs. Say in grows_to what"),
        ([Node(0)], {"gpus_per_actor": 1}, "no machine has room for a process with 1 CPUs and 1 GPUs"),
        ([Node(4, 1)], {"cpus_per_actor": 5}, "no machine has room for a process with 5 CPUs and 1 GPUs"),
        ([], {"actors": 4}, "there are none"),
    ],
)
def test_a_cluster_without_room_is_an_error_not_one_slow_process(
    nodes: list[Node], fields: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        place(config(**fields), nodes, MANY, grows=True)


def test_threads_follow_the_cores() -> None:
    assert [Placement(1, cpus, 0).threads for cpus in (1, 2, 4, 16, 64)] == [8, 8, 16, 64, 64]
