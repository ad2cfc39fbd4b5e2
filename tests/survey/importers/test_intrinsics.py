from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from roadscan.errors import ConfigError, SurveyError
from roadscan.survey.drive import read_drive
from roadscan.survey.importers import IngestSummary
from roadscan.survey.importers.intrinsics import read_calibration
from roadscan.survey.lens import Lens

MATRIX = np.array([[1000.0, 0, 959.5], [0, 1004, 531], [0, 0, 1]])
BENT = np.array([-0.29, 0.09, 0.0006, -0.0004, -0.012])
#: OpenCV's pixels have their middle at (0, 0), ours and COLMAP's at (0.5, 0.5).
BROWN = Lens("brown", (1000.0, 1004.0), (960.0, 531.5), tuple(BENT))
ROS = """image_width: 1920
image_height: 1080
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [1000.0, 0.0, 959.5, 0.0, 1004.0, 531.0, 0.0, 0.0, 1.0]}
distortion_model: equidistant
distortion_coefficients: {rows: 1, cols: 4, data: [0.05, -0.012, 0.004, -0.001]}
"""


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_what_opencv_writes_is_read(tmp_path: Path, suffix: str) -> None:
    storage = cv2.FileStorage(str(tmp_path / f"camera.{suffix}"), cv2.FILE_STORAGE_WRITE)
    for name, value in {
        "image_width": 1920,
        "image_height": 1080,
        "camera_matrix": MATRIX,
        "distortion_coefficients": BENT,
    }.items():
        storage.write(name, value)
    storage.release()
    found = read_calibration(str(tmp_path / f"camera.{suffix}"), "front")
    assert (found.lens, found.width_px, found.height_px) == (BROWN, 1920, 1080)


def test_json_of_scripts_and_yaml_of_ros_are_read(tmp_path: Path) -> None:
    data = {"mtx": MATRIX.tolist(), "dist": [BENT.tolist()]}
    found = read_calibration(written(tmp_path / "a.json", json.dumps(data)), "front")
    assert (found.lens, found.width_px) == (BROWN, None)
    found = read_calibration(written(tmp_path / "b.yaml", ROS), "front")
    assert found.lens == Lens("fisheye", (1000.0, 1004.0), (960.0, 531.5), (0.05, -0.012, 0.004, -0.001))
    fisheye = read_calibration(
        written(tmp_path / "c.json", json.dumps({"K": MATRIX.tolist(), "D": [0.1, 0, 0, 0]})), "front", "fisheye"
    )
    assert fisheye.lens.model == "fisheye"


@pytest.mark.parametrize(
    ("line", "lens"),
    [
        ("SIMPLE_PINHOLE 1920 1080 1000 960 540", Lens("brown", (1000, 1000), (960, 540))),
        ("PINHOLE 1920 1080 1000 1004 960 540", Lens("brown", (1000, 1004), (960, 540))),
        ("SIMPLE_RADIAL 1920 1080 1000 960 540 -0.1", Lens("brown", (1000, 1000), (960, 540), (-0.1, 0, 0, 0))),
        ("RADIAL 1920 1080 1000 960 540 -0.1 0.02", Lens("brown", (1000, 1000), (960, 540), (-0.1, 0.02, 0, 0))),
        ("OPENCV 1920 1080 1000 1004 960 540 -0.1 0.02 0.001 0.002",
         Lens("brown", (1000, 1004), (960, 540), (-0.1, 0.02, 0.001, 0.002))),
        ("FULL_OPENCV 1920 1080 1000 1004 960 540 1 2 3 4 5 6 7 8",
         Lens("brown", (1000, 1004), (960, 540), (1, 2, 3, 4, 5, 6, 7, 8))),
        ("OPENCV_FISHEYE 1920 1080 1000 1004 960 540 1 2 3 4", Lens("fisheye", (1000, 1004), (960, 540), (1, 2, 3, 4))),
        ("RADIAL_FISHEYE 1920 1080 1000 960 540 1 2", Lens("fisheye", (1000, 1000), (960, 540), (1, 2, 0, 0))),
    ],
)  # fmt: skip
def test_each_model_of_colmap(tmp_path: Path, line: str, lens: Lens) -> None:
    """The names and the order of the parameters are those of COLMAP's documentation."""
    text = f"# Camera list with one line of data per camera:\n#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n7 {line}\n"
    found = read_calibration(written(tmp_path / "cameras.txt", text), "front")
    assert (found.lens, found.width_px, found.height_px) == (lens, 1920, 1080)


def test_of_several_cameras_the_one_of_the_id(tmp_path: Path) -> None:
    path = written(tmp_path / "cameras.txt", "1 SIMPLE_PINHOLE 64 48 50 32 24\n2 SIMPLE_PINHOLE 64 48 60 32 24\n")
    assert read_calibration(path, "2").lens.focal_px == (60, 60)
    with pytest.raises(SurveyError, match=r"has the cameras 1, 2; expected 'front' among them, or one alone"):
        read_calibration(path, "front")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 THIN_PRISM_FISHEYE 64 48 1 2 3 4 5 6 7 8 9 10 11 12", "the model is THIN_PRISM_FISHEYE; expected one of"),
        ("1 OPENCV 64 48 50 50 32 24 0.1", "OPENCV with 5 parameters, expected 8"),
        ("1 PINHOLE 64 48 50 fifty 32 24", "is no camera"),
        ("{", "not valid JSON"),
        ("hello", "no mapping of names"),
        ("a: 1", "no camera matrix of 3x3"),
        ('{"K": [[1, 0, 0], [0, 1, 0]]}', "no camera matrix of 3x3"),
        ('{"K": [[900, 0, 1], [0, 900, 1], [0, 0, 1]], "D": ["a"]}', "expected numbers"),
        ('{"K": [[900, 90, 1], [0, 900, 1], [0, 0, 1]]}', "a skew of 90"),
        ('{"K": [[900, 0, 1], [0, 900, 1], [0, 0, 1]], "D": [1, 2, 3]}', "brown with 3 coefficients; expected 0 or 4"),
    ],
)
def test_what_is_no_calibration_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SurveyError, match=message):
        read_calibration(written(tmp_path / "camera", text), "front")
    with pytest.raises(SurveyError, match=r"does not exist; expected cameras\.txt"):
        read_calibration(str(tmp_path / "nothing"), "front")


def test_a_drive_keeps_the_lens_of_its_images_size(
    photo: Callable[..., Path], run: Callable[..., tuple[IngestSummary, Any]], tmp_path: Path
) -> None:
    """Calibrated at 1920x1440, images of 64x48: a thirtieth."""
    photo("0.jpg", 100.5, 13.75, time="2026:11:01 02:00:00")
    path = written(tmp_path / "cameras.txt", "1 OPENCV 1920 1440 1500 1506 963 717 -0.1 0.02 0.001 0.002\n")
    summary, _ = run("utc_offset_h=0", f"cameras=[{{intrinsics: {path}}}]")
    (camera,) = read_drive(summary.uri).cameras.values()
    assert camera.lens is not None
    assert (*camera.lens.focal_px, *camera.lens.centre_px) == pytest.approx((50, 50.2, 32.1, 23.9))
    assert camera.focal_px == pytest.approx(50)
    assert summary.focal_rules == {"front": "50.0 px: intrinsics, brown with 4 coefficients"}
    other = written(tmp_path / "cut.txt", "1 SIMPLE_PINHOLE 1920 1080 1500 963 517\n")
    with pytest.raises(SurveyError, match="calibrated with images of 1920x1080, and those of the drive are 64x48"):
        run("utc_offset_h=0", f"cameras=[{{intrinsics: {other}}}]")
    with pytest.raises(ConfigError, match="focal_px is given too"):
        run(f"cameras=[{{intrinsics: {other}, focal_px: 50}}]")
    with pytest.raises(ConfigError, match="does nothing without intrinsics"):
        run("cameras=[{lens: fisheye}]")


def test_the_rule_of_a_focal_length_is_said(
    photo: Callable[..., Path], run: Callable[..., tuple[IngestSummary, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """A sensor of 6.4 mm with 64 pixels, 10 a mm, and a lens of 5 mm: 50 px. 35 mm equivalent 43.27 mm: 80 px."""
    exif = {
        "FocalLength": (5, 1),
        "FocalPlaneXResolution": (10, 1),
        "FocalPlaneResolutionUnit": 4,
        "PixelXDimension": 64,
    }
    photo("0.jpg", 100.5, 13.75, time="2026:11:01 02:00:00", FocalLengthIn35mmFilm=43, **exif)
    summary, _ = run("utc_offset_h=0")
    assert summary.cameras[0].focal_px == pytest.approx(50, abs=0.01)
    assert summary.focal_rules == {"front": "50.0 px: EXIF, FocalLength and FocalPlaneXResolution"}
    assert "80 by FocalLengthIn35mmFilm; calibrate it" in caplog.text
    photo("0.jpg", 100.5, 13.75, time="2026:11:01 02:00:00", FocalLengthIn35mmFilm=43)
    summary, _ = run("utc_offset_h=0")
    assert summary.focal_rules["front"].startswith("79.5 px: EXIF, FocalLengthIn35mmFilm of 43 mm")  # 43/43.27 · 80
    summary, _ = run("utc_offset_h=0", "cameras=[{hfov_deg: 90}]")
    assert summary.focal_rules == {"front": "32.0 px: hfov_deg"}
