"""Scans whose images are decoded on nodes without a GPU, for the one that has it; also while such nodes are lost.

The GPUs are logical, and all nodes are on this machine: that a task ran on another node is told by its address.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest
from support.clusters import HEAD, kill_node, know_a_secret, start_node, wait_for_nodes, wait_for_port
from support.commands import PROGRAM, roadscan, sets
from support.drives import jpeg, make_drive
from support.faults import FAULTY_DECODER
from support.staging import commits

from roadscan.demo.server import free_ports
from roadscan.model.device import OVERRIDE
from roadscan.scan import ledger
from roadscan.warehouse import Warehouse

pytestmark = [pytest.mark.ray, pytest.mark.slow]

GPU = ("--num-cpus=1", "--num-gpus=1")
CORES = ("--num-cpus=2", "--num-gpus=0")
#: A scan whose drive is replaced after it was planned; prints what the scan's user is told.
PLAN_THEN_CHANGE = """
import sys
from pathlib import Path
from roadscan.scan.config import ScanConfig
from roadscan.scan.plan import plan_scan
from roadscan.scan.run import run_scan
config = ScanConfig.model_validate_json(sys.argv[1])
plan = plan_scan(config)
manifest = Path(config.drives[0], "drive.json")
manifest.write_text(manifest.read_text() + " ")
print(run_scan(config, plan=plan).left_out[config.drives[0]])
"""


@dataclass
class Cluster:
    """A head that lends nothing, and nodes that come and go."""

    folder: str
    port: int
    nodes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, host: str, *offers: str) -> None:
        self.nodes[host] = start_node(self.folder, host, f"--address={self.address}", *offers)

    def kill(self, host: str) -> None:
        kill_node(self.nodes.pop(host))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A machine with two cores and no GPU, and one with a GPU and a single core."""
    (port,) = free_ports(1)
    with ExitStack() as stack:  # a short path, for sockets
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rs-", ignore_cleanup_errors=True))
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        know_a_secret(Path(folder), environment)
        environment.setenv("PYTHONPATH", folder, prepend=":")
        Path(folder, "sitecustomize.py").write_text(FAULTY_DECODER)
        stack.callback(kill_node, start_node(folder, "127.0.0.1", *HEAD, f"--port={port}"))
        wait_for_port("127.0.0.1", port)
        one = Cluster(folder, port)
        stack.callback(lambda: [kill_node(node) for node in one.nodes.values()])
        one.start("127.0.0.2", *CORES)
        one.start("127.0.0.3", *GPU)
        wait_for_nodes(one.address, 3)
        yield one


def scan_of(folder: Path, drive: str, model: str, **fields: object) -> list[str]:
    own = {"drives": f"[{drive}]", "warehouse": folder / "warehouse", "summary": folder / "summary.json"}
    return ["scan", *sets(**own, model=model, backend="torch", confidence=0.4, cpus_per_actor=1, **fields)]


def rows_of(folder: Path) -> dict[str, pa.Table]:
    house = Warehouse(str(folder / "warehouse"))
    keys = {"observations": "observation_id", "frames": "frame_id"}
    return {table: house.read(house.current(), table).sort_by(key) for table, key in keys.items()}


def told_of(folder: Path) -> dict[str, object]:
    return json.loads((folder / "summary.json").read_text())


def test_nodes_without_a_gpu_decode_and_the_rows_are_the_same(
    cluster: Cluster, tmp_path: Path, detect_model: str
) -> None:
    drive = make_drive(
        str(tmp_path / "d1"), n=24, images={3: b"", 5: None, 7: jpeg(7)[:3000]}, replace={9: {"lon": None}}
    )
    environment = {"RAY_ADDRESS": cluster.address, OVERRIDE: "cpu"}
    for where in ("actors", "all_nodes"):
        done = roadscan(*scan_of(tmp_path / where, drive, detect_model, shard_frames=4, decode_on=where), **environment)
        assert done.returncode == 0, done.stderr
    fused, apart = told_of(tmp_path / "actors"), told_of(tmp_path / "all_nodes")
    assert fused["decoding_tasks"] == {}
    assert apart["decoding_tasks"] == {"127.0.0.2": 6}  # the GPU's only core is its actor's
    assert apart["devices"] == {"cpu, torch float32": 1}
    assert (apart["frames_ok"], apart["frames_quarantined"]) == (20, 4)
    assert apart["reasons"] == {"empty": 1, "missing": 1, "truncated": 1, "no_gps": 1}
    expected = rows_of(tmp_path / "actors")
    assert expected["observations"].num_rows > 0
    assert rows_of(tmp_path / "all_nodes") == expected
    assert "shard_frames" not in done.stderr


def test_nodes_that_are_lost_on_either_side_lose_no_frame(cluster: Cluster, tmp_path: Path, detect_model: str) -> None:
    cluster.start("127.0.0.4", *CORES)
    cluster.start("127.0.0.5", *GPU)
    wait_for_nodes(cluster.address, 5)
    drive = make_drive(str(tmp_path / "d1"), n=160)
    fields = {"shard_frames": 2, "decode_on": "all_nodes"}
    command = [PROGRAM, *scan_of(tmp_path, drive, detect_model, **fields)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", cluster.address)
        patch.setenv(OVERRIDE, "cpu")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
            wait_for_commits(tmp_path, 2)
            cluster.kill("127.0.0.4")
            wait_for_commits(tmp_path, 6)
            cluster.kill("127.0.0.5")
            _, err = program.communicate(timeout=400)
    assert program.returncode == 0, err
    told = told_of(tmp_path)
    assert (told["frames"], told["frames_ok"], told["shards"]) == (160, 160, 80)
    assert set(told["decoding_tasks"]) <= {"127.0.0.2", "127.0.0.4"}  # type: ignore[call-overload]
    frames = rows_of(tmp_path)["frames"]
    assert frames["frame_id"].to_pylist() == [f"{index:06d}" for index in range(160)]
    alone = roadscan(*scan_of(tmp_path / "alone", drive, detect_model, shard_frames=2, actors=1), **{OVERRIDE: "cpu"})
    assert alone.returncode == 0, alone.stderr
    assert rows_of(tmp_path / "alone") == rows_of(tmp_path)


def wait_for_commits(folder: Path, count: int) -> None:
    store, deadline = Warehouse(str(folder / "warehouse")).store, time.monotonic() + 180
    while len(commits(store)) < count:
        assert time.monotonic() < deadline, "no commit within three minutes"
        time.sleep(0.05)


def test_shards_that_are_large_are_told_first_and_a_drive_that_is_another_than_was_planned(
    cluster: Cluster, tmp_path: Path, detect_model: str
) -> None:
    drive = make_drive(str(tmp_path / "d1"), n=4)
    config = {
        "drives": [drive],
        "warehouse": str(tmp_path / "warehouse"),
        "model": detect_model,
        "decode_on": "all_nodes",
        "image_size_px": 2048,
    }
    done = subprocess.run(
        [sys.executable, "-c", PLAN_THEN_CHANGE, json.dumps(config)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "RAY_ADDRESS": cluster.address, OVERRIDE: "cpu"},
    )  # fmt: skip
    reason = f"{drive}, frames 0 to 3: the drive changed while it was being scanned; run again"
    assert done.stdout == f"{reason}\n", done.stderr
    assert "decoded, a shard is 28 MB, and the smallest object store on its way has 157 MB" in done.stderr
    assert Warehouse(str(tmp_path / "warehouse")).current().number == 0


@pytest.mark.parametrize("decode_on", ["all_nodes", "actors"])
def test_an_image_that_kills_every_decoder_is_a_frame_in_quarantine(
    cluster: Cluster, tmp_path: Path, detect_model: str, decode_on: str
) -> None:
    drive = make_drive(str(tmp_path / "d1"), n=4, images={2: jpeg(2) + b"poison"})
    scan = scan_of(tmp_path, drive, detect_model, decode_on=decode_on)
    done = roadscan(*scan, RAY_ADDRESS=cluster.address, **{OVERRIDE: "cpu"})
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    frames = rows_of(tmp_path)["frames"]
    assert frames["status"].to_pylist() == ["ok", "ok", "quarantined", "ok"]
    assert frames["reason"][2].as_py() == "crashed: whoever decodes it ends with signal SIGABRT"


def test_a_scan_on_this_machine_alone_has_no_nodes_that_decode(tmp_path: Path, detect_model: str) -> None:
    drive = make_drive(str(tmp_path / "d1"), n=1)
    done = roadscan(*scan_of(tmp_path, drive, detect_model, decode_on="all_nodes"))
    assert done.returncode == 1
    assert "decode_on: got all_nodes, but this scan is on this machine alone" in done.stderr
    assert "Name one in RAY_ADDRESS" in " ".join(done.stderr.split())
    assert ledger.commits(Warehouse(str(tmp_path / "warehouse")), "") == {}
