from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from roadscan.errors import SurveyError
from roadscan.schemas import ACCURACY
from roadscan.survey.drive import read_drive
from roadscan.survey.importers import IngestConfig, ingest, ingest_config

# As `mapillary_tools process` 0.13 writes it; shortened to two images and what can go wrong with others.
GOOD = {
    "MAPLatitude": 13.75,
    "MAPLongitude": 100.5,
    "MAPCaptureTime": "2024_01_30_19_00_12_345",
    "MAPAltitude": 5.1,
    "MAPCompassHeading": {"TrueHeading": 365.5, "MagneticHeading": 5.5},
    "MAPSequenceUUID": "0",
    "MAPDeviceMake": "GoPro",
    "MAPDeviceModel": "HERO10 Black",
    "MAPCameraUUID": "C346",
    "MAPGPSAccuracyMeters": 3.2,
    "MAPOrientation": 1,
    "md5sum": "d41d8cd98f00b204e9800998ecf8427e",
    "filetype": "image",
}
ERROR = {
    "error": {"type": "MapillaryGeoTaggingError", "message": "Unable to extract GPS Longitude or GPS Latitude"},
    "filetype": "image",
}
SIZE = "cameras=[{width_px: 64, height_px: 48, hfov_deg: 70}]"


@pytest.fixture
def describe(tmp_path: Path) -> Callable[..., IngestConfig]:
    def write(entries: Any, *overrides: str) -> IngestConfig:
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos/mapillary_image_description.json").write_text(json.dumps(entries))
        return ingest_config("mapillary", tmp_path / "photos", tmp_path / "drive", overrides)

    return write


def test_an_image_description_becomes_a_frame(tmp_path: Path, describe: Callable[..., IngestConfig]) -> None:
    summary = ingest(describe([GOOD | {"filename": str(tmp_path / "photos/a/1.jpg")}], SIZE))
    (row,) = read_drive(summary.uri).frames.to_pylist()
    assert row == {
        "frame_id": "a_1",
        "image_uri": "a/1.jpg",
        "captured_at": datetime(2024, 1, 30, 19, 0, 12, 345_000, tzinfo=UTC),
        "lon": 100.5,
        "lat": 13.75,
        "heading_deg": 5.5,
        "speed_mps": None,
        "hdop": None,
        "camera_id": "front",
        "reason": None,
        **dict.fromkeys(ACCURACY),
        "pos_sigma_m": 3.2,
        "altitude_m": 5.1,
    }


def test_an_accuracy_that_is_not_told_is_unknown(describe: Callable[..., IngestConfig]) -> None:
    untold = [
        GOOD | {"filename": "1.jpg", "MAPGPSAccuracyMeters": 0, "MAPAltitude": None},  # 0 is unknown
        {name: value for name, value in GOOD.items() if name != "MAPGPSAccuracyMeters"} | {"filename": "2.jpg"},
    ]
    rows = read_drive(ingest(describe(untold, SIZE)).uri).frames.to_pylist()
    assert [(row["pos_sigma_m"], row["altitude_m"]) for row in rows] == [(None, None), (None, 5.1)]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (ERROR | {"filename": "2.jpg"}, "mapillary: MapillaryGeoTaggingError: Unable to extract GPS Longitude"),
        ({"filename": "2.mp4", "filetype": "gopro", "MAPGPSTrack": []}, "unsupported: filetype 'gopro'"),
        (GOOD | {"filename": "2.jpg", "MAPLatitude": "13"}, "no_gps"),
        (GOOD | {"filename": "2.jpg", "MAPLatitude": 0, "MAPLongitude": 0.0}, "bad_gps"),
        (GOOD | {"filename": "2.jpg", "MAPLongitude": 181}, "bad_gps"),
        (GOOD | {"filename": "2.jpg", "MAPCaptureTime": "2024-01-30"}, "no_time: MAPCaptureTime is '2024-01-30'"),
        ({"filename": "2.jpg", "MAPLatitude": 1, "MAPLongitude": 1}, "no_time: MAPCaptureTime is None"),
        (GOOD | {"filename": "/elsewhere/2.jpg"}, "bad_key"),
        (GOOD, "bad_entry: entry 1 has no filename"),
        ("text", "bad_entry"),
    ],
)
def test_a_bad_entry_is_a_row_with_a_reason(describe: Callable[..., IngestConfig], entry: Any, reason: str) -> None:
    summary = ingest(describe([GOOD | {"filename": "1.jpg"}, entry], SIZE))
    frames = read_drive(summary.uri).frames.to_pylist()
    assert len(frames) == 2
    assert frames[0]["reason"] is None
    assert frames[1]["reason"].startswith(reason)


def test_names_from_another_machine(describe: Callable[..., IngestConfig]) -> None:
    entries = [GOOD | {"filename": f"D:\\night\\cam\\{n}.jpg"} for n in range(2)]
    with pytest.raises(SurveyError, match=r"images: none of the 2 images lies below .*path_prefix"):
        ingest(describe([GOOD | {"filename": f"/home/x/{n}.jpg"} for n in range(2)], SIZE))
    summary = ingest(describe(entries, SIZE, "path_prefix='D:\\night'"))
    assert read_drive(summary.uri).frames["image_uri"].to_pylist() == ["cam/0.jpg", "cam/1.jpg"]


def test_camera_uuid_names_a_configured_camera(describe: Callable[..., IngestConfig]) -> None:
    size = "width_px: 64, height_px: 48, hfov_deg: 70"
    two = f"cameras=[{{camera_id: C346, {size}, mount_yaw_deg: 90}}, {{camera_id: x, {size}}}]"
    summary = ingest(describe([GOOD | {"filename": "1.jpg"}], two))
    (row,) = read_drive(summary.uri).frames.to_pylist()
    assert (row["camera_id"], row["heading_deg"]) == ("C346", 275.5)


@pytest.mark.parametrize("content", ['{"a": 1}', "[]", "not json"])
def test_a_file_that_is_no_description(tmp_path: Path, content: str) -> None:
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(SurveyError, match=r"source: .*d\.json"):
        ingest(ingest_config("mapillary", tmp_path / "d.json", tmp_path / "drive"))


def test_no_description_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(SurveyError, match=r"has no mapillary_image_description\.json"):
        ingest(ingest_config("mapillary", tmp_path, tmp_path / "drive"))
