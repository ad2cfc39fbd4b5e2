"""Scans and nights on clusters with GPUs, as Ray schedules them: the GPUs are logical, so that any machine can test it.

What a process computes on is told to it by ``ROADSCAN_DEVICE=cpu``; without it, it must refuse a GPU that is not there.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import yaml
from support.clusters import HEAD, kill_node, know_a_secret, start_node, wait_for_nodes, wait_for_port
from support.commands import ROOT, roadscan, sets
from support.drives import make_drive

from roadscan.demo.server import free_ports
from roadscan.model.device import OVERRIDE
from roadscan.warehouse import Warehouse

pytestmark = [pytest.mark.ray, pytest.mark.slow]


class Head(NamedTuple):
    """Of a cluster: it lends nothing.

    Attributes:
        folder: of its nodes.
        address: where jobs and nodes join.
    """

    folder: str
    address: str


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    (port,) = free_ports(1)
    with ExitStack() as stack:  # a short path, for sockets
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rs-", ignore_cleanup_errors=True))
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        know_a_secret(Path(folder), environment)
        stack.callback(kill_node, start_node(folder, "127.0.0.1", *HEAD, f"--port={port}"))
        wait_for_port("127.0.0.1", port)
        yield Head(folder, f"127.0.0.1:{port}")


@pytest.fixture(scope="module")
def cluster(head: Head) -> Iterator[str]:
    """The head, and a machine with eight cores and a GPU; the address."""
    node = start_node(head.folder, "127.0.0.2", f"--address={head.address}", "--num-cpus=8", "--num-gpus=1")
    try:
        wait_for_nodes(head.address, 2)
        yield head.address
    finally:
        kill_node(node)


def scan_of(folder: Path, model: str, **fields: object) -> list[str]:
    drive = make_drive(str(folder / "drives/d1"), n=12)
    own = {
        "drives": f"[{drive}]",
        "warehouse": folder / "warehouse",
        "model": model,
        "summary": folder / "summary.json",
    }
    return ["scan", *sets(**own, shard_frames=1, backend="torch", **fields)]


def test_a_cluster_that_lends_nothing_yet_needs_to_be_told_how_many(
    head: Head, tmp_path: Path, detect_model: str
) -> None:
    """One that grows from no machines, as this does for the next tests: it would be one process on a CPU."""
    done = roadscan(*scan_of(tmp_path, detect_model), RAY_ADDRESS=head.address)
    assert done.returncode == 1
    assert "no machine has room for a process" in done.stderr
    assert "Say in grows_to what the cluster grows to" in done.stderr


def test_a_scan_runs_on_the_gpus_of_a_cluster(cluster: str, tmp_path: Path, detect_model: str) -> None:
    """By two processes a GPU, as each has four of its eight cores; other numbers: `scan/test_placement`.

    Several machines: `test_scan_decoders`.
    """
    done = roadscan(*scan_of(tmp_path, detect_model), RAY_ADDRESS=cluster, **{OVERRIDE: "cpu"})
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "summary.json").read_text())
    assert (told["frames"], told["frames_ok"]) == (12, 12)
    assert list(told["devices"]) == ["cpu, torch float32"]
    assert 1 <= told["devices"]["cpu, torch float32"] <= 2
    house = Warehouse(str(tmp_path / "warehouse"))
    ids = house.read(house.current(), "frames")["frame_id"].to_pylist()
    assert sorted(ids) == [f"{i:06d}" for i in range(12)]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU that torch can use")
def test_an_actor_with_a_gpu_that_torch_cannot_use_is_an_error(cluster: str, tmp_path: Path, detect_model: str) -> None:
    done = roadscan(*scan_of(tmp_path, detect_model, gpus_per_actor=1), RAY_ADDRESS=cluster, **{OVERRIDE: ""})
    assert done.returncode == 1
    assert "a process was given a GPU, but torch" in done.stderr
    assert "To compute on CPUs, ask for no GPUs" in done.stderr
    assert "Traceback" not in done.stderr
    assert Warehouse(str(tmp_path / "warehouse")).current().number == 0


def test_a_night_runs_on_the_gpus_of_a_cluster(cluster: str, tmp_path: Path, detect_model: str) -> None:
    make_drive(str(tmp_path / "drives/d1"), n=3)
    config = yaml.safe_load((ROOT / "jobs/configs/nightly.yaml").read_text())
    config["warehouse"] = str(tmp_path / "warehouse")
    config["scan"] |= {"drives": [str(tmp_path / "drives")], "model": detect_model, "backend": "torch"}
    (tmp_path / "nightly.yaml").write_text(yaml.safe_dump(config))
    night = ["nightly", str(tmp_path / "nightly.yaml"), "--date", "2026-11-01"]
    done = roadscan(*night, RAY_ADDRESS=cluster, **{OVERRIDE: "cpu"})
    assert done.returncode == 0, done.stdout + done.stderr
    (log,) = (tmp_path / "warehouse/logs").glob("nightly-*.json")
    told = json.loads(log.read_text())
    assert (told["outcome"], told["frames_ok"], told["devices"]) == ("complete", 3, {"cpu, torch bfloat16": 1})
