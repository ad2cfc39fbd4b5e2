"""From a folder of images to a register in one Python program."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from support import drives

import roadscan

FRAMES = 8


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, and a CSV that says when and where they were taken."""
    folder = tmp_path_factory.mktemp("source")
    columns = ("image_uri", "captured_at", "lon", "lat", "heading_deg")
    with (folder / "frames.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, columns, extrasaction="ignore")
        rows.writeheader()
        for index in range(FRAMES):
            row = drives.frame(index, image_uri=f"{index}.jpg")
            rows.writerow({**row, "captured_at": row["captured_at"].isoformat()})
            (folder / row["image_uri"]).write_bytes(drives.jpeg(index))
    return folder


@pytest.mark.slow
def test_images_become_a_register(source: Path, tmp_path: Path, detect_model: str) -> None:
    drive, warehouse = tmp_path / "drive", str(tmp_path / "warehouse")
    imported = roadscan.ingest(roadscan.IngestConfig(kind="table", source=str(source / "frames.csv"), out=str(drive)))
    assert (imported.frames, imported.usable) == (FRAMES, FRAMES)
    config = roadscan.ScanConfig(
        drives=(str(drive),), warehouse=warehouse, model=detect_model, backend="torch", actors=1
    )
    heard: list[roadscan.Progress] = []
    scanned = roadscan.run_scan(config, heard.append)
    assert (heard[-1].stage, heard[-1].done, heard[-1].total, heard[-1].unit) == ("scan", FRAMES, FRAMES, "frames")
    assert (scanned.frames_ok, scanned.complete) == (FRAMES, True)
    assert roadscan.run_scan(config).drives_skipped == 1
    register = roadscan.run_inventory(roadscan.InventoryConfig(warehouse=warehouse))
    assert (register.drives, register.published) == (1, True)

    opened = roadscan.open_warehouse(warehouse)
    assert len(opened.table("observations")) == scanned.detections > 0
    # A detector of its own finds in an image what the scan found.
    found = roadscan.Detector(detect_model, backend="torch").detect(source / "3.jpg")
    rows = opened.query("SELECT class, box_px FROM observations WHERE image_uri LIKE '%/3.jpg' ORDER BY score DESC")
    boxes = np.array(rows.to_pandas()["box_px"].tolist())
    np.testing.assert_allclose(found.boxes_xyxy, boxes, atol=0.01)


def test_a_config_is_read_from_yaml(tmp_path: Path) -> None:
    (tmp_path / "scan.yaml").write_text("drives: [a]\nwarehouse: w\n")
    config = roadscan.load_config(roadscan.ScanConfig, tmp_path / "scan.yaml", ["batch_size=8"])
    assert (config.drives, config.batch_size) == (("a",), 8)
    with pytest.raises(roadscan.ConfigError, match="batch: unknown field"):
        roadscan.load_config(roadscan.ScanConfig, tmp_path / "scan.yaml", ["batch=8"])
