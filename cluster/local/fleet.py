"""A Ray cluster of separate hosts on this machine: see what a fleet does to a job before a fleet does it.

``up`` starts the hosts store, head, worker-1, worker-2 …; each has a network interface, memory for objects and a disk
for Ray of its own. Ray asks for a token; what shows its metrics without one is closed to other hosts. The head keeps
Ray's state with RocksDB, so it can be killed and started again. The store is an S3 server with the buckets raw,
warehouse and models. What must outlive a host lies in one folder.

    python cluster/local/fleet.py up
    eval "$(python cluster/local/fleet.py env)"
    ray job submit --working-dir . -- python jobs/scan.py jobs/configs/scan.yaml
    python cluster/local/fleet.py kill worker-1

It needs root, for Linux namespaces, and roadscan with its extra 'demo' in the same Python.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from hosts import Host, add_bridge, boot, delete_link, free_network, why_not
from rich.console import Console
from rich.table import Table

from roadscan.errors import RoadscanError, StorageError
from roadscan.storage import create_bucket, open_store

BIN = Path(sys.executable).parent
FOLDER = Path("/var/tmp/roadscan-fleet")  # not /tmp, which some systems empty
BUCKETS = ("raw", "warehouse", "models")
PROBE = "probe"  # a bucket to try the server with
HEAD, STORE = "head", "store"
GCS_PORT, API_PORT, S3_PORT = 6379, 8265, 8333
METRICS_PORT = 8080
METRICS_PORTS = (METRICS_PORT, 44217, 44227)  # of nodes, autoscaler and dashboard: Ray asks for no token there
PATIENCE_S = 120
OBJECT_STORE_BYTES = 157_286_400  # a fleet on one machine shares its memory


@dataclass
class Fleet:
    """The hosts of a folder.

    Attributes:
        folder: with fleet.json, which says all the rest, the token, logs, and the disks of head and store.
        bridge: which all hosts are connected to.
        network: the first three numbers of its addresses.
        cpus: that each worker offers to Ray.
        credentials: of the S3 server.
        hosts: by name; also those that were killed.
    """

    folder: Path
    bridge: str
    network: str
    cpus: int
    credentials: dict[str, str]
    hosts: dict[str, Host] = field(default_factory=dict)

    @classmethod
    def up(cls, folder: Path, workers: int = 2, cpus: int = 1) -> Fleet:
        """Start all hosts, and wait until Ray and S3 answer.

        Raises:
            RoadscanError: this machine cannot have hosts, the folder has some, or one does not get ready: then all are
                ended, and their logs stay.
        """
        if reason := why_not():
            raise RoadscanError(reason)
        if folder.exists():
            raise RoadscanError(f"{folder} holds a fleet; end it with 'down', or name another folder")
        (folder / "logs").mkdir(parents=True)
        (folder / "disk").mkdir()
        (folder / "token").touch(mode=0o600)
        (folder / "token").write_text(secrets.token_hex(32))
        credentials = {"accessKey": secrets.token_hex(10), "secretKey": secrets.token_hex(20)}
        fleet = cls(folder, f"rs{secrets.token_hex(3)}", free_network(), cpus, credentials)
        add_bridge(fleet.bridge, fleet.network)
        fleet.save()
        try:
            for name in (STORE, HEAD, *(f"worker-{1 + i}" for i in range(workers))):
                fleet.start(name)
        except BaseException:
            fleet.off()
            raise
        return fleet

    @classmethod
    def of(cls, folder: Path) -> Fleet:
        """The fleet of a folder.

        Raises:
            RoadscanError: there is none.
        """
        path = folder / "fleet.json"
        if not path.exists():
            raise RoadscanError(f"no fleet in {folder}; start one with 'up'")
        tree = json.loads(path.read_text())
        found = {name: Host(**one) for name, one in tree.pop("hosts").items()}
        return cls(folder, **tree, hosts=found)

    def save(self) -> None:
        """Write fleet.json, which has the key to the S3 server in it."""
        places = {name: {"address": one.address, "pid": one.pid, "link": one.link} for name, one in self.hosts.items()}
        tree = {name: getattr(self, name) for name in ("bridge", "network", "cpus", "credentials")} | {"hosts": places}
        path = self.folder / "fleet.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(tree, indent=2))

    def host(self, name: str) -> Host:
        """A host by its name.

        Raises:
            RoadscanError: no such host.
        """
        if name not in self.hosts:
            raise RoadscanError(f"host: got {name}, expected one of {', '.join(self.hosts)}")
        return self.hosts[name]

    def address(self, name: str) -> str:
        """Where a host is, or will be."""
        return self.hosts[name].address if name in self.hosts else f"{self.network}.{10 + len(self.hosts)}"

    def start(self, name: str) -> None:
        """Start a host that is off, and what runs on it if that has ended; wait until it answers.

        Raises:
            RoadscanError: it does not get ready.
        """
        address = self.address(name)
        if name not in self.hosts or not self.hosts[name].is_on:
            self.hosts[name], _ = boot(name, self.bridge, address, stays=True)
            self.save()
            if name != STORE:
                self.hosts[name].close(*METRICS_PORTS)
        host, log = self.hosts[name], self.folder / "logs" / name
        if len(host.processes()) > 1 and (name == STORE or raylets(host)):
            return
        if name == STORE:
            host.start(log, *self._weed(address), **self.environment())
            with _environment(self.environment()):  # where our storage looks for its credentials
                _wait(_serves, f"S3 does not get ready: see {log}")
        else:
            host.start(log, *self._ray(name, address), **self._ray_environment(name))
            _wait(lambda: bool(raylets(host)), f"Ray does not start on {name}: see {log}")
        if name == HEAD:
            _wait(lambda: _answers(address, API_PORT), f"Ray's API does not get ready: see {log}")

    def off(self) -> None:
        """End all hosts; what they kept, and their logs, stay."""
        for host in self.hosts.values():
            host.kill()
            delete_link(host.link)
        delete_link(self.bridge)

    def down(self) -> None:
        """End all hosts, and forget all that they kept."""
        self.off()
        shutil.rmtree(self.folder)

    def environment(self) -> dict[str, str]:
        """What a shell must know to use the fleet."""
        return {
            "RAY_ADDRESS": f"http://{self.address(HEAD)}:{API_PORT}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": (self.folder / "token").read_text(),
            "AWS_ENDPOINT_URL_S3": f"http://{self.address(STORE)}:{S3_PORT}",
            "AWS_ACCESS_KEY_ID": self.credentials["accessKey"],
            "AWS_SECRET_ACCESS_KEY": self.credentials["secretKey"],
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": "*",
        }

    def _ray_environment(self, name: str) -> dict[str, str]:
        environment = self.environment() | {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "GLOO_SOCKET_IFNAME": "eth0",
            "RAY_num_prestart_python_workers": "0",
            "RAY_gcs_rpc_server_reconnect_timeout_s": "300",  # a raylet gives its head up after that; by itself 60
        }
        del environment["RAY_ADDRESS"]  # Ray tells each job
        if name == HEAD:
            environment |= {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(self.folder / "disk" / "gcs")}
        return environment

    def _ray(self, name: str, address: str) -> list[str]:
        here = [
            str(BIN / "ray"), "start", "--block", "--disable-usage-stats", f"--node-ip-address={address}",
            f"--object-store-memory={OBJECT_STORE_BYTES}", f"--metrics-export-port={METRICS_PORT}",
        ]  # fmt: skip
        if name == HEAD:
            Path(self.folder, "disk", "gcs").mkdir(exist_ok=True)
            api = ["--include-dashboard=true", f"--dashboard-host={address}", f"--dashboard-port={API_PORT}"]
            return [*here, "--head", f"--port={GCS_PORT}", "--num-cpus=0", *api]
        return [*here, f"--address={self.address(HEAD)}:{GCS_PORT}", f"--num-cpus={self.cpus}"]

    def _weed(self, address: str) -> list[str]:
        disk = self.folder / "disk" / "s3"
        disk.mkdir(exist_ok=True)
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "roadscan", "credentials": [self.credentials], "actions": actions}
        config = self.folder / "s3.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps({"identities": [identity]}))
        return [
            str(BIN / "weed"), "server", f"-dir={disk}", f"-ip={address}", f"-ip.bind={address}", "-s3",
            f"-s3.config={config}", f"-s3.port={S3_PORT}", "-master.volumeSizeLimitMB=256", "-volume.max=64",
            "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
        ]  # fmt: skip


def raylets(host: Host) -> list[psutil.Process]:
    """The processes by which a host takes part in Ray: one, or none."""
    found = []
    for one in host.processes():
        with suppress(psutil.NoSuchProcess):
            if one.name() == "raylet" and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _wait(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise RoadscanError(otherwise)
        time.sleep(0.2)


def _answers(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def _serves() -> bool:
    """Whether S3 takes and gives; after a restart it knows its buckets before it finds its disks."""
    try:
        for bucket in (*BUCKETS, PROBE):
            create_bucket(bucket)
        store = open_store(f"s3://{PROBE}")
        store.write("probe", b"1")
        return store.read("probe") == b"1"
    except StorageError:
        return False


def show(fleet: Fleet, console: Console) -> None:
    """Print how each host is."""
    table = Table("host", "address", "power", "cable", "Ray", "processes")
    for name, host in fleet.hosts.items():
        on = host.is_on
        cable = ("out" if host.is_cut else "in") if on else "–"
        ray = "–" if name == STORE or not on else "runs" if raylets(host) else "ended"
        table.add_row(name, host.address, "on" if on else "off", cable, ray, str(len(host.processes()) if on else 0))
    console.print(table)


def main(words: list[str] | None = None) -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the fleet; %(default)s")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start head, store and workers")
    up.add_argument("--workers", type=int, default=2, help="how many; %(default)s")
    up.add_argument("--cpus", type=int, default=1, help="that each of them offers to Ray; %(default)s")
    for name, text in {"status": "how each host is", "env": "what a shell must know", "down": "end all"}.items():
        commands.add_parser(name, help=text)
    for name, text in {
        "kill": "take a host's power away", "start": "start a host again, or what ended on it",
        "cut": "pull a host's cable out", "mend": "put it back",
    }.items():  # fmt: skip
        commands.add_parser(name, help=text).add_argument("host")
    given = parser.parse_args(words)
    console = Console()
    try:
        fleet = Fleet.up(given.folder, given.workers, given.cpus) if given.command == "up" else Fleet.of(given.folder)
        match given.command:
            case "env":
                for name, value in fleet.environment().items():
                    print(f"export {name}={shlex.quote(value)}")
            case "up" | "status":
                show(fleet, console)
            case "down":
                fleet.down()
            case "start":
                fleet.host(given.host)
                fleet.start(given.host)
            case _:
                getattr(fleet.host(given.host), given.command)()
    except RoadscanError as error:
        Console(stderr=True).print("error:", str(error), markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
