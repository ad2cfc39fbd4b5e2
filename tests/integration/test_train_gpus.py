"""Every way to use GPUs, on a cluster that counts two; without a card the work is done on processors, if asked for."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from support import labelled
from support.clusters import HEAD, kill_node, start_node, wait_for_nodes, wait_for_port
from support.commands import roadscan, sets
from support.training import write_config

from roadscan.demo.server import free_ports

pytestmark = [pytest.mark.ray, pytest.mark.slow]


class Counted(NamedTuple):
    """A cluster of one node with two GPUs and four processors, as Ray counts.

    Attributes:
        address: of its head.
        logs: folder of Ray Train's logs.
    """

    address: str
    logs: Path


@pytest.fixture(scope="module")
def counted() -> Iterator[Counted]:
    (port,) = free_ports(1)
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_num_prestart_python_workers", "0")
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rs-", ignore_cleanup_errors=True))
        offer = ("--num-cpus=4", "--num-gpus=2", f"--port={port}")
        stack.callback(kill_node, start_node(folder, "127.0.0.1", *HEAD, *offer))
        wait_for_port("127.0.0.1", port)
        wait_for_nodes(f"127.0.0.1:{port}", 1)
        yield Counted(f"127.0.0.1:{port}", Path(folder, "127.0.0.1", "session_latest", "logs", "train"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data")
    labelled.draw_dataset(folder, {"train": 4, "val": 2})
    return str(folder)


@pytest.fixture
def on_processors(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of this process join the cluster, and compute without cards."""
    monkeypatch.setenv("RAY_ADDRESS", counted.address)
    monkeypatch.setenv("ROADSCAN_DEVICE", "cpu")


def write_run(folder: Path, data: str, **fields: Any) -> str:
    write_config(folder, data=data, epochs=1, out=f"{folder}/model.zip", runs=f"{folder}/runs", **fields)
    return str(folder / "run.yaml")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_torch_cannot_use_ends_a_training_at_once(counted: Counted, data: str, tmp_path: Path) -> None:
    run = write_run(tmp_path, data, execution={"workers": 2})
    before = {*counted.logs.glob("ray-train-app-worker-*")}
    done = roadscan("train", run, RAY_ADDRESS=counted.address, ROADSCAN_DEVICE="")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stderr.startswith("error: a process was given a GPU, but torch")
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "runs" / "train" / "history.json").exists()
    assert len({*counted.logs.glob("ray-train-app-worker-*")} - before) == 2, "no worker was started again"


def test_a_sweep_has_trials_of_two_gpus_and_of_half_of_one(on_processors: None, data: str, tmp_path: Path) -> None:
    """Each a training as `roadscan train` makes it; where there may be one worker or two, they are two."""
    write_run(tmp_path, data)
    train = yaml.safe_load((tmp_path / "run.yaml").read_text())
    for name in ("out", "runs"):
        del train[name]
    tree = {
        "train": train | {"execution": {}}, "space": {"variant": ["n", "s"]}, "trials": 2,
        "sweeps": str(tmp_path / "sweeps"),
        "by_variant": {"n": {"execution.gpus_per_worker": 0.5}, "s": {"execution.workers": [1, 2]}},
    }  # fmt: skip
    (tmp_path / "tune.yaml").write_text(yaml.safe_dump(tree))
    plan = roadscan("tune", str(tmp_path / "tune.yaml"), "--dry-run")
    assert ["n", "1 x (1 CPU, 0.5 GPU)", "4"] in rows(plan.stdout), plan.stdout + plan.stderr
    assert ["s", "2 x (2 CPUs, 1 GPU)", "1"] in rows(plan.stdout)
    done = roadscan("tune", str(tmp_path / "tune.yaml"))
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


def test_the_doctor_counts_what_the_cluster_has(counted: Counted) -> None:
    done = roadscan("doctor", "--json", RAY_ADDRESS=counted.address)
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert found["ray"]["status"] == "ok", found["ray"]
    assert found["ray"]["found"].endswith("1 nodes, 4 cores, 2 GPUs")


@pytest.mark.gpu
def test_on_a_card_a_training_uses_bfloat16_and_nccl(data: str, tmp_path: Path) -> None:
    run = write_run(tmp_path, data, precision="bf16", execution={"workers": 1, "gpu": True})
    done = roadscan("train", run, *sets(name="card"))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "runs" / "card" / "summary.json").read_text())
    assert summary["device"].startswith("cuda: ")
    assert summary["backend"] == "nccl"
