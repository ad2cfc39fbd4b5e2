"""Joining a cluster where there is none: a message in seconds, and no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys

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
