"""Panoramas from their files to observations, with a detector that finds painted marks, so that all truth is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from support.drives import make_drive
from support.panoramas import jpeg

from roadscan.model.bundle import load
from roadscan.model.inference import Detections
from roadscan.report.samples import crop, unrolled
from roadscan.scan.config import ScanConfig
from roadscan.scan.plan import plan_scan
from roadscan.scan.shard import ShardScanner
from roadscan.schemas import FRAMES, OBSERVATIONS
from roadscan.survey.camera import Camera
from roadscan.survey.drive import read_drive

WIDTH, HEIGHT = 4096, 2048
HEIGHT_M = 2.0
COLORS = {"Bus Stop": (0, 0, 255), "Concrete Guardrail": (255, 0, 0)}  # BGR
Mark = tuple[str, float, float, float, float]  # class, from and to azimuth, from and to elevation, degrees


class MarkFinder:
    """Finds marks by their colour, as a perfect detector would."""

    def infer(self, inputs: npt.NDArray[np.uint8]) -> list[Detections]:
        return [self._found(pixels.astype(int)) for pixels in inputs]

    def _found(self, pixels: npt.NDArray[np.int_]) -> Detections:
        boxes, classes = [], []
        for name, color in COLORS.items():
            inside = (np.abs(pixels - color).max(2) < 90).astype(np.uint8)
            for x, y, w, h, area in cv2.connectedComponentsWithStats(inside)[2][1:].tolist():
                if area > 20:
                    boxes.append((x, y, x + w, y + h))
                    classes.append(name)
        return Detections(
            np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.9, np.float32), tuple(classes)
        )


def painted(*marks: Mark) -> bytes:
    """A level panorama with marks, as a JPEG."""
    image = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
    for name, left, right, low, high in marks:
        columns = np.arange(round((left / 360 + 0.5) * WIDTH), round((right / 360 + 0.5) * WIDTH)) % WIDTH
        rows = slice(round((0.5 - high / 180) * HEIGHT), round((0.5 - low / 180) * HEIGHT))
        image[rows, columns] = COLORS[name]
    return jpeg(image)


def scan(
    folder: Path, model: str, *marks: Mark, mount_yaw_deg: float = 0.0, **frame: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A drive of one panorama -> its observations, from the left to the right of the vehicle, and its frame."""
    camera = Camera(
        "around", WIDTH, HEIGHT, WIDTH / math.tau, HEIGHT_M, mount_yaw_deg=mount_yaw_deg, projection="equirectangular"
    )
    row = {"camera_id": "around", "heading_deg": 30.0, **frame}
    drive = read_drive(make_drive(str(folder), n=1, images={0: painted(*marks)}, camera=camera, replace={0: row}))
    bundle = load(model)
    config = ScanConfig(drives=("d",), warehouse="w", batch_size=4)
    observations, frames = ShardScanner(config, bundle, MarkFinder(), 2).scan(drive, drive.frames, "key")
    assert (observations.schema, frames.schema) == (OBSERVATIONS, FRAMES)
    return sorted(observations.to_pylist(), key=lambda one: float(one["bearing_deg"])), frames.to_pylist()


@pytest.mark.parametrize("mount_yaw_deg", [0.0, 180.0, 77.0])
def test_bearings_are_right_all_around_and_nothing_is_twice(
    tmp_path: Path, detect_model: str, mount_yaw_deg: float
) -> None:
    """A mark of 4 degrees each 36: some in one face, some in two, one across the panorama's edge.

    Each is a bus stop of 2.7 m whose foot a camera 2 m above the ground sees 5 degrees below the horizon: 2 m / tan 5°
    away, where its head is 0.7 m above the camera.
    """
    away_m = HEIGHT_M / math.tan(math.radians(5))
    top_deg = math.degrees(math.atan(0.7 / away_m))
    middles = [float(one) for one in range(-180, 180, 36)]
    marks = [("Bus Stop", one - 2, one + 2, -5.0, top_deg) for one in middles]
    found, (frame,) = scan(tmp_path, detect_model, *marks, mount_yaw_deg=mount_yaw_deg)
    assert (frame["status"], frame["fov_deg"], frame["n_detections"]) == ("ok", 360.0, len(middles))
    heading = 30.0 + mount_yaw_deg
    assert frame["heading_deg"] == heading % 360
    expected = sorted((heading + one) % 360 for one in middles)
    assert [one["bearing_deg"] for one in found] == pytest.approx(expected, abs=0.1)
    assert [one["range_m"] for one in found] == pytest.approx([away_m] * len(found), rel=0.05)
    for one in found:
        left, top, right, bottom = one["box_px"]
        middle = ((left + right) / 2 / WIDTH - 0.5) * 360
        assert (middle + heading - one["bearing_deg"] + 180) % 360 - 180 == pytest.approx(0, abs=0.01)
        assert right - left == pytest.approx(4 / 360 * WIDTH, abs=5)  # a pixel of a face is 1.7 of the panorama's
        assert (top, bottom) == pytest.approx(((0.5 - top_deg / 180) * HEIGHT, (0.5 + 5 / 180) * HEIGHT), abs=3)
        assert 0 <= left < WIDTH
    assert sum(one["box_px"][2] > WIDTH for one in found) == 1


def test_a_panorama_is_levelled_by_the_pitch_and_roll_of_its_frame(tmp_path: Path, detect_model: str) -> None:
    """The camera leans to the right by 10 degrees: what its panorama has level, 20 degrees to the right, lies lower.

    A ray of azimuth a in the leaning panorama is (sin a cos r, cos a, -sin a sin r) in level axes: its bearing is
    atan(tan a cos r), 19.72 degrees, and its elevation -asin(sin a sin r), -3.40 degrees.
    """
    ((one,), _) = scan(tmp_path, detect_model, ("Bus Stop", 19.0, 21.0, -1.0, 1.0), roll_deg=10.0)
    bearing = math.degrees(math.atan(math.tan(math.radians(20)) * math.cos(math.radians(10))))
    assert one["bearing_deg"] == pytest.approx(30 + bearing, abs=0.1)
    left, top, right, bottom = one["box_px"]  # of what leans in the level face, so larger than the mark
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx(((20 / 360 + 0.5) * WIDTH, HEIGHT / 2), abs=3)


def test_lines_are_measured_in_the_face_that_looks_along_the_road(tmp_path: Path, detect_model: str) -> None:
    ahead, aside = ("Concrete Guardrail", 12.0, 18.0, -6.0, -1.0), ("Concrete Guardrail", 85.0, 95.0, -6.0, -1.0)
    (first, second), _ = scan(tmp_path, detect_model, ahead, aside)
    assert first["near_bearing_deg"] == pytest.approx(30 + 18, abs=0.3)
    # The box's lower side is that of a level line in the face, lowest at its inner end: 2 m / tan(6.1°) at 18 degrees.
    assert first["near_range_m"] == pytest.approx(19, abs=1.5)
    assert second["near_bearing_deg"] is None
    assert second["bearing_deg"] == pytest.approx(120, abs=0.1)


def test_what_no_face_shows_whole_has_no_range(tmp_path: Path, detect_model: str) -> None:
    """Cut by the upper and the lower edge of its face, as what stands beside the vehicle is."""
    ((one,), _) = scan(tmp_path, detect_model, ("Bus Stop", 88.0, 92.0, -60.0, 60.0))
    assert one["range_m"] is None
    assert one["bearing_deg"] == pytest.approx(120, abs=0.1)


def test_an_image_of_another_shape_is_told(tmp_path: Path, detect_model: str) -> None:
    camera = Camera("around", WIDTH, HEIGHT, WIDTH / math.tau, HEIGHT_M, projection="equirectangular")
    drive = read_drive(make_drive(str(tmp_path), n=1, camera=camera, replace={0: {"camera_id": "around"}}))
    bundle = load(detect_model)
    scanner = ShardScanner(ScanConfig(drives=("d",), warehouse="w"), bundle, MarkFinder(), 2)
    _, frames = scanner.scan(drive, drive.frames, "key")
    assert frames["reason"][0].as_py() == "bad_size: 640x360 px, but camera around takes 4096x2048"


def test_a_crop_shows_what_lies_across_the_edge() -> None:
    image = cv2.imdecode(np.frombuffer(painted(("Bus Stop", 178.0, 184.0, -3.0, 3.0)), np.uint8), cv2.IMREAD_COLOR)
    box = [(178 / 360 + 0.5) * WIDTH, 990.0, (184 / 360 + 0.5) * WIDTH, 1058.0]
    square = cv2.imdecode(np.frombuffer(crop(image, box, 200, outline=False), np.uint8), cv2.IMREAD_COLOR)
    red = (np.abs(square.astype(int) - COLORS["Bus Stop"]).max(2) < 90).nonzero()[1]
    # A margin of a quarter on both sides: the middle two thirds of 200 px.
    assert (red.min(), red.max()) == pytest.approx((33, 166), abs=2)
    turned, (first, second) = unrolled(image, [box, [0.0, 10.0, 20.0, 30.0]])
    assert turned[1020, round(first[0]) + 10].tolist() == pytest.approx(COLORS["Bus Stop"], abs=40)
    assert first[2] <= WIDTH
    assert second[2] <= WIDTH
    plain = image[:1500]
    assert unrolled(plain, [box])[0] is plain


def test_a_semantic_model_takes_no_panorama(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, detect_model: str) -> None:
    camera = Camera("around", WIDTH, HEIGHT, WIDTH / math.tau, HEIGHT_M, projection="equirectangular")
    make_drive(str(tmp_path / "d"), n=1, camera=camera, replace={0: {"camera_id": "around"}})
    monkeypatch.setattr("roadscan.scan.plan.inspect", lambda path, task: load(detect_model))
    config = ScanConfig(drives=(str(tmp_path / "d"),), warehouse=str(tmp_path / "w"), model=detect_model)
    assert not plan_scan(config).left_out
    semantic = config.model_copy(update={"task": "semantic"})
    (reason,) = plan_scan(semantic).left_out.values()
    assert reason.endswith("a semantic model sees whole images; expected a model for task detect or segment")
