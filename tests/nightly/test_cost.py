from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.commands import ROOT

from roadscan.cluster import NodeKind
from roadscan.nightly.cost import NodeMeter

HEAD, GPU = NodeKind("head", works=False), NodeKind("gpu", works=True)


class Cluster:
    """Nodes that come and go on a clock of the test's own."""

    def __init__(self) -> None:
        self.now, self.nodes = 0.0, [HEAD]
        self.known = True

    def look(self) -> list[NodeKind] | None:
        return list(self.nodes) if self.known else None

    def meter(self) -> NodeMeter:
        return NodeMeter(self.look, lambda: self.now)


def test_each_node_is_counted_while_it_is_there() -> None:
    cluster = Cluster()
    meter = cluster.meter()
    meter.look()
    cluster.now, cluster.nodes = 10.0, [HEAD, GPU, GPU]
    meter.look()
    cluster.now, cluster.nodes = 40.0, [HEAD, GPU]
    meter.look()
    cluster.now = 50.0
    assert meter.seconds() == {"head": 50.0, "gpu": 70.0}
    assert meter.working_s() == 70.0


def test_the_time_until_the_cluster_is_joined_is_of_the_nodes_that_were_there_then() -> None:
    cluster = Cluster()
    cluster.known = False
    meter = cluster.meter()
    meter.look()
    cluster.now = 7.0
    assert meter.seconds() == {}
    cluster.known = True
    meter.look()
    assert meter.seconds() == {"head": 7.0}


def test_a_cluster_that_does_not_answer_is_what_it_was() -> None:
    cluster = Cluster()
    meter = cluster.meter()
    meter.look()
    cluster.now, cluster.known = 5.0, False
    meter.look()
    assert meter.seconds() == {"head": 5.0}


def test_this_machine_alone_is_a_head() -> None:
    with NodeMeter() as meter:
        assert list(meter.seconds()) == ["head"]


GROWS = """
import time
from ray.cluster_utils import Cluster
import ray
from roadscan.cluster import node_kinds
from roadscan.nightly.cost import NodeMeter

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
ray.init(address=cluster.address)
with NodeMeter() as meter:
    worker = cluster.add_node(num_cpus=1, labels={"ray.io/node-group": "gpu-spot"})
    by_hand = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    print(sorted(node_kinds()))
    meter.look()
    time.sleep(0.2)
    seconds = meter.seconds()
    print(sorted(seconds), 0 < seconds["worker"] <= seconds["gpu-spot"] < seconds["head"])
"""


@pytest.mark.ray
def test_the_kinds_of_a_cluster_are_its_head_and_the_groups_of_its_workers() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROWS], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kinds, counted = done.stdout.splitlines()[-2:]
    assert kinds == str([NodeKind("gpu-spot", True), NodeKind("head", False), NodeKind("worker", True)])
    assert counted == "['gpu-spot', 'head', 'worker'] True"
