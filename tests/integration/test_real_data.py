"""Real survey photographs with real weights: 400 faces of 100 panoramas, COCO's YOLOv8n."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import ROOT, roadscan, sets
from support.panoramax import ROOT as PANORAMAX
from support.panoramax import panoramax_config

from roadscan.config import dump_config
from roadscan.demo.server import S3Server
from roadscan.warehouse import Warehouse

WEIGHTS = ROOT.parent / "shared/weights/yolov8n-coco.safetensors"
pytestmark = [
    pytest.mark.s3,
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.skipif(
        not PANORAMAX.exists() or not WEIGHTS.exists(), reason="the real images or weights are not here"
    ),
]


def test_real_faces_are_ingested_and_scanned(s3: S3Server, tmp_path: Path) -> None:
    drive, warehouse = f"s3://raw/{tmp_path.name}/panoramax", f"s3://warehouse/{tmp_path.name}"
    config = tmp_path / "ingest.yaml"
    config.write_text(dump_config(panoramax_config(tmp_path, drive)))
    assert roadscan("ingest", str(config), "--set", "copy_images=true").returncode == 0
    assert roadscan("model", "import", str(WEIGHTS), str(tmp_path / "coco.zip")).returncode == 0
    summary = tmp_path / "summary.json"
    done = roadscan(
        "scan", *sets(drives=f"[{drive}]", warehouse=warehouse, model=tmp_path / "coco.zip", summary=summary)
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(summary.read_text())
    assert (told["frames"], told["frames_ok"]) == (400, 400)
    house = Warehouse(warehouse)
    rows = house.read(house.current(), "observations").to_pylist()
    classes = [row["class"] for row in rows]
    assert classes.count("car") > 100
    assert classes.count("person") > 5
    assert classes.count("traffic light") > 0
    assert all(0 <= row["bearing_deg"] < 360 for row in rows)
