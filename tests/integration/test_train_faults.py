"""Training runs that lose their driver, a worker, or a node; and one on hosts that share nothing but S3."""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hosts import Host, separate_hosts, why_not
from support import labelled
from support.clusters import BIN, HEAD, NODE, kill_node, start_node, wait_for_nodes, wait_for_port
from support.commands import SCRATCH, sets
from support.training import (
    Trained,
    Training,
    assert_same_bits,
    history,
    wait_until,
    write_config,
)

from roadscan.dataset.manifest import MANIFEST
from roadscan.demo.server import S3Server, free_ports
from roadscan.errors import StorageError
from roadscan.model.bundle import load
from roadscan.storage import Store, create_bucket, open_store

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def assert_same_model(one: Path, other: Path) -> None:
    """Two model files have the same weights, and cards that differ in addresses alone."""
    first, second = load(str(one)), load(str(other))
    assert first.weights.keys() == second.weights.keys()
    assert all(first.weights[name].equal(second.weights[name]) for name in first.weights)
    for field_ in ("classes", "metrics", "initialised_from", "image_size_px", "confidence"):
        assert getattr(first.card, field_) == getattr(second.card, field_), field_
    settings, others = first.card.training, second.card.training
    assert {name for name in settings if settings[name] != others[name]} <= {"data", "runs"}


def test_a_run_that_loses_its_driver_and_then_a_worker_ends_with_the_same_bits(
    trained: Trained, undisturbed: Path
) -> None:
    assert (trained.code, trained.err) == (0, "")
    assert "epoch 1/" not in trained.out
    assert_same_bits(trained.run, undisturbed)
    assert_same_model(trained.folder / "model.zip", undisturbed / "model.zip")


@dataclass
class Cluster:
    """Ray nodes on this machine.

    Attributes:
        address: of the head, which has no processors to train on.
        nodes: the others, with one each.
    """

    address: str
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)


@pytest.fixture
def cluster(token: None) -> Iterator[Cluster]:
    """A head and two nodes, as an operator starts them; ended by their own pids."""
    (port,) = free_ports(1)
    cluster = Cluster(f"127.0.0.1:{port}")
    with ExitStack() as stack:  # a short path, for sockets
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rs-", ignore_cleanup_errors=True))
        stack.callback(kill_node, start_node(folder, "127.0.0.1", *HEAD, f"--port={port}"))
        wait_for_port("127.0.0.1", port)
        for address in ("127.0.0.2", "127.0.0.3"):
            cluster.nodes.append(start_node(folder, address, f"--address={cluster.address}", "--num-cpus=1"))
            stack.callback(kill_node, cluster.nodes[-1])
        wait_for_nodes(cluster.address, 3)
        yield cluster


def test_a_run_goes_on_with_fewer_workers_when_a_node_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    labelled.draw_dataset(tmp_path / "data", {"train": 24, "val": 2})
    write_config(tmp_path, epochs=5, execution={"workers": [1, 2], "gpu": False})
    # Ray plans with what the cluster had some 20 s ago, and waits a minute for what is not there any more.
    patience = {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "10"}
    with Training(tmp_path, RAY_ADDRESS=cluster.address, **patience) as training:
        training.wait_for_checkpoint(tmp_path / "runs" / "train")
        kill_node(cluster.nodes[0])
        assert training.end() == 0, training.err
        assert training.err == ""
    rows = history(tmp_path / "runs" / "train")
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    workers = [row["workers"] for row in rows]
    assert workers == sorted(workers, reverse=True)
    assert (workers[0], workers[-1]) == (2, 1)
    assert load(str(tmp_path / "model.zip")).card.classes == labelled.NAMES


@dataclass
class Hosts:
    """A Ray cluster of three hosts. The head has no processors to train on, the other two have one each."""

    head: Host
    workers: list[Host]
    address: str


@pytest.fixture
def hosts(tmp_path: Path, token: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """Hosts whose Ray has nothing in common but the network, and a fourth that serves the buckets raw and warehouse."""
    if reason := why_not():
        pytest.skip(reason)
    with separate_hosts("head", "one", "two", "store") as (head, one, two, store):
        server = serve_s3(store, tmp_path)
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0")
        for name in SCRATCH:
            monkeypatch.delenv(name)  # hosts have a folder of their own for Ray
        hosts = Hosts(head, [one, two], f"{head.address}:6379")
        head.start(tmp_path / "head", *NODE, *HEAD, f"--node-ip-address={head.address}")
        wait_for_port(head.address, 6379)
        for host in hosts.workers:
            place = (f"--address={hosts.address}", f"--node-ip-address={host.address}", "--num-cpus=1")
            host.start(tmp_path / host.address, *NODE, *place)
        wait_until(buckets_made, lambda: f"no S3 server: {(tmp_path / 'weed').read_text()}")
        wait_for_nodes(hosts.address, 3, head.within(tmp_path))
        yield hosts


def serve_s3(host: Host, folder: Path) -> S3Server:
    """SeaweedFS on a host; it has all ports to itself."""
    server = S3Server(f"http://{host.address}:8333", secrets.token_hex(10), secrets.token_hex(20), host.pid)
    credentials = [{"accessKey": server.access_key, "secretKey": server.secret_key}]
    identity = {"name": "roadscan", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "buckets").mkdir()
    host.start(
        folder / "weed", str(BIN / "weed"), "server", "-dir=buckets", f"-ip={host.address}", f"-ip.bind={host.address}",
        "-s3", "-s3.config=s3.json", "-master.volumeSizeLimitMB=256", "-volume.max=16", "-master.telemetry=false",
    )  # fmt: skip
    return server


def buckets_made() -> bool:
    try:
        for bucket in ("raw", "warehouse"):
            create_bucket(bucket)
    except StorageError:
        return False
    return True


def copy(source: Store, target: Store) -> None:
    for key in source.keys(""):
        if key and not key.endswith("/"):  # pyarrow's marks of folders
            target.write(key, source.read(key))


@pytest.mark.s3
def test_hosts_that_share_only_s3_train_as_one_machine_does(
    trained: Trained, undisturbed: Path, hosts: Hosts, tmp_path: Path
) -> None:
    copy(open_store(trained.folder / "data"), open_store("s3://raw/data"))
    addresses = {"data": "s3://raw/data", "runs": "s3://warehouse/runs", "out": "s3://warehouse/model.zip"}
    write_config(tmp_path, **addresses)
    cache = "/tmp/ray/datasets"  # on each host's own disk
    options = sets(**{"execution.cache_dir": cache})
    with Training(tmp_path, *options, within=hosts.head.within(tmp_path), RAY_ADDRESS=hosts.address) as training:
        assert training.end() == 0, training.err
        assert training.err == ""
    staged = [len(list(host.path(cache).glob(f"*/{MANIFEST}"))) for host in (hosts.head, *hosts.workers)]
    assert staged == [0, 1, 1]
    copy(open_store("s3://warehouse"), open_store(tmp_path / "warehouse"))
    assert_same_bits(tmp_path / "warehouse" / "runs" / "train", undisturbed)
    assert_same_model(tmp_path / "warehouse" / "model.zip", undisturbed / "model.zip")
