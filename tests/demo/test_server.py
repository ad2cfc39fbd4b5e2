from __future__ import annotations

import os
from pathlib import Path

import pytest

from roadscan.demo.server import S3Server, free_ports, s3_server
from roadscan.storage import open_store


@pytest.mark.s3
def test_two_servers_run_side_by_side_and_leave_the_environment_as_it_was(s3: S3Server, tmp_path: Path) -> None:
    open_store("s3://raw/side-by-side").write("x", b"first")
    before = dict(os.environ)
    with s3_server(tmp_path, ("raw",)) as second:
        assert second.endpoint != s3.endpoint
        assert not open_store("s3://raw/side-by-side").exists("x")
    assert dict(os.environ) == before
    assert open_store("s3://raw/side-by-side").read("x") == b"first"
    with pytest.raises(ProcessLookupError):
        os.kill(second.pid, 0)


@pytest.mark.s3
@pytest.mark.slow
def test_what_a_server_confirmed_is_there_when_it_runs_again(tmp_path: Path) -> None:
    written = {f"{number}/x": os.urandom(1000 * number) for number in range(1, 40)}
    with s3_server(tmp_path, ("raw",)):
        for key, data in written.items():
            open_store("s3://raw").write(key, data)
    with s3_server(tmp_path, ("raw",)):
        assert {key: open_store("s3://raw").read(key) for key in written} == written


def test_ports_are_free_and_different() -> None:
    ports = [port for _ in range(100) for port in free_ports(16)]  # chance alone would give 100 of them again
    assert len(set(ports)) == 1600
    assert all(20000 <= port < 32000 for port in ports)
