"""What the shipped clusters offer to jobs, read from their own files: at the start, and as large as they grow."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml

from roadscan.nodes import Node
from support.manifests import Manifest

AWS = Path(__file__).parents[2] / "cluster" / "aws.yaml"


class Offer(NamedTuple):
    """The nodes of a cluster, head included."""

    start: list[Node]
    full: list[Node]


def of_kuberay(manifest: Manifest) -> Offer:
    """Of a RayJob or a RayCluster, as KubeRay starts it."""
    spec = manifest["spec"].get("rayClusterSpec", manifest["spec"])
    start, full = [_pod(spec["headGroupSpec"])], [_pod(spec["headGroupSpec"])]
    for group in spec["workerGroupSpecs"]:
        start += [_pod(group)] * group["replicas"]
        full += [_pod(group)] * group["maxReplicas"]
    return Offer(start, full)


def of_aws() -> Offer:
    """Of cluster/aws.yaml, as `ray up` starts it; two kinds of alike workers share one ceiling."""
    tree = yaml.safe_load(AWS.read_text())
    kinds = dict(tree["available_node_types"])
    head = _machine(kinds.pop(tree["head_node_type"]))
    (worker,) = {_machine(kind) for kind in kinds.values()}
    least = sum(kind["min_workers"] for kind in kinds.values())
    most = min(tree["max_workers"], sum(kind["max_workers"] for kind in kinds.values()))
    return Offer([head, *[worker] * least], [head, *[worker] * most])


def _machine(kind: Manifest) -> Node:
    return Node(kind["resources"]["CPU"], kind["resources"].get("GPU", 0))


def _pod(group: Manifest) -> Node:
    """As Ray counts: what it is started with, else the limits of the pod."""
    limits, said = group["template"]["spec"]["containers"][0]["resources"]["limits"], group["rayStartParams"]
    return Node(
        float(said.get("num-cpus", limits["cpu"])), float(said.get("num-gpus", limits.get("nvidia.com/gpu", 0)))
    )
