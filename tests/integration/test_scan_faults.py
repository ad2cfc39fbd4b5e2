"""A scan that is killed, and a scan on somebody else's cluster."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clusters import BIN, head_for_jobs
from support.commands import ROOT, sets
from support.drives import make_drive
from support.staging import go_on, kill_a_scan, logical_rows

from roadscan.demo.server import S3Server
from roadscan.warehouse import Warehouse

pytestmark = [pytest.mark.s3, pytest.mark.ray, pytest.mark.slow]


def test_a_scan_killed_in_the_middle_goes_on_where_it_was(s3: S3Server, tmp_path: Path, detect_model: str) -> None:
    drive = make_drive(f"s3://raw/{tmp_path.name}/d1", n=60)
    fields = {"drives": f"[{drive}]", "model": detect_model, "shard_frames": 4, "actors": 1, "confidence": 0.4}
    killed, calm = f"s3://warehouse/{tmp_path.name}/killed", f"s3://warehouse/{tmp_path.name}/calm"
    before = kill_a_scan(killed, after=2, **fields)
    assert Warehouse(killed).current().number == 0  # nothing half done is visible
    assert 2 <= len(before) < 15

    told = go_on(killed, before, calm, tmp_path / "summary.json", **fields)
    assert told["frames"] == told["frames_ok"] == 60
    assert len(logical_rows(killed)["frames"]) == 60


@pytest.fixture
def cluster(s3: S3Server, token: None) -> Iterator[str]:
    """A Ray head on this machine as an operator starts it, with a secret; the address that takes jobs."""
    with head_for_jobs(cpus=2) as (_, api):
        yield api


def submit(address: str, *entry: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "ray"), "job", "submit", "--address", address, "--working-dir", ".", "--", *entry]
    deadline = time.monotonic() + 120
    while True:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
        starting = any(words in done.stdout + done.stderr for words in ("Failed to connect", "No available agent"))
        if done.returncode == 0 or not starting or time.monotonic() > deadline:
            return done
        time.sleep(1)


def test_a_submitted_job_scans_from_s3_to_s3(cluster: str, tmp_path: Path, detect_model: str) -> None:
    drive, warehouse = make_drive(f"s3://raw/{tmp_path.name}/d1", n=8), f"s3://warehouse/{tmp_path.name}"
    fields = sets(drives=f"[{drive}]", warehouse=warehouse, model=detect_model, shard_frames=4)
    done = submit(cluster, sys.executable, "jobs/scan.py", "jobs/configs/scan.yaml", *fields)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(logical_rows(warehouse)["frames"]) == 8
