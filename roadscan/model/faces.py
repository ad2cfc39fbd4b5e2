"""Faces: an equirectangular panorama cut into overlapping perspective views, as a network and a ruler expect them.

    panorama 360° x 180° ──► faces: level pinhole views around the camera, the first of them ahead on the road
                             │ boxes in pixels of a face
                             ▼
                             the level sphere: bearing and elevation in the panorama's pixels, on across its edges
                             │ turned as the camera was held
                             ▼
                             boxes in pixels of the panorama

A box that goes on across the panorama's right edge has x2 beyond the width, and x1 within: so x1 < x2 holds of it as of
every box, its middle and its width are right, and what ends at the edge shows a part of it.

Axes are right, forward and up of the camera's heading; the middle column of the panorama looks forward. Pixels have
their origin at the top left corner of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from roadscan.arrays import Floats
from roadscan.config import Config
from roadscan.model.decode import Pixels
from roadscan.model.slices import CUT_PX, STRIDE_PX

AnyFloat = TypeVar("AnyFloat", np.float32, np.float64)
LEAST_OVERLAP_DEG = 5.0  # of neighbours: what is narrower is whole in one of them


class FaceConfig(Config):
    """How panoramas are cut into faces."""

    count: int = Field(6, ge=3, le=36, description="around the camera, evenly; the first looks ahead")
    fov_deg: float = Field(
        80.0, ge=15, le=120, description="horizontal field of view; the network's longer side is as wide"
    )
    vertical_fov_deg: float = Field(50.0, ge=10, le=120, description="vertical field of view, about the horizon")

    @model_validator(mode="after")
    def _all_around(self) -> FaceConfig:
        if self.fov_deg < 360 / self.count + LEAST_OVERLAP_DEG:
            raise ValueError(
                f"faces.fov_deg: got {self.fov_deg:g} with count {self.count}; expected at least "
                f"{360 / self.count + LEAST_OVERLAP_DEG:g}, so that neighbours overlap by {LEAST_OVERLAP_DEG:g} degrees"
            )
        if self.vertical_fov_deg > self.fov_deg:
            raise ValueError(
                f"faces.vertical_fov_deg: got {self.vertical_fov_deg:g}; expected up to fov_deg, {self.fov_deg:g}"
            )
        return self


FACES = FaceConfig()


@dataclass(frozen=True, slots=True)
class FaceLayout:
    """The faces of a panorama, all of one size.

    Attributes:
        image_hw: the panorama's size in pixels.
        input_hw: a face's.
        focal_px: a face's.
        yaws_deg: where the faces look, clockwise from the panorama's middle column.
        pitch_deg, roll_deg: how the camera was held: its axis up, and to the right.
    """

    image_hw: tuple[int, int]
    input_hw: tuple[int, int]
    focal_px: float
    yaws_deg: tuple[float, ...]
    pitch_deg: float = 0.0
    roll_deg: float = 0.0

    @property
    def n_slices(self) -> int:
        """How many faces there are beside the first."""
        return len(self.yaws_deg) - 1

    @property
    def slice_hw(self) -> tuple[int, int]:
        """The size of each in the network."""
        return self.input_hw

    @property
    def source_hw(self) -> tuple[int, int]:
        """The size at which the panorama has as many pixels a radian as a face in its middle, or its own if smaller."""
        shrunk = min(1.0, 2 * np.pi * self.focal_px / self.image_hw[1])
        return round(self.image_hw[0] * shrunk), round(self.image_hw[1] * shrunk)

    def cut(self, image: npt.NDArray[Any]) -> Pixels:
        """A panorama (h, w, 3) of its own size, or reduced -> its faces (n, h, w, 3)."""
        if image.shape[:2] != self.source_hw:
            image = np.asarray(cv2.resize(image, self.source_hw[::-1], interpolation=cv2.INTER_AREA))
        faces = [cv2.remap(image, *_maps(self, n), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
                 for n in range(len(self.yaws_deg))]  # fmt: skip
        return np.stack(faces).astype(np.uint8, copy=False)

    def is_cut(self, boxes_xyxy: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Whether an object may go on beyond the face that its box (k, 4), in pixels of the face, was found in."""
        height, width = self.input_hw
        inside = np.array([1, 1, -1, -1]) * (boxes_xyxy - np.array([0, 0, width, height]))
        cut: npt.NDArray[np.bool_] = (inside < CUT_PX).any(1)
        return cut

    def on_sphere(self, boxes_xyxy: npt.NDArray[np.float32], face: int) -> Floats:
        """Boxes (k, 4) of a face -> the same on the level sphere, in the panorama's pixels, going on across its edges.

        The upper and the lower side of a face's box are no lines of one elevation; that of their middle counts, where
        the sides of what stands upright are.
        """
        (height, width), (rows, columns) = self.input_hw, self.image_hw
        box = (boxes_xyxy - np.array([width, height] * 2) / 2) / self.focal_px
        aside = np.arctan(box[:, ::2])
        far = np.hypot(1, (box[:, 0] + box[:, 2]) / 2)[:, None]
        x = ((np.radians(self.yaws_deg[face]) + aside) / (2 * np.pi) + 0.5) * columns
        y = (np.arctan(box[:, 1::2] / far) / np.pi + 0.5) * rows
        return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)

    def window_on_sphere(self, face: int) -> Floats:
        """What a face shows, as a box (4,) on the level sphere; its corners show less of the height."""
        half = np.degrees(np.arctan2(self.input_hw[1] / 2, self.focal_px))
        left, right = ((self.yaws_deg[face] + side) / 360 + 0.5 for side in (-half, half))
        rows, columns = self.image_hw
        return np.array([left * columns, 0, right * columns, rows])

    def bearings_deg(self, level_xyxy: Floats) -> Floats:
        """The bearings of the middles of boxes (k, 4) on the level sphere, clockwise from the panorama's middle."""
        return np.asarray(((level_xyxy[:, 0] + level_xyxy[:, 2]) / 2 / self.image_hw[1] - 0.5) * 360)

    def to_panorama(self, level_xyxy: Floats) -> Floats:
        """Boxes (k, 4) on the level sphere -> pixels of the panorama, x1 within it."""
        width = self.image_hw[1]
        box = level_xyxy
        if self.pitch_deg or self.roll_deg:
            middle = (box[:, :2] + box[:, 2:]) / 2
            left, top, right, bottom = (self._turned(np.stack(xy, 1)) for xy in (
                (box[:, 0], middle[:, 1]), (middle[:, 0], box[:, 1]),
                (box[:, 2], middle[:, 1]), (middle[:, 0], box[:, 3])))  # fmt: skip
            box = np.stack([left[:, 0], top[:, 1], left[:, 0] + (right[:, 0] - left[:, 0]) % width, bottom[:, 1]], 1)
        wide = np.minimum(box[:, 2] - box[:, 0], width)
        start = box[:, 0] % width
        return np.stack([start, box[:, 1], start + wide, box[:, 3]], axis=1)

    def seen_in_face(self, columns: Floats, rows: Floats, face: int) -> tuple[Floats, Floats]:
        """Pixels of the panorama -> where a face shows them, x and y; far outside of it where they are behind it."""
        level = _held(self) @ _directions(columns, rows, self.image_hw).reshape(3, -1)
        x, y, z = (_axes(self.yaws_deg[face]) @ level).reshape(3, *columns.shape)
        depth = np.where(y > 1e-6, y, 1e-6)
        return self.focal_px * x / depth + self.input_hw[1] / 2, self.input_hw[0] / 2 - self.focal_px * z / depth

    def _turned(self, level_xy: Floats) -> Floats:
        """Points (k, 2) of the level sphere -> pixels of the panorama."""
        return _pixels(_held(self).T @ _directions(level_xy[:, 0], level_xy[:, 1], self.image_hw), self.image_hw).T


@lru_cache(maxsize=64)
def plan_faces(
    image_hw: tuple[int, int],
    config: FaceConfig,
    side_px: int,
    *,
    ahead_deg: float = 0.0,
    pitch_deg: float = 0.0,
    roll_deg: float = 0.0,
) -> FaceLayout:
    """A panorama's size -> its faces.

    Args:
        image_hw: the panorama's.
        config: how it is cut.
        side_px: width of a face.
        ahead_deg: where the road is, clockwise from the panorama's middle column: there the first face looks.
        pitch_deg: how the camera was held, its axis up …
        roll_deg: … and to the right.

    >>> layout = plan_faces((2880, 5760), FaceConfig(), 640)
    >>> layout.input_hw, round(layout.focal_px, 1), layout.yaws_deg
    ((384, 640), 381.4, (0.0, 60.0, 120.0, -180.0, -120.0, -60.0))
    """
    focal_px = side_px / 2 / float(np.tan(np.radians(config.fov_deg / 2)))
    height = 2 * focal_px * float(np.tan(np.radians(config.vertical_fov_deg / 2)))
    yaws = (np.arange(config.count) * 360 / config.count + ahead_deg + 180) % 360 - 180
    input_hw = -(-round(height) // STRIDE_PX) * STRIDE_PX, side_px
    return FaceLayout(image_hw, input_hw, focal_px, tuple(yaws.tolist()), pitch_deg, roll_deg)


@lru_cache(maxsize=64)
def _maps(layout: FaceLayout, face: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Where each pixel of a face is in the panorama at `source_hw`, as `cv2.remap` takes it.

    In single precision, which is off by less than a thousandth of a pixel, and takes 0.6 of the time.
    """
    turn = (_held(layout).T @ _axes(layout.yaws_deg[face]).T).astype(np.float32)
    x, y = _pixels(turn @ _rays(layout.input_hw, layout.focal_px), layout.source_hw) - np.float32(0.5)
    # `cv2.remap` counts from the middles of pixels.
    return cv2.convertMaps(x.reshape(layout.input_hw), y.reshape(layout.input_hw), cv2.CV_16SC2)


@lru_cache(maxsize=8)
def _rays(input_hw: tuple[int, int], focal_px: float) -> npt.NDArray[np.float32]:
    """Through the middle of each pixel of a face, in its own axes, (3, h w)."""
    height, width = input_hw
    x, y = np.meshgrid(
        (np.arange(width) + 0.5 - width / 2) / focal_px, (height / 2 - np.arange(height) - 0.5) / focal_px
    )
    return np.stack([x, np.ones_like(x), y]).reshape(3, -1).astype(np.float32)


def _held(layout: FaceLayout) -> Floats:
    """The camera's axes in level ones, as columns."""
    pitch, roll = np.radians([layout.pitch_deg, layout.roll_deg])
    (sin_p, cos_p), (sin_r, cos_r) = (np.sin(pitch), np.cos(pitch)), (np.sin(roll), np.cos(roll))
    upwards = np.array([[1, 0, 0], [0, cos_p, -sin_p], [0, sin_p, cos_p]])
    return np.asarray(upwards @ np.array([[cos_r, 0, sin_r], [0, 1, 0], [-sin_r, 0, cos_r]]))


def _axes(yaw_deg: float) -> Floats:
    """The right, forward and up of a face in level axes, as rows."""
    sin, cos = np.sin(np.radians(yaw_deg)), np.cos(np.radians(yaw_deg))
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _directions(x: Floats, y: Floats, image_hw: tuple[int, int]) -> Floats:
    """Pixels of a panorama -> unit rays (3, …) in its camera's axes: `_pixels` the other way round."""
    azimuth, elevation = (x / image_hw[1] - 0.5) * 2 * np.pi, (0.5 - y / image_hw[0]) * np.pi
    return np.stack([np.cos(elevation) * np.sin(azimuth), np.cos(elevation) * np.cos(azimuth), np.sin(elevation)])


def _pixels(rays: npt.NDArray[AnyFloat], image_hw: tuple[int, int]) -> npt.NDArray[AnyFloat]:
    """Rays (3, …) in the camera's axes -> x and y (2, …) in its panorama."""
    azimuth, elevation = np.arctan2(rays[0], rays[1]), np.arctan2(rays[2], np.hypot(rays[0], rays[1]))
    return np.stack([(azimuth / (2 * np.pi) + 0.5) * image_hw[1], (0.5 - elevation / np.pi) * image_hw[0]])
