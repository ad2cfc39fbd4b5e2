"""A scan on a cluster, scraped from Ray's own node as Prometheus would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.commands import ROOT
from support.drives import make_drive

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SCANS = """
import json, sys, time, urllib.request
import ray
from roadscan.scan.config import ScanConfig
from roadscan.scan.run import run_scan

drive, warehouse, model = sys.argv[1:]
ray.init(address="local", num_cpus=2, log_to_driver=False)
told = run_scan(ScanConfig(drives=(drive,), warehouse=warehouse, model=model, actors=1, cpus_per_actor=1,
                           backend="torch", confidence=0.01, shard_frames=2))
(node,) = ray.nodes()
address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
deadline = time.monotonic() + 120
while "ray_roadscan_scan_frames_total" not in (text := opener.open(address, timeout=10).read().decode()):
    assert time.monotonic() < deadline, "Ray exports no such metric"
    time.sleep(0.5)
print(json.dumps({"frames": told.frames, "detections": told.detections, "scrape": text}))
"""


def test_a_scrape_of_rays_node_has_what_the_scan_committed(tmp_path: Path, detect_model: str) -> None:
    drive = make_drive(str(tmp_path / "drive"), n=5)
    done = subprocess.run(
        [sys.executable, "-c", SCANS, drive, str(tmp_path / "warehouse"), detect_model],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    scraped = {one.name: one.value for family in text_string_to_metric_families(told["scrape"])
               for one in family.samples}  # fmt: skip
    assert told["frames"] == 5
    assert told["detections"] > 0
    assert scraped["ray_roadscan_scan_frames_total"] == told["frames"]
    assert scraped["ray_roadscan_scan_detections_total"] == told["detections"]
