from __future__ import annotations

import json
from pathlib import Path

import pytest

from roadscan.config import load_config
from roadscan.errors import ConfigError
from roadscan.survey.importers import CameraConfig, IngestConfig, ingest_config


def test_the_command_line_and_a_file_give_the_same_config(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("kind: exif\nsource: 'night: 1'\nout: '2024'\nutc_offset_h: 7\n")
    assert ingest_config("exif", "night: 1", "2024", ["utc_offset_h=7"]) == load_config(IngestConfig, path)


def test_a_track_needs_its_clock_and_is_told_how_to_find_it() -> None:
    with pytest.raises(ConfigError, match=r"clock_offset_s: .*camera's clock minus the GPS clock.*photograph"):
        ingest_config("track", "photos", "out", ["track=a.gpx"])
    with pytest.raises(ConfigError, match=r"track: .*required with kind=track"):
        ingest_config("track", "photos", "out", ["clock_offset_s=0"])


@pytest.mark.parametrize(
    ("kind", "override", "message"),
    [
        ("tape", "drive_id=a", "kind: got 'tape'"),
        ("exif", "clock_offset_s=0", "not used with kind=exif, only with track"),
        ("exif", "columns={lon: x}", "not used with kind=exif, only with table or track"),
        ("exif", "images=elsewhere", "not used with kind=exif"),
        ("mapillary", "utc_offset_h=7", "not used with kind=mapillary"),
        ("table", "columns={longitude: x}", r"columns: .*\['longitude'\] are no columns of roadscan"),
        ("exif", "utc_offset_h=25", "utc_offset_h: got 25"),
        ("exif", "max_gap_s=0", "max_gap_s: got 0"),
        ("exif", "camera_pattern='cam('", "camera_pattern: .*not a regular expression"),
        ("exif", "camera_pattern=cam", "camera_pattern: .*expected one group"),
        ("exif", "cameras=[{focal_px: 100, hfov_deg: 70}]", r"cameras.0.hfov_deg: .*only one of the two"),
        ("exif", "cameras=[{height_px: 100}]", r"cameras.0.height_px: .*give both"),
        ("exif", "cameras=[{width_px: 100}]", r"cameras.0.height_px: .*give both"),
        ("exif", "camera=3", "camera: unknown field"),
    ],
)
def test_wrong_fields_are_named(kind: str, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ingest_config(kind, "photos", "out", [override])


def test_a_time_pattern_needs_a_zone() -> None:
    track = ["track=a.gpx", "clock_offset_s=0"]
    with pytest.raises(ConfigError, match=r"time_pattern: .*utc_offset_h"):
        ingest_config("track", "photos", "out", [*track, "time_pattern='%Y%m%d_%H%M%S'"])
    assert ingest_config("track", "photos", "out", [*track, "time_pattern='%Y%m%d_%H%M%S%z'"]).utc_offset_h is None


def test_cameras_come_from_a_json_or_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps({"cameras": [{"camera_id": "a", "hfov_deg": 90}, {"camera_id": "b"}]}))
    rig = ingest_config("exif", "photos", "out", [f"cameras_file={path}"]).rig()
    assert rig == (CameraConfig(camera_id="a", hfov_deg=90), CameraConfig(camera_id="b"))
    path.write_text("cameras: []")
    with pytest.raises(ConfigError, match="at least 1 item"):
        ingest_config("exif", "photos", "out", [f"cameras_file={path}"]).rig()


def test_two_cameras_of_one_name_are_refused() -> None:
    config = ingest_config("exif", "photos", "out", ["cameras=[{camera_id: a}, {camera_id: a}]"])
    with pytest.raises(ConfigError, match=r"camera_id \['a'\] occurs more than once"):
        config.rig()
