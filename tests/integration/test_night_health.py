"""A night as cron runs it, on this machine and a disk: what it says of its own health."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from support.commands import Command
from support.drives import make_drive

from roadscan.nightly.metrics import METRICS
from roadscan.storage import open_store
from roadscan.warehouse import Warehouse

pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path: Path, detect_model: str) -> Path:
    """What cron's line names; the drives are in `drives/`."""
    tree = {
        "warehouse": str(tmp_path / "warehouse"),
        "time_zone": "Asia/Bangkok",
        "scan": {"drives": [str(tmp_path / "drives")], "model": detect_model, "actors": 1, "backend": "torch"},
        "health": {"done_by": "06:00", "metrics": str(tmp_path / "collector/roadscan.prom")},
    }
    path = tmp_path / "nightly.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def last_log(config: Path) -> dict[str, Any]:
    store = open_store(yaml.safe_load(config.read_text())["warehouse"])
    found: dict[str, Any] = json.loads(store.read(max(key for key in store.keys("logs/") if "nightly" in key)))
    return found


def test_images_that_come_late_are_an_error_first_and_a_complete_night_then(
    here: Command, config: Path, tmp_path: Path
) -> None:
    make_drive(str(tmp_path / "drives/d1"), images=dict.fromkeys(range(6)))
    night = ("nightly", str(config), "--date", "2026-11-01")
    done = here(*night)
    assert done.returncode == 1, done.stderr
    assert "night 2026-11-01: error" in done.stdout
    assert "reasons: 6 missing" in done.stdout
    assert "error: all 6 frames are in quarantine" in done.stdout
    exposed = tmp_path / "collector/roadscan.prom"
    assert (
        f'roadscan_night_unusable_frames{{warehouse="{tmp_path}/warehouse",reason="missing"}} 6.0'
        in exposed.read_text()
    )
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    assert warehouse.read(warehouse.current(), "frames").num_rows == 6

    make_drive(str(tmp_path / "drives/d1"))  # the same drive, whose images are there now
    planned = [line.split() for line in here(*night, "--dry-run").stdout.splitlines()]
    assert ["2026-11-01", "1", "1", "0", "6", "6"] in planned  # drives, new, of earlier dates, frames, to scan
    done = here(*night)
    assert done.returncode == 0, done.stdout + done.stderr
    log = last_log(config)
    assert (log["outcome"], log["frames_ok"], log["reasons"], log["withheld"]) == ("complete", 6, {}, [])
    assert warehouse.current().note == "night 2026-11-01"
    assert log["km"] == pytest.approx(0.05, abs=0.001)  # six frames, ten metres apart
    assert list(log["node_seconds"]) == ["head"]
    assert 0 < log["node_seconds"]["head"] <= log["seconds"] + 0.1
    assert log["images_per_node_second"] == pytest.approx(log["images_per_second"], rel=0.2)  # of one node
    assert f"{log['images_per_node_second']:g} a node" in done.stdout
    families = {one.name: one.samples for one in text_string_to_metric_families(exposed.read_text())}
    assert set(families) == {metric.name for metric in METRICS}
    without = {name.removeprefix("roadscan_night_") for name, samples in families.items() if not samples}
    judged_later = {"gate_closed", "drifted", "detections_per_km_low", "detections_per_km_high"}  # there was one night
    assert without <= {"unusable_frames", "detections_per_km", *judged_later, "roadscan_register_assets"}
    assert families["roadscan_night_complete"][0].value == 1
    assert families["roadscan_night_surveyed_km"][0].value == log["km"]
