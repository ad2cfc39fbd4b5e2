"""Trainings and sweeps with the shipped execution settings and GPUs, on a cluster that starts without a place for work.

Ray's autoscaler adds a node with fourteen processors and two GPUs, as Ray counts them; the work is done on this
machine, and on its processors where a test says so.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID
from support import labelled
from support.clusters import HEAD, kill_node, start_node, wait_for_port, write_autoscaling
from support.commands import roadscan, sets
from support.manifests import K8S
from support.training import SETTINGS

from roadscan.demo.server import free_ports

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SHIPPED = K8S / "overlays" / "production" / "configs"


@pytest.fixture
def grows(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cluster of one head without processors, which grows by one node; jobs of this process join it. Its folder."""
    (port,) = free_ports(1)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_num_prestart_python_workers", "0")
    with tempfile.TemporaryDirectory(prefix="rs-", ignore_cleanup_errors=True) as folder:
        config = write_autoscaling(folder, f"127.0.0.1:{port}", cpus=14, gpus=2, most=1)
        with pytest.MonkeyPatch.context() as patch:  # of the head alone
            patch.setenv("RAY_FAKE_CLUSTER", "1")
            patch.setenv("RAY_OVERRIDE_NODE_ID_FOR_TESTING", FAKE_HEAD_NODE_ID)
            patch.setenv("AUTOSCALER_UPDATE_INTERVAL_S", "1")
            head = start_node(folder, "127.0.0.1", *HEAD, f"--port={port}", f"--autoscaling-config={config}")
        try:
            wait_for_port("127.0.0.1", port)
            monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
            yield Path(folder)
        finally:
            kill_node(head)


def shipped(name: str) -> dict[str, Any]:
    """What a shipped config says of execution; but images are loaded in the worker, since the processors are not."""
    tree = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text())
    return tree.get("train", tree)["execution"] | {"loader_workers": 0}


def settings(folder: Path, execution: dict[str, Any]) -> dict[str, Any]:
    labelled.draw_dataset(folder / "data", {"train": 4, "val": 2})
    return SETTINGS | {"data": str(folder / "data"), "epochs": 1, "execution": execution}


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_training_brings_its_nodes_up_and_ends_at_once_where_torch_cannot_use_their_gpus(
    grows: Path, tmp_path: Path
) -> None:
    made = settings(tmp_path, shipped("train")) | {"runs": str(tmp_path / "runs"), "out": str(tmp_path / "model.zip")}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(made))
    done = roadscan("train", str(tmp_path / "train.yaml"), ROADSCAN_DEVICE="")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("error: a process was given a GPU, but torch")
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "runs" / "train" / "history.json").exists()
    # Of [1, 4] workers those that there is room for, and none was started again.
    started = [*(grows / "127.0.0.1" / "session_latest" / "logs" / "train").glob("ray-train-app-worker-*")]
    assert len(started) == 2


def test_a_sweep_brings_its_nodes_up_and_has_trials_of_two_gpus_and_of_half_of_one(
    grows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each a training as `roadscan train` makes it; where there may be one worker or two, they are two."""
    monkeypatch.setenv("ROADSCAN_DEVICE", "cpu")  # there is no card
    tree = {
        "train": settings(tmp_path, shipped("tune")), "space": {"variant": ["n", "s"]}, "trials": 2,
        "sweeps": str(tmp_path / "sweeps"),
        "by_variant": {"n": {"execution.gpus_per_worker": 0.5}, "s": {"execution.workers": [1, 2]}},
    }  # fmt: skip
    (tmp_path / "tune.yaml").write_text(yaml.safe_dump(tree))
    plan = roadscan("tune", str(tmp_path / "tune.yaml"), "--dry-run")
    assert ["n", "1 x (3 CPUs, 0.5 GPU)", "16"] in rows(plan.stdout), plan.stdout + plan.stderr  # of eight GPUs
    assert ["s", "2 x (7 CPUs, 1 GPU)", "4"] in rows(plan.stdout)
    done = roadscan("tune", str(tmp_path / "tune.yaml"), *sets(max_concurrent=1))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "sweeps" / "sweep" / "sweep.json").read_text())
    assert (summary["states"]["complete"], summary["devices"]) == (2, ["cpu"])
    epochs = [
        json.loads((tmp_path / f"sweeps/sweep/trials/trial-{number:04d}/history.json").read_text()) for number in (0, 1)
    ]
    assert [one["workers"] for (one,) in epochs] == [1, 2]


def rows(table: str) -> list[list[str]]:
    """The cells of a printed table."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in table.splitlines()]


@pytest.mark.gpu
def test_on_a_card_a_training_uses_bfloat16_and_nccl(tmp_path: Path) -> None:
    one = settings(tmp_path, {"workers": 1, "gpu": True}) | {"precision": "bf16", "name": "card"}
    own = {"runs": str(tmp_path / "runs"), "out": str(tmp_path / "model.zip")}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(one | own))
    done = roadscan("train", str(tmp_path / "train.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "runs" / "card" / "summary.json").read_text())
    assert summary["device"].startswith("cuda: ")
    assert summary["backend"] == "nccl"
