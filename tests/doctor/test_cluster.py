"""The doctor on a Ray cluster with a secret, and on addresses where there is none."""

from __future__ import annotations

import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from support.clusters import HEAD, kill_node, start_node, wait_for_nodes, wait_for_port

from roadscan.demo.server import free_ports
from roadscan.doctor import cluster
from roadscan.doctor.cluster import described, explained, ray_cluster, token

JOIN = """
from roadscan.cluster import connect
from roadscan.errors import ClusterError
try:
    connect()
except ClusterError as error:
    print(error)
"""


@pytest.mark.parametrize("address", ["", "local"])
def test_no_cluster(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert ray_cluster().status == token().status == "ok"
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/no/such/file")
    assert token().found == "Ray will make one"


def test_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    path.write_text("secret")
    assert token().status == "warn"  # Ray does not send it to an address that is given, unless told to
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    path.chmod(0o644)
    assert (token().status, token().advice) == ("warn", f"chmod 600 {path}")
    path.chmod(0o640)  # as mounted for a group
    assert token().status == "ok"
    path.write_text("\n")
    assert token().found == f"{path} is empty"
    path.unlink()
    assert (token().status, "cannot be read" in token().found) == ("fail", True)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    assert token().found == "from RAY_AUTH_TOKEN"


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "http://127.0.0.1:{}/"])
def test_an_address_where_nobody_is(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ASK_RAY", "raise SystemExit('asked Ray')")
    monkeypatch.setenv("RAY_ADDRESS", form.format(free_ports(1)[0]))
    assert "no connection" in ray_cluster().found
    monkeypatch.setenv("RAY_ADDRESS", "head:port")
    assert "'port'" in ray_cluster().found


def test_versions_that_differ() -> None:
    assert described("there", {"ray": "2.1.0"}).advice == f"install ray 2.1.0 here, or {version('ray')} there"
    said = "RuntimeError: Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.12.1\nThis …"
    assert "Ray: 2.60.0 Python: 3.12.1" in explained("there", said).found


def test_what_nobody_foresaw() -> None:
    assert explained("there", "").found == "there: no reason given"
    assert explained("there", "a\nOSError: b\n\n").found == "there: OSError: b"


@pytest.fixture
def head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster of one node that asks for a secret, which this process has."""
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="rs") as folder:  # short: Ray's sockets lie in it
        node = start_node(folder, "127.0.0.1", *HEAD, "--num-cpus=3", "--num-gpus=2", f"--port={port}")
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
    found = ray_cluster()
    assert found.status == "ok", found
    assert "1 nodes, 3 cores, 2 GPUs" in found.found
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    assert ray_cluster().found == f"{head}: the cluster refused the token"
    monkeypatch.setenv("RAY_NUM_REDIS_GET_RETRIES", "2")
    assert "is it the head's own" in refused_by(head)
    monkeypatch.delenv("RAY_AUTH_MODE")
    assert "no token was sent, as RAY_AUTH_MODE is not set" in refused_by(head)


def refused_by(head: str) -> str:
    """What jobs say of a cluster that does not let them in."""
    done = subprocess.run([sys.executable, "-c", JOIN, head], capture_output=True, text=True, check=False, timeout=120)
    assert f"RAY_ADDRESS {head}" in done.stdout, done.stdout + done.stderr
    return done.stdout
