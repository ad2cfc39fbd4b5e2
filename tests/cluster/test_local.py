"""A fleet on this machine: hosts that die, are cut off and come back, and no port that answers without the token."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import fleet as local
import grpc
import psutil
import pytest
from fleet import API_PORT, BIN, GCS_PORT, HEAD, METRICS_PORTS, STORE, Fleet, raylets
from hosts import Host, add_bridge, boot, why_not
from support.commands import ROOT, SCRATCH
from support.training import wait_until

from roadscan.errors import RoadscanError, StorageError
from roadscan.storage import open_store

pytestmark = [pytest.mark.ray, pytest.mark.s3, pytest.mark.slow]

# What Ray's parts do for one another. A call of each with an empty message; with the token it gets further.
CALLS = (
    "NodeInfoGcsService/GetAllNodeInfo", "NodeManagerService/GetNodeStats", "CoreWorkerService/GetCoreWorkerStats",
    "ObjectManagerService/Pull", "ReporterService/GetTraceback", "RayletDriver/ListNamedActors",
)  # fmt: skip
PUBLIC = ("/", "/api/local_raylet_healthz")  # the dashboard's empty page, and a probe that says whether a node lives
LISTENS = "0A"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    if reason := why_not():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="rs-") as folder, pytest.MonkeyPatch.context() as patch:
        for name in SCRATCH:
            patch.delenv(name)  # hosts have a folder of their own for Ray
        before = dict(os.environ)
        fleet = Fleet.up(Path(folder) / "fleet", workers=1)
        assert dict(os.environ) == before
        for name, value in fleet.environment().items():
            patch.setenv(name, value)
        try:
            yield fleet
        finally:
            fleet.down()


def submit(**environment: str) -> subprocess.CompletedProcess[str]:
    """A job that says how many nodes are alive, from a place that holds the file of that job alone."""
    with tempfile.TemporaryDirectory() as place:
        script = "import ray; ray.init(); print('alive', sum(node['Alive'] for node in ray.nodes()))"
        Path(place, "job.py").write_text(script)
        return subprocess.run(
            [str(BIN / "ray"), "job", "submit", "--working-dir", ".", "--", "python", "job.py"],
            cwd=place, capture_output=True, text=True, check=False, env=os.environ | environment, timeout=300,
        )  # fmt: skip


def listening(host: Host) -> list[int]:
    """The TCP ports that a host has open to others."""
    found = set()
    for version in ("tcp", "tcp6"):
        for line in Path(f"/proc/{host.pid}/net/{version}").read_text().splitlines()[1:]:
            address, port = line.split()[1].split(":")
            if line.split()[3] == LISTENS and not address.endswith("0100007F"):  # 127.0.0.1
                found.add(int(port, 16))
    return sorted(found)


def by_http(url: str, token: str | None) -> str:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urlopen(Request(url, headers=headers), timeout=10) as response:
            return str(response.status)
    except HTTPError as error:
        return str(error.code)
    except (URLError, OSError, ValueError) as error:
        return type(error).__name__
    except Exception as error:  # noqa: BLE001 - a port that speaks something else
        return type(error).__name__


def by_grpc(channel: grpc.Channel, call: str, token: str | None) -> str:
    ask: Callable[..., bytes] = channel.unary_unary(f"/ray.rpc.{call}", lambda raw: raw, lambda raw: raw)
    try:
        ask(b"", timeout=10, metadata=[("authorization", f"Bearer {token}")] if token else [])
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def answers(host: Host, port: int, token: str | None) -> set[str]:
    """What comes back from a port, over all that could be asked."""
    try:
        socket.create_connection((host.address, port), timeout=3).close()
    except OSError:
        return {"closed"}
    url = f"http://{host.address}:{port}"
    got = {by_http(f"{url}/{path}", token) for path in ("api/jobs/", "api/version", "metrics", "nodes")}
    with grpc.insecure_channel(f"{host.address}:{port}") as channel:
        return got | {by_grpc(channel, call, token) for call in CALLS}


def test_no_open_port_answers_without_the_token(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    token = (fleet.folder / "token").read_text()
    for name in (HEAD, "worker-1"):  # Ray is there before all its parts are
        some = {METRICS_PORTS[0], *((GCS_PORT, API_PORT, 10001) if name == HEAD else ())}
        wait_until(lambda name=name, some=some: some <= set(listening(fleet.hosts[name])), lambda: "a part is missing")  # type: ignore[misc]
    ports = [(name, port) for name in (HEAD, "worker-1") for port in listening(fleet.hosts[name])]
    for name, port in ports:
        without, refused = answers(fleet.hosts[name], port, None), {"401", "UNAUTHENTICATED"}
        with capsys.disabled():
            print(f"\n{name}:{port} without the token: {' '.join(sorted(without))}", end="")
        assert not without & {"200", "OK"}, (name, port)
        if port in METRICS_PORTS:
            assert without == {"closed"}
        else:
            assert without & refused, (name, port)
            assert not answers(fleet.hosts[name], port, token) & refused, (name, port)


def test_what_everybody_may_see_says_nothing(fleet: Fleet) -> None:
    address = fleet.hosts[HEAD].address
    assert by_http(f"http://{address}:{API_PORT}{PUBLIC[0]}", None) == "200"
    with urlopen(f"http://{address}:52365{PUBLIC[1]}", timeout=10) as response:
        assert response.read() == b"success"


def test_a_job_needs_the_token(fleet: Fleet) -> None:
    refused = submit(RAY_AUTH_TOKEN="0" * 64)
    assert refused.returncode != 0
    assert "alive" not in refused.stdout
    taken = submit()
    assert taken.returncode == 0, taken.stdout + taken.stderr
    assert "alive 2" in taken.stdout


def test_a_worker_dies_and_comes_back(fleet: Fleet) -> None:
    worker = fleet.hosts["worker-1"]
    Path(worker.path("/tmp/ray/mark")).write_text("")
    worker.kill()
    assert not worker.is_on
    assert worker.processes() == []
    fleet.start("worker-1")
    again = fleet.hosts["worker-1"]
    assert again.address == worker.address
    assert raylets(again)
    assert not again.path("/tmp/ray/mark").exists()  # its disk went with it
    fleet.start("worker-1")  # nothing to do
    assert fleet.hosts["worker-1"] is again


def test_a_cut_cable_stops_all_and_can_be_mended(fleet: Fleet) -> None:
    worker = fleet.hosts["worker-1"]
    assert not worker.is_cut
    connect = f"exec 3<>/dev/tcp/{fleet.hosts[HEAD].address}/{API_PORT}"

    def reaches_the_head() -> bool:
        command = ["timeout", "3", "nsenter", f"--target={worker.pid}", "--net", "bash", "-c", connect]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    assert reaches_the_head()
    worker.cut()
    try:
        assert worker.is_cut
        assert not reaches_the_head()
    finally:
        worker.mend()
    wait_until(reaches_the_head, lambda: "the cable is back, and the head is not reached")


def test_head_and_store_come_back_with_what_they_had(fleet: Fleet) -> None:
    open_store("s3://raw").write("kept", b"kept")
    for name in (HEAD, STORE):
        fleet.hosts[name].kill()
    for name in (HEAD, STORE):
        fleet.start(name)
    assert open_store("s3://raw").read("kept") == b"kept"
    assert raylets(fleet.hosts["worker-1"]), "the worker has given the head up"
    outcome: list[str] = []

    def both_alive() -> bool:
        outcome[:] = [submit().stdout]
        return "alive 2" in outcome[0]

    wait_until(both_alive, lambda: f"the worker does not find the new head: {outcome}")


def test_the_end_leaves_nothing(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path / "fleet"
    small = Fleet(folder, "rs00test", "198.18.255", 1, {"accessKey": "a", "secretKey": "b"})
    (folder / "logs").mkdir(parents=True)
    add_bridge(small.bridge, small.network)
    small.hosts[STORE], _ = boot(STORE, small.bridge, "198.18.255.10", stays=True)
    small.save()
    found = Fleet.of(folder)  # as another process does
    pids = [one.pid for one in found.hosts[STORE].processes()]
    assert pids
    found.down()
    wait_until(lambda: not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
                               for pid in pids), lambda: f"left: {pids}")  # fmt: skip
    assert "rs00test" not in subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert not folder.exists()


def test_a_fleet_that_does_not_get_up_leaves_its_logs_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := why_not():
        pytest.skip(reason)
    monkeypatch.setattr(local, "PATIENCE_S", 1)
    monkeypatch.setattr(local, "create_bucket", lambda _: (_ for _ in ()).throw(StorageError("it does not answer")))
    with pytest.raises(RoadscanError, match="S3 does not get ready"):
        Fleet.up(tmp_path / "fleet", workers=1)
    found = Fleet.of(tmp_path / "fleet")
    assert not found.hosts[STORE].is_on
    assert (tmp_path / "fleet" / "logs" / STORE).exists()
    assert found.bridge not in subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [(["status"], "no fleet in"), (["kill", "head"], "no fleet in"), (["up"], "holds a fleet")],
)
def test_a_users_mistake_gives_a_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    if words == ["up"] and (reason := why_not()):
        pytest.skip(reason)
    folder = tmp_path if words == ["up"] else tmp_path / "none"
    assert local.main(["--folder", str(folder), *words]) == 1
    assert message in " ".join(capsys.readouterr().err.split())


def test_an_unknown_host_gives_a_message(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert local.main(["--folder", str(fleet.folder), "kill", "worker-9"]) == 1
    assert "got worker-9, expected one of store, head, worker-1" in " ".join(capsys.readouterr().err.split())


def test_the_command_shows_the_hosts(fleet: Fleet) -> None:
    command = [str(BIN / "python"), str(ROOT / "cluster/local/fleet.py"), "--folder", str(fleet.folder)]
    shown = subprocess.run([*command, "status"], capture_output=True, text=True, check=True).stdout
    assert all(name in shown for name in (STORE, HEAD, "worker-1"))
    lines = subprocess.run([*command, "env"], capture_output=True, text=True, check=True).stdout
    shell = subprocess.run(["sh", "-c", f"{lines}\necho $RAY_ADDRESS"], capture_output=True, text=True, check=True)
    assert shell.stdout.strip() == fleet.environment()["RAY_ADDRESS"]
