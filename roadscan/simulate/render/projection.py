"""The pinhole camera: where a point of the world falls in the image.

No distortion, no roll, square pixels, principal point at the image centre. Pixel coordinates have their origin at the
top left CORNER of the image, so that pixel (0, 0) covers the square from (0, 0) to (1, 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from roadscan.arrays import Floats

#: Points nearer than this along the optical axis are clipped, in metres.
NEAR_M = 0.4


@dataclass(frozen=True)
class View:
    """One camera at one moment.

    Attributes:
        width_px, height_px: image size.
        focal_px: focal length.
        position: camera centre in local ENU metres, shape (3,).
        yaw_rad: direction of the optical axis, clockwise from north.
        pitch_rad: angle of the optical axis BELOW the horizontal.
    """

    width_px: int
    height_px: int
    focal_px: float
    position: Floats
    yaw_rad: float
    pitch_rad: float

    @property
    def horizon_px(self) -> float:
        """Row of the true horizon."""
        return self.height_px / 2 - self.focal_px * float(np.tan(self.pitch_rad))

    @cached_property
    def axes(self) -> Floats:
        """Rows are the camera's right, down and forward unit vectors in the world, shape (3, 3)."""
        sin_y, cos_y = np.sin(self.yaw_rad), np.cos(self.yaw_rad)
        sin_p, cos_p = np.sin(self.pitch_rad), np.cos(self.pitch_rad)
        return np.array(
            [
                [cos_y, -sin_y, 0.0],
                [-sin_p * sin_y, -sin_p * cos_y, -cos_p],
                [cos_p * sin_y, cos_p * cos_y, -sin_p],
            ]
        )

    def camera_xyz(self, points: Floats) -> Floats:
        """World points (..., 3) in camera axes: right, down, forward metres."""
        return np.asarray((points - self.position) @ self.axes.T)

    def to_pixels(self, camera_xyz: Floats) -> Floats:
        """Camera points (..., 3) to pixels (..., 2); points nearer than NEAR_M are pushed out to it."""
        depth = np.maximum(camera_xyz[..., 2:3], NEAR_M)
        centre = np.array([self.width_px / 2, self.height_px / 2])
        return np.asarray(camera_xyz[..., :2] * (self.focal_px / depth) + centre)

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Pixels (..., 2) and depths (...) of world points (..., 3)."""
        camera = self.camera_xyz(points)
        return self.to_pixels(camera), camera[..., 2]


def clip_near(corners: Floats) -> Floats:
    """The part of a camera-space polygon (n, 3) beyond the near plane, (m, 3) with m = 0 when nothing is left."""
    kept: list[Floats] = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        inside_start, inside_end = start[2] >= NEAR_M, end[2] >= NEAR_M
        if inside_start:
            kept.append(start)
        if inside_start != inside_end:
            kept.append(start + (end - start) * ((NEAR_M - start[2]) / (end[2] - start[2])))
    return np.array(kept) if kept else np.zeros((0, 3))
