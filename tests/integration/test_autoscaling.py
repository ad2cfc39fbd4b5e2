"""Trainings and sweeps with the shipped execution settings, on a cluster that starts without a place for work.

Ray's autoscaler adds a node with seven processors and a GPU, as Ray counts them; the work is done on this machine.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from support import labelled
from support.clusters import HEAD, kill_node, start_node, wait_for_port, write_autoscaling
from support.commands import roadscan
from support.manifests import K8S
from support.training import SETTINGS

from roadscan.demo.server import free_ports

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SHIPPED = K8S / "overlays" / "production" / "configs"


@pytest.fixture
def grows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster of one head without processors, which grows by one node; jobs of this process join it."""
    (port,) = free_ports(1)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_num_prestart_python_workers", "0")
    with tempfile.TemporaryDirectory(prefix="rs-", ignore_cleanup_errors=True) as folder:
        config = write_autoscaling(folder, f"127.0.0.1:{port}", cpus=7, gpus=1, most=1)
        with pytest.MonkeyPatch.context() as patch:  # of the head alone
            patch.setenv("RAY_FAKE_CLUSTER", "1")
            patch.setenv("RAY_OVERRIDE_NODE_ID_FOR_TESTING", FAKE_HEAD_NODE_ID)
            patch.setenv("AUTOSCALER_UPDATE_INTERVAL_S", "1")
            head = start_node(folder, "127.0.0.1", *HEAD, f"--port={port}", f"--autoscaling-config={config}")
        try:
            wait_for_port("127.0.0.1", port)
            monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
            monkeypatch.setenv("ROADSCAN_DEVICE", "cpu")  # there is no card
            yield
        finally:
            kill_node(head)


def shipped(name: str) -> dict[str, Any]:
    """What a shipped config says of execution; but images are loaded in the worker, since the processors are not."""
    tree = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text())
    return tree.get("train", tree)["execution"] | {"loader_workers": 0}


def settings(folder: Path, execution: dict[str, Any]) -> dict[str, Any]:
    labelled.draw_dataset(folder / "data", {"train": 4, "val": 2})
    return SETTINGS | {"data": str(folder / "data"), "epochs": 1, "execution": execution}


def test_a_training_brings_its_nodes_up_and_ends(grows: None, tmp_path: Path) -> None:
    made = settings(tmp_path, shipped("train")) | {"runs": str(tmp_path / "runs"), "out": str(tmp_path / "model.zip")}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(made))
    done = roadscan("train", str(tmp_path / "train.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "runs" / "train" / "summary.json").read_text())
    assert (summary["epochs"], summary["device"], summary["backend"]) == (1, "cpu", "gloo")
    (row,) = json.loads((tmp_path / "runs" / "train" / "history.json").read_text())
    assert row["workers"] == 1  # of [1, 4]: it begins with those that are there


def test_a_sweep_brings_its_nodes_up_and_ends(grows: None, tmp_path: Path) -> None:
    tree = {
        "train": settings(tmp_path, shipped("tune")), "space": {"loss.gamma": [0, 2]}, "trials": 1,
        "sweeps": str(tmp_path / "sweeps"),
    }  # fmt: skip
    (tmp_path / "tune.yaml").write_text(yaml.safe_dump(tree))
    done = roadscan("tune", str(tmp_path / "tune.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "sweeps" / "sweep" / "sweep.json").read_text())
    assert (summary["states"]["complete"], summary["devices"]) == (1, ["cpu"])
