from __future__ import annotations

import pytest

from roadscan.errors import ConfigError
from roadscan.nodes import Node
from roadscan.scan.config import ScanConfig
from roadscan.scan.placement import Placement, advice_on_store, place

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
        ([Node(0), Node(8, 1), Node(8, 1)], {"gpus_per_actor": 0.25, "actors": 3}, Placement(3, 2, 0.25)),
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


@pytest.mark.parametrize(
    ("nodes", "fields", "placement"),
    [
        ([Node(1, 1), Node(4)], {}, Placement(1, 1, 1, 1, 4)),
        ([Node(0), Node(8, 1), Node(32)], {}, Placement(1, 1, 1, 9, 4)),  # 7 cores beside the actor are one task's
        ([Node(8, 1), Node(8, 1), Node(16), Node(2)], {}, Placement(2, 1, 1, 15, 2)),  # 3 + 3 + 8 + 1 tasks
        ([Node(4, 1), Node(16)], {"cpus_per_actor": 4}, Placement(1, 4, 1, 4, 4)),
        ([Node(4, 1), Node(16)], {"gpus_per_actor": 0.5}, Placement(2, 1, 0.5, 4, 4)),
        ([Node(4, 1), Node(1), Node(0.5)], {}, Placement(1, 1, 1, 4, 1)),
    ],
)
def test_tasks_decode_on_the_cores_that_actors_leave_free(
    nodes: list[Node], fields: dict[str, object], placement: Placement
) -> None:
    found = place(config(decode_on="all_nodes", **fields), nodes, MANY)
    assert found == placement
    used = found.actors * found.cpus + found.decoders * found.cpus_a_decoder
    assert used <= sum(node.cpus for node in nodes)


def test_actors_decode_for_themselves_unless_a_config_says_otherwise() -> None:
    assert place(config(), [Node(1, 1), Node(32)], MANY).decoders == 0


def test_there_are_no_more_decoding_tasks_than_shards() -> None:
    assert place(config(decode_on="all_nodes"), [Node(1, 1), Node(64)], 3).decoders == 3


def test_nodes_without_gpus_decode_for_nodes_that_are_still_to_come() -> None:
    growing = config(decode_on="all_nodes", grows_to={"nodes": 4, "cpus": 2, "gpus": 1})
    assert place(growing, [Node(16)], MANY, grows=True) == Placement(4, 1, 1, 4, 4)


@pytest.mark.parametrize(
    ("nodes", "fields", "words"),
    [
        ([Node(16, 1)], {}, "no node without a GPU lends cores (nodes: 16 CPUs and 1 GPUs)"),
        ([Node(0), Node(16, 1)], {}, "no node without a GPU lends cores"),  # a head that lends nothing
        ([Node(16)], {}, "no process of this scan would have a GPU (nodes: 16 CPUs)"),
        ([Node(16, 1), Node(16)], {"gpus_per_actor": 0}, "no process of this scan would have a GPU"),
    ],
)
def test_decoding_apart_is_refused_where_it_would_only_cost(
    nodes: list[Node], fields: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match="decode_on: got all_nodes, but") as refused:
        place(config(decode_on="all_nodes", **fields), nodes, MANY)
    assert words in str(refused.value)
    assert "Leave decode_on at actors" in str(refused.value)


def test_a_shard_too_large_for_an_object_store_is_told_with_the_size_that_fits() -> None:
    assert advice_on_store(100, 800, 512) is None
    told = advice_on_store(1_000_000_000, 4_000_000_000, 512)
    assert told is not None
    assert "a shard is 1000 MB" in told
    assert "has 4000 MB, of which it should take 500 at most" in told
    assert "Set shard_frames to 256 or less" in told
    assert "Set shard_frames to 1 or less" in str(advice_on_store(10**12, 1, 512))
