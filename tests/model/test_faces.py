"""Panoramas in faces: pixels to faces and back, and what several faces show of one object."""

from __future__ import annotations

import re

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from pycocotools import mask as coco

from roadscan.config import load_config
from roadscan.errors import ConfigError
from roadscan.model.faces import FACES, FaceConfig, FaceLayout, plan_faces
from roadscan.model.image_detections import ImageDetections, in_image
from roadscan.model.image_input import ImageInput, faces_of
from roadscan.model.inference import Detections

WIDTH, HEIGHT, SIDE = 4096, 2048, 640
TILTS = [(0.0, 0.0), (6.0, -4.0)]


def layout(pitch_deg: float = 0.0, roll_deg: float = 0.0, ahead_deg: float = 0.0) -> FaceLayout:
    return plan_faces((HEIGHT, WIDTH), FACES, SIDE, ahead_deg=ahead_deg, pitch_deg=pitch_deg, roll_deg=roll_deg)


def direction(azimuth_deg: float, elevation_deg: float) -> npt.NDArray[np.float64]:
    """Right, forward and up of a level camera's heading."""
    a, e = np.radians([azimuth_deg, elevation_deg])
    return np.array([np.cos(e) * np.sin(a), np.cos(e) * np.cos(a), np.sin(e)])


def in_face(faces: FaceLayout, face: int, azimuth_deg: float, elevation_deg: float) -> tuple[float, float]:
    """Where a level pinhole of the face's direction shows a level direction."""
    x, y, z = direction(azimuth_deg - faces.yaws_deg[face], elevation_deg)
    return faces.input_hw[1] / 2 + faces.focal_px * x / y, faces.input_hw[0] / 2 - faces.focal_px * z / y


def in_panorama(pitch_deg: float, roll_deg: float, azimuth_deg: float, elevation_deg: float) -> tuple[float, float]:
    """Where a camera that is pitched up and rolled to the right has a level direction in its panorama."""
    p, r = np.radians([pitch_deg, roll_deg])
    forward = np.array([0, np.cos(p), np.sin(p)])
    level_right, up = np.array([1, 0, 0]), np.array([0, -np.sin(p), np.cos(p)])
    right, up = np.cos(r) * level_right - np.sin(r) * up, np.sin(r) * level_right + np.cos(r) * up
    ray = direction(azimuth_deg, elevation_deg)
    x, y, z = ray @ right, ray @ forward, ray @ up
    return (np.degrees(np.arctan2(x, y)) / 360 + 0.5) * WIDTH, (0.5 - np.degrees(np.arcsin(z)) / 180) * HEIGHT


@pytest.mark.parametrize(("pitch_deg", "roll_deg"), TILTS)
@pytest.mark.parametrize("azimuth_deg", [-170.0, -95.0, -30.0, 0.0, 25.0, 61.0, 179.9])
def test_a_mark_is_where_its_bearing_is(azimuth_deg: float, pitch_deg: float, roll_deg: float) -> None:
    """A disc of 0.7 degrees, drawn into the panorama, is at its level direction's place in each face that shows it."""
    x, y = in_panorama(pitch_deg, roll_deg, azimuth_deg, 8.0)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for turn in (-WIDTH, 0, WIDTH):
        cv2.circle(image, (round((x + turn - 0.5) * 16), round((y - 0.5) * 16)), 4 * 16, (255, 255, 255), -1, shift=4)
    faces = layout(pitch_deg, roll_deg)
    shown = 0
    for face, pixels in enumerate(faces.cut(image)[..., 0].astype(float)):
        if abs((azimuth_deg - faces.yaws_deg[face] + 180) % 360 - 180) > 38:
            continue
        shown += 1
        rows, columns = np.mgrid[: faces.input_hw[0], :SIDE] + 0.5
        found = (pixels * columns).sum() / pixels.sum(), (pixels * rows).sum() / pixels.sum()
        assert found == pytest.approx(in_face(faces, face, azimuth_deg, 8.0), abs=0.2)  # of 6.7 pixels a degree
        box = np.array([[*found, *found]], np.float32)
        level = faces.on_sphere(box, face)
        assert (faces.bearings_deg(level)[0] - azimuth_deg + 180) % 360 - 180 == pytest.approx(0, abs=0.05)
        left, top, _, _ = faces.to_panorama(level)[0]
        assert (left - x + WIDTH / 2) % WIDTH - WIDTH / 2 == pytest.approx(0, abs=0.6)  # of 11.4 pixels a degree
        assert top == pytest.approx(y, abs=0.6)
        assert 0 <= left < WIDTH
    assert shown >= 1


@pytest.mark.parametrize(("pitch_deg", "roll_deg"), TILTS)
def test_pixels_of_the_panorama_are_found_in_faces(pitch_deg: float, roll_deg: float) -> None:
    faces = layout(pitch_deg, roll_deg)
    x, y = in_panorama(pitch_deg, roll_deg, 200.0, -12.0)
    found = faces.seen_in_face(np.array([[x]]), np.array([[y]]), 3)
    assert np.ravel(found) == pytest.approx(in_face(faces, 3, 200.0, -12.0), abs=1e-6)


def detections(*boxes: tuple[float, ...], masks: npt.NDArray[np.float32] | None = None) -> Detections:
    """Boxes with their scores as a face's."""
    rows = np.array(boxes, np.float32).reshape(-1, 5)
    return Detections(rows[:, :4], rows[:, 4], tuple("Bus Stop" for _ in rows), masks)


def found(faces: FaceLayout, by_face: dict[int, Detections]) -> ImageDetections:
    image = faces_of(np.zeros((HEIGHT, WIDTH, 3), np.uint8), faces)
    whole, *others = (by_face.get(face, detections()) for face in range(len(faces.yaws_deg)))
    return in_image(image, whole, others)


def as_box(faces: FaceLayout, face: int, azimuths: tuple[float, float], elevations: tuple[float, float], score: float):
    """A face's box about what is between two bearings, and between two elevations in their middle."""
    middle = sum(azimuths) / 2
    left, right = (in_face(faces, face, one, 0)[0] for one in azimuths)
    x = (left + right) / 2 - SIDE / 2
    at = faces.yaws_deg[face] + np.degrees(np.arctan(x / faces.focal_px))
    assert abs(at - middle) < 3  # a face's middle column of a box is not quite its middle bearing
    low, high = (in_face(faces, face, at, one)[1] for one in elevations)
    return left, high, right, low, score


@pytest.mark.parametrize("ahead_deg", [0.0, 180.0])
@pytest.mark.parametrize("seam", [(28.0, 33.0), (178.0, 183.0)])
def test_an_object_of_two_faces_is_one_where_the_panorama_shows_it(seam: tuple[float, float], ahead_deg: float) -> None:
    """From 28 to 33 degrees, in the faces at 0 and at 60; and across the panorama's edge, which is no face's."""
    faces = layout(ahead_deg=ahead_deg)
    by_face = {}
    for face, yaw in enumerate(faces.yaws_deg):
        near = (yaw - seam[0] + 180) % 360 - 180
        if -35 < near < 35:
            turned = tuple(one + 360 * round((yaw - one) / 360) for one in seam)
            by_face[face] = detections(as_box(faces, face, (turned[0], turned[1]), (-4.0, 6.0), 0.9 - 0.1 * face / 6))
    assert len(by_face) == (2 if seam[0] == 28 else 1)
    one = found(faces, by_face)
    assert len(one.scores) == 1
    assert one.in_faces is not None
    assert (one.in_faces.bearing_deg[0] - sum(seam) / 2 + 180) % 360 - 180 == pytest.approx(0, abs=0.05)
    left, top, right, bottom = one.boxes_xyxy[0]
    assert left == pytest.approx((seam[0] / 360 + 0.5) * WIDTH % WIDTH, abs=0.5)
    assert right == pytest.approx(left + 5 / 360 * WIDTH, abs=0.5)  # beyond the width, across the edge
    assert (right > WIDTH) == (seam[0] == 178)
    assert (top, bottom) == pytest.approx(((0.5 - 6 / 180) * HEIGHT, (0.5 + 4 / 180) * HEIGHT), abs=0.5)


def test_what_two_faces_cut_is_one_object_of_all_that_they_show() -> None:
    """From 15 to 45 degrees: the face at 0 cuts it at 40, that at 60 at 20."""
    faces = layout()
    halves = {
        0: detections(as_box(faces, 0, (15.0, 40.0), (-4.0, 6.0), 0.9)),
        1: detections(as_box(faces, 1, (20.0, 45.0), (-4.0, 6.0), 0.8)),
    }
    one = found(faces, halves)
    assert len(one.scores) == 1
    assert one.boxes_xyxy[0, ::2] == pytest.approx([(15 / 360 + 0.5) * WIDTH, (45 / 360 + 0.5) * WIDTH], abs=0.5)
    assert one.in_faces is not None
    assert one.in_faces.bearing_deg == pytest.approx([30.0], abs=0.05)
    assert one.in_faces.face.tolist() == [0]  # of two that cut it, that nearest to ahead


def test_two_objects_in_one_face_stay_two() -> None:
    faces = layout()
    side_by_side = [as_box(faces, 0, (a, a + 4.0), (-4.0, 6.0), 0.9) for a in (20.0, 24.5)]
    other = [as_box(faces, 1, (a, a + 4.0), (-4.0, 6.0), 0.8) for a in (20.0, 24.5)]
    assert len(found(faces, {0: detections(*side_by_side), 1: detections(*other)}).scores) == 2


@pytest.mark.parametrize("middle_deg", [10.0, 180.0])
def test_a_mask_is_where_its_box_is(middle_deg: float) -> None:
    faces = layout()
    face = faces.yaws_deg.index(-180.0) if middle_deg == 180 else 0
    turned = middle_deg - 360 if middle_deg == 180 else middle_deg
    box = as_box(faces, face, (turned - 4, turned + 4), (-5.0, 5.0), 0.9)
    plane = np.full((1, faces.input_hw[0] // 4, SIDE // 4), 4.0, np.float32)
    one = found(faces, {face: detections(box, masks=plane)})
    whole = found(faces, {0: detections(masks=plane[:0]), face: detections(box, masks=plane)})
    rle = (whole.masks_rle or ())[0]
    mask = coco.decode({"size": [HEIGHT, WIDTH], "counts": rle.encode()}).astype(bool)
    rows, columns = np.nonzero(np.roll(mask, WIDTH // 2 - round((middle_deg / 360 + 0.5) * WIDTH), axis=1))
    assert (columns.min(), columns.max() + 1) == pytest.approx((WIDTH / 2 - 45.5, WIDTH / 2 + 45.5), abs=2)  # 4 degrees
    assert (rows.min(), rows.max() + 1) == pytest.approx((HEIGHT / 2 - 57, HEIGHT / 2 + 57), abs=2)  # 5 degrees
    assert one.boxes_xyxy == pytest.approx(whole.boxes_xyxy)


def test_the_network_is_given_faces_alone() -> None:
    image = faces_of(np.zeros((HEIGHT, WIDTH, 3), np.uint8), layout())
    assert isinstance(image, ImageInput)
    assert (image.passes, image.letterbox.input_hw) == (6, (384, 640))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ("{count: 4, fov_deg: 90}", "faces.fov_deg: got 90 with count 4; expected at least 95, so that neighbours"),
        ("{vertical_fov_deg: 90}", "faces.vertical_fov_deg: got 90; expected up to fov_deg, 80"),
        ("{count: 2}", "greater than or equal to 3"),
    ],
)
def test_faces_that_leave_gaps_are_refused(fields: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        load_config(FaceConfig, None, [f"{name}={value}" for name, value in _pairs(fields)])


def _pairs(fields: str) -> list[tuple[str, str]]:
    return [(name, value) for name, value in (pair.split(": ") for pair in fields.strip("{}").split(", "))]
