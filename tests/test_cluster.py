"""Joining a cluster where there is none: a message in seconds, and no traceback."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from roadscan.cluster import connect, refuse_lost_outputs, token_hint
from roadscan.demo.server import free_ports
from roadscan.errors import ClusterError, ConfigError


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://10.0.0.1:8265", "expected the head's own address"),
        ("127.0.0.1:{}", "no connection (.*refused.*); is the head up"),
        ("ray://127.0.0.1:{}", "no connection (.*refused.*); is the head up"),
        ("head:port", "'port'"),
        ("nonsense", "Invalid address format: nonsense; 'roadscan doctor'"),
    ],
)
def test_an_address_that_cannot_be_joined(monkeypatch: pytest.MonkeyPatch, address: str, message: str) -> None:
    given = address.format(free_ports(1)[0])
    monkeypatch.setenv("RAY_ADDRESS", given)
    with pytest.raises(ClusterError, match=message) as caught:
        connect()
    assert given in str(caught.value)


def test_a_machine_that_is_too_busy_for_ray_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup. This could happen")

    monkeypatch.setattr("ray.init", init)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name in (
        "RAY_AUTH_TOKEN_PATH",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER",
        "RAY_BACKEND_LOG_LEVEL",
        "RAY_USAGE_STATS_ENABLED",
    ):
        monkeypatch.setenv(name, "")  # so that what `connect` sets is undone
    with pytest.raises(ClusterError, match=r"RAY_ADDRESS local: The current node timed out .*'roadscan doctor'"):
        connect()


@pytest.mark.ray
def test_a_cluster_of_this_process_alone_starts_without_a_word_and_keeps_the_words_of_others() -> None:
    """Ray's native code would confirm its log level in the middle of a progress bar."""
    script = (
        "import os, ray, roadscan.cluster as c; init = ray.init\n"
        "ray.init = lambda **k: (os.write(2, b'word\\n'), init(**k))\n"
        "c.connect(); print(c.nodes(), c.grows())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
    )  # fmt: skip
    assert done.stderr == "word\n"
    assert done.stdout.startswith("[Node(cpus=")
    assert done.stdout.endswith(" False\n")


ALONE = """
import os, sys
from roadscan.cluster import connect
connect()
import ray
print(ray.get_runtime_context().gcs_address, os.environ["RAY_AUTH_TOKEN_PATH"], flush=True)
sys.stdin.read()
"""
INTRUDER = """
import os, sys
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # else 127.0.0.1 is taken for this machine's other address
import ray
ray.init(address=sys.argv[1])
print("in")
"""


@pytest.mark.ray
@pytest.mark.parametrize("folder", ["short", "a-folder-whose-name-leaves-no-room-for-the-name-of-a-socket"])
def test_a_cluster_of_this_process_alone_lets_nobody_else_in_and_leaves_nothing(tmp_path: Path, folder: str) -> None:
    home, within = tmp_path / "home", Path("/tmp") / secrets.token_hex(2) if folder == "short" else tmp_path / folder
    home.mkdir()
    others = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {"HOME": str(home)}
    environment = others | {"RAY_TMPDIR": str(within)}
    with subprocess.Popen(
        [sys.executable, "-c", ALONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as program:
        assert program.stdout is not None
        address, token = program.stdout.readline().split()
        own = Path(token).parent
        processes = psutil.Process(program.pid).children(recursive=True)
        listening = {
            one.laddr.ip for process in [psutil.Process(program.pid), *processes]
            for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN
        }  # fmt: skip
        assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}
        assert listening
        (raylet,) = [one for one in processes if one.name() == "raylet"]
        assert raylet.environ()["RAY_USAGE_STATS_ENABLED"] == "0"  # its makers are not told of it
        assert own.name.startswith("roadscan-ray-")
        assert own.parent == (within if folder == "short" else Path("/tmp"))
        assert own.stat().st_mode & 0o077 == 0
        refused = subprocess.run(
            [sys.executable, "-c", INTRUDER, address], capture_output=True, text=True, check=False, env=others,
        )  # fmt: skip
        assert "in\n" not in refused.stdout
        assert "InvalidAuthToken" in refused.stderr
    assert not own.exists()
    within.rmdir()  # which was made, and is empty
    assert not list(home.iterdir())  # nor a token that every cluster of this user would take from now on


JOB = {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"runtime_env": {"working_dir": "gcs://_ray_pkg_1.zip"}})}


@pytest.mark.parametrize("address", ["runs", "./runs", "a/b", "../runs"])
def test_what_a_job_would_write_into_its_copy_of_the_working_directory_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=rf"^runs: got {address}, in a job .*expected s3://…, or an absolute path"):
        refuse_lost_outputs({"out": "s3://models/a.zip", "runs": address}, JOB)


@pytest.mark.parametrize("address", ["s3://b/runs", "/shared/runs", "~/runs", "file:///shared/runs"])
def test_what_a_job_writes_elsewhere_stays(address: str) -> None:
    refuse_lost_outputs({"runs": address}, JOB)


@pytest.mark.parametrize(
    "environment",
    [{}, {"RAY_JOB_CONFIG_JSON_ENV_VAR": '{"runtime_env": {}, "metadata": {}}'}, {"RAY_JOB_CONFIG_JSON_ENV_VAR": "{}"}],
)
def test_without_a_copied_directory_a_relative_path_is_as_good_as_another(environment: dict[str, str]) -> None:
    refuse_lost_outputs({"runs": "runs"}, environment)


def test_where_nobody_is_let_in_the_token_is_named() -> None:
    assert token_hint({}).startswith("no token was sent, as RAY_AUTH_MODE is not set")
    assert token_hint({"RAY_AUTH_MODE": "disabled"}).startswith("no token was sent")
    assert "is it the head's own" in token_hint({"RAY_AUTH_MODE": "Token"})
