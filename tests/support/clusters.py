"""Ray nodes on this machine, as an operator starts them; ended by their own pids."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from roadscan.demo.server import free_ports
from support.training import DEADLINE_S, wait_until

BIN = Path(sys.executable).parent
# Without the process that copies what workers print to their drivers.
NODE = (
    str(BIN / "ray"), "start", "--block", "--disable-usage-stats", "--object-store-memory=157286400",
    "--include-log-monitor=false",
)  # fmt: skip
HEAD = ("--head", "--num-cpus=0", "--include-dashboard=false")
READY = """
import sys, time, ray
while not ray.is_initialized():  # Ray gives a node that is slow to start up after half a minute
    try:
        ray.init(sys.argv[1], logging_level="ERROR")
    except ConnectionError:
        time.sleep(0.5)
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]):
    time.sleep(0.2)
"""


def wait_for_nodes(address: str, count: int, within: Sequence[str] = ()) -> None:
    """Wait until a Ray cluster has so many nodes."""
    subprocess.run([*within, sys.executable, "-c", READY, address, str(count)], check=True, timeout=DEADLINE_S)


def wait_for_port(host: str, port: int) -> None:
    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((host, port)) == 0

    wait_until(answers, lambda: f"nothing answers at {host}:{port}")


def start_node(folder: str, address: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a node that has addresses, ports and sockets of its own."""
    http, grpc, client = free_ports(3)
    own = (
        f"--node-ip-address={address}", f"--temp-dir={folder}/{address}",
        f"--dashboard-agent-listen-port={http}", f"--dashboard-agent-grpc-port={grpc}",
        *([f"--ray-client-server-port={client}"] if "--head" in arguments else []),
    )  # fmt: skip
    with Path(folder, f"{address}.log").open("wb") as log:
        return subprocess.Popen([*NODE, *own, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


@contextmanager
def head_for_jobs(cpus: int) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A cluster of one node for the length of a block: its process, and the address that takes jobs."""
    port, api = free_ports(2)
    arguments = (
        "--head", f"--num-cpus={cpus}", f"--port={port}", "--include-dashboard=true", f"--dashboard-port={api}",
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="rs-", ignore_cleanup_errors=True) as folder:  # a short path, for sockets
        head = start_node(folder, "127.0.0.1", *arguments)
        try:
            wait_for_nodes(f"127.0.0.1:{port}", 1)
            wait_for_port("127.0.0.1", api)
            yield head, f"http://127.0.0.1:{api}"
        finally:
            kill_node(head)


def write_autoscaling(folder: str, address: str, *, cpus: int, gpus: int, most: int) -> str:
    """A file for `ray start --autoscaling-config`: Ray's own provider of nodes that are processes of this machine."""
    worker = {"resources": {"CPU": cpus, "GPU": gpus, "object_store_memory": 100_000_000}, "node_config": {}}
    config = {
        "cluster_name": "fake", "max_workers": most, "upscaling_speed": 10.0, "idle_timeout_minutes": 5,
        "provider": {
            "type": "fake_multinode", "gcs_address": address, "foreground_node_launch": True,
            "disable_node_updaters": True, "worker_liveness_check": False,  # of hosts with SSH
        },
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {**worker, "min_workers": 0, "max_workers": most},
        },
        "auth": {}, "docker": {}, "file_mounts": {}, "cluster_synced_files": [], "file_mounts_sync_continuously": False,
        "rsync_exclude": [], "rsync_filter": [], "initialization_commands": [], "setup_commands": [],
        "head_setup_commands": [], "worker_setup_commands": [], "head_start_ray_commands": [],
        "worker_start_ray_commands": [],
    }  # fmt: skip
    path = Path(folder, "autoscaling.json")
    path.write_text(json.dumps(config))
    return str(path)


def kill_node(node: subprocess.Popen[bytes]) -> None:
    """What a node that loses power does: all of it is gone at once."""
    with suppress(psutil.NoSuchProcess):
        kill_all([psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)])
    node.wait()


def kill_all(processes: Iterable[psutil.Process]) -> None:
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            one.kill()


def know_a_secret(folder: Path, environment: pytest.MonkeyPatch) -> None:
    """Clusters and their clients that are started from here on share a secret."""
    (folder / "token").write_text(secrets.token_hex(32))
    environment.setenv("RAY_AUTH_MODE", "token")
    environment.setenv("RAY_AUTH_TOKEN_PATH", str(folder / "token"))
    environment.setenv("RAY_num_prestart_python_workers", "0")
