"""What the doctor finds on a sound machine, and on one with each fault."""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from clusters import HEAD, kill_node, start_node, wait_for_nodes, wait_for_port
from commands import roadscan

from roadscan import doctor
from roadscan.demo.server import S3Server, free_ports
from roadscan.doctor import Finding, Subject
from roadscan.errors import ConfigError
from roadscan.storage import DiskStore, open_store, server_time


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)


def by_check(subject: Subject) -> dict[str, Finding]:
    return {finding.check: finding for finding in doctor.examine(subject)}


@pytest.mark.s3
def test_a_sound_store_model_and_machine(s3: S3Server, tmp_path: Path) -> None:
    found = by_check(Subject(f"s3://warehouse/{tmp_path.name}", "demo"))
    for check in ("python", "token", "ray", "model", "store", "conditional writes", "clock", "release"):
        assert found[check].status == "ok", found[check]
    assert list(open_store(f"s3://warehouse/{tmp_path.name}").keys()) == [doctor.PROBE]


@pytest.mark.s3
def test_the_command_prints_json_and_says_by_its_exit_code_that_something_fails(s3: S3Server, tmp_path: Path) -> None:
    config = tmp_path / "night.yaml"
    config.write_text(f"warehouse: s3://warehouse/{tmp_path.name}\nscan:\n  model: {tmp_path}/none.zip\n")
    done = roadscan("doctor", str(config), "--json")
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 1, done.stderr
    assert found["model"]["status"] == "fail"
    assert "none.zip" in found["model"]["found"]
    assert found["store"]["status"] == "ok"
    table = roadscan("doctor", str(config), "--model", "demo")
    assert table.returncode == 0, table.stdout
    assert "conditional writes" in table.stdout


@pytest.mark.s3
def test_wrong_credentials(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    found = by_check(Subject("s3://warehouse/x"))
    assert found["store"].status == "fail"
    assert "AWS_SECRET_ACCESS_KEY" in found["store"].found
    assert "conditional writes" not in found


def test_a_store_that_nobody_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    assert by_check(Subject("s3://warehouse/x"))["store"].status == "fail"


class Forgetful(DiskStore):
    """A store that takes conditions for a hint."""

    def create(self, key: str, data: bytes) -> str:
        self.write(key, data)
        return ""

    def swap(self, key: str, data: bytes, *, tag: str) -> str:
        return self.create(key, data)


def test_a_store_that_ignores_conditions_fails(tmp_path: Path) -> None:
    found = doctor.conditional_writes(Forgetful(tmp_path))
    assert (found.status, found.found) == ("fail", "the store ignores If-None-Match and If-Match")
    assert doctor.conditional_writes(DiskStore(tmp_path)).status == "ok"


@pytest.mark.parametrize(("seconds", "status"), [(0, "ok"), (-60, "warn"), (60, "warn"), (3600, "fail")])
def test_clocks(seconds: float, status: str) -> None:
    assert doctor.clock(datetime.now(UTC) - timedelta(seconds=seconds)).status == status


@pytest.mark.s3
def test_the_stores_clock_is_read(s3: S3Server) -> None:
    there = server_time(open_store("s3://warehouse"))
    assert there is not None
    assert abs(datetime.now(UTC) - there) < timedelta(minutes=5)  # it is the same machine's


def test_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert doctor.token().status == "warn"  # a cluster that asks nobody
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    assert doctor.token().status == "fail"
    path.write_text("secret")
    path.chmod(0o644)
    assert doctor.token() == Finding("token", "warn", f"{path} can be read by others", f"chmod 600 {path}")
    path.chmod(0o600)
    assert doctor.token().status == "ok"


def test_a_check_that_breaks_or_hangs_is_a_finding() -> None:
    def breaks() -> Finding:
        raise ZeroDivisionError("by zero")

    def hangs() -> Finding:
        time.sleep(60)
        raise AssertionError

    assert doctor.within("one", breaks).found == "ZeroDivisionError: by zero"
    assert doctor.within("one", hangs, deadline_s=0.1).status == "fail"


def test_a_config_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        doctor.read_subject(tmp_path / "no.yaml")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(ConfigError, match="expected a mapping"):
        doctor.read_subject(tmp_path / "list.yaml")


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster that asks for a secret, which this process has."""
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="rs") as folder:  # short: Ray's sockets lie in it
        node = start_node(folder, "127.0.0.1", *HEAD, f"--port={port}")
        try:
            wait_for_port("127.0.0.1", port)
            wait_for_nodes(f"127.0.0.1:{port}", 1)
            yield f"127.0.0.1:{port}"
        finally:
            kill_node(node)


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_with_the_right_and_the_wrong_secret(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", head)
    found = doctor.ray_cluster()
    assert found.status == "ok", found
    assert "1 nodes, 0 cores" in found.found
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    assert doctor.ray_cluster().status == "fail"
