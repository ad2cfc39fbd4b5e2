"""From pixels of a survey camera to bearings and ranges on the ground.

The camera is a pinhole with its principal point at the image's centre; what a `lens` bends is straightened to that. Its
optical axis points along the vehicle's heading plus `mount_yaw_deg` (clockwise), and `mount_pitch_deg` below the
horizon. Boxes are xyxy in pixels of the original image. The ground is the plane on which the vehicle stands.

One that takes equirectangular panoramas looks all around: its columns are bearings, its rows elevations. It is measured
with as the pinholes that its images are cut into (`roadscan.scan.measure`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats
from roadscan.errors import SurveyError
from roadscan.parsing import FORBID_OTHERS
from roadscan.survey.lens import Lens
from roadscan.taxonomy import AssetClass

PITCH_SIGMA_DEG = 0.5  # suspension and gradient: how far the camera's pitch strays from its mount
BOX_EDGE_SIGMA_PX = 0.004  # of the image's width: how far a detector's box edge strays
MAX_RANGE_M = 150.0  # a longer range is no measurement
LEAST_FEET = 8  # columns in which a mask must meet the ground, for its base to be a line
FEET_OF_A_LINE = 41  # as many of them say where a line is
Projection: TypeAlias = Literal["pinhole", "equirectangular"]
SHAPE_TOLERANCE = 0.01  # of an aspect ratio; scaling rounds to whole pixels
#: Of a camera's numbers, both ends included: no lens is longer than 1 m on pixels of 1 µm.
BOUNDS = {
    "width_px": (1, 1_000_000),
    "height_px": (1, 1_000_000),
    "focal_px": (1, 1_000_000),
    "mount_height_m": (0.01, 1000),
    "mount_yaw_deg": (-360, 360),
    "mount_pitch_deg": (-90, 90),
}


def is_sphere(width_px: int, height_px: int) -> bool:
    """Whether an image has the shape of 360 by 180 degrees.

    >>> is_sphere(5760, 2880), is_sphere(1920, 1080)
    (True, False)
    """
    return abs(width_px / (2 * height_px) - 1) <= SHAPE_TOLERANCE


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera of a survey vehicle.

    Attributes:
        camera_id: name, unique within the drive.
        width_px, height_px: size of its images.
        focal_px: focal length in pixels of that size; of a panorama its pixels a radian.
        mount_height_m: above the road.
        mount_yaw_deg: clockwise from the vehicle's heading.
        mount_pitch_deg: below the horizon.
        projection: pinhole, or equirectangular: all directions, the axis in the middle of an image.
        lens: calibrated; None for a pinhole.
    """

    __pydantic_config__: ClassVar = FORBID_OTHERS

    camera_id: str
    width_px: int
    height_px: int
    focal_px: float
    mount_height_m: float
    mount_yaw_deg: float = 0.0
    mount_pitch_deg: float = 0.0
    projection: Projection = "pinhole"
    lens: Lens | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise SurveyError(f"camera {self.camera_id}: {name} is {value!r}; expected a number")
            if not low <= value <= high:
                raise SurveyError(f"camera {self.camera_id}: {name} is {value!r}; expected {low} to {high}")
        if abs(self.mount_pitch_deg) >= 90:
            raise SurveyError(
                f"camera {self.camera_id}: mount_pitch_deg is {self.mount_pitch_deg}; expected within ±90"
            )
        if self.is_panoramic and not is_sphere(self.width_px, self.height_px):
            raise SurveyError(
                f"camera {self.camera_id}: its equirectangular images are {self.width_px}x{self.height_px}; expected "
                "twice as wide as high, 360 by 180 degrees"
            )

    @property
    def is_panoramic(self) -> bool:
        """Whether it looks all around."""
        return self.projection == "equirectangular"

    @property
    def edge_px(self) -> float:
        """A box nearer than this to the image's edge is cut by it: two pixels of a network that sees 640 columns."""
        return self.width_px / 320

    @property
    def fov_deg(self) -> float:
        """Horizontal field of view."""
        if self.is_panoramic:
            return 360.0
        if self.lens is None:
            return float(2 * np.degrees(np.arctan2(self.width_px / 2, self.focal_px)))
        # About the axis, which is not in the middle of the image; as far as the lens says bearings.
        row = self.relative_bearing_deg(np.linspace(0, self.width_px, 257))
        return float(2 * min(-np.nanmin(row), np.nanmax(row)))

    def held(self, pitch_deg: float, roll_deg: float) -> tuple[float, float]:
        """The vehicle's pitch and roll -> the camera's own, in degrees: its axis up, and to the right.

        Both are small, so that turning them by the mount's yaw is as turning a vector.
        """
        sin, cos = math.sin(math.radians(self.mount_yaw_deg)), math.cos(math.radians(self.mount_yaw_deg))
        return pitch_deg * cos - roll_deg * sin - self.mount_pitch_deg, roll_deg * cos + pitch_deg * sin

    def vehicle_held(self, pitch_deg: float, roll_deg: float) -> tuple[float, float]:
        """The camera's pitch and roll -> the vehicle's: `held` the other way round."""
        sin, cos = math.sin(math.radians(self.mount_yaw_deg)), math.cos(math.radians(self.mount_yaw_deg))
        pitch_deg += self.mount_pitch_deg
        return pitch_deg * cos + roll_deg * sin, roll_deg * cos - pitch_deg * sin

    def straight(self, u_px: npt.ArrayLike, v_px: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Pixels of an image -> of the same rays in a pinhole's with this size and `focal_px`, any shape.

        NaN where the lens says no ray.
        """
        u, v = np.broadcast_arrays(np.asarray(u_px, float), np.asarray(v_px, float))
        if self.lens is None:
            return u, v
        x, y = self.lens.rays(np.stack([u.ravel(), v.ravel()], axis=1)).T.reshape(2, *u.shape)
        return self.width_px / 2 + self.focal_px * x, self.height_px / 2 + self.focal_px * y

    def relative_bearing_deg(self, u_px: npt.ArrayLike, v_px: npt.ArrayLike | None = None) -> Floats:
        """Bearing of pixels from the optical axis, clockwise, any shape; without rows on the middle one."""
        u, _ = self.straight(u_px, self.height_px / 2 if v_px is None else v_px)
        return np.asarray(np.degrees(np.arctan2(u - self.width_px / 2, self.focal_px)))

    def ground_range_m(self, u_px: npt.ArrayLike, v_px: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Horizontal distance to the ground seen at a pixel, and its standard deviation; NaN at or above the horizon.

        Source: the ray through (u, v) meets the plane `mount_height_m` below the camera; with depression t of the row,
        depth is h/tan(t), and sigma = d²/h · sigma_t, plus the box edge's own error through dv.
        """
        u, v = self.straight(u_px, v_px)
        pitch = np.radians(self.mount_pitch_deg)
        depression = pitch + np.arctan2(v - self.height_px / 2, self.focal_px)
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = np.where(depression > 1e-3, self.mount_height_m / np.tan(depression), np.nan)
        depth = np.where(depth <= MAX_RANGE_M, depth, np.nan)
        # Along the ray the plane's depth is measured on the optical axis; the slant to the side lengthens it.
        slant = np.hypot(1.0, (u - self.width_px / 2) / self.focal_px)
        sigma_angle = np.hypot(np.radians(PITCH_SIGMA_DEG), BOX_EDGE_SIGMA_PX * self.width_px / self.focal_px)
        sigma = depth**2 / self.mount_height_m * sigma_angle
        return depth * slant, np.maximum(sigma * slant, 0.5)

    def size_range_m(self, box_xyxy: npt.ArrayLike, asset: AssetClass) -> tuple[Floats, Floats]:
        """Horizontal distance from the box's height and the class's typical height, and its standard deviation.

        Args:
            box_xyxy: (n, 4).
            asset: the class; without a typical height the result is NaN. So it is for a box whose height is not whole,
                because the image's upper or lower edge cuts it.

        Source: depth = f·H/h; relative sigma is the class's own spread combined with the error of the box's height.
        """
        box = np.asarray(box_xyxy, float).reshape(-1, 4)
        if asset.height_m is None:
            return np.full(len(box), np.nan), np.full(len(box), np.nan)
        column = (box[:, 0] + box[:, 2]) / 2
        (u, top), (_, bottom) = self.straight(column, box[:, 1]), self.straight(column, box[:, 3])
        height_px = np.maximum(bottom - top, 1.0)
        whole = (box[:, 1] > self.edge_px) & (box[:, 3] < self.height_px - self.edge_px)
        depth = np.where(whole, self.focal_px * asset.height_m / height_px, np.nan)
        depth = np.where(depth <= MAX_RANGE_M, depth, np.nan)
        edge = np.sqrt(2) * BOX_EDGE_SIGMA_PX * self.width_px / height_px
        slant = np.hypot(1.0, (u - self.width_px / 2) / self.focal_px)
        return depth * slant, np.maximum(depth * slant * np.hypot(asset.height_rel_sigma, edge), 0.5)

    def base_ends(self, box_xyxy: npt.ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
        """The two ends of the base of a line asset that runs along the road, from its box.

        A barrier beside the road recedes towards the vanishing point, so its near end is the box's lower outer corner.
        Its lateral offset there gives the depth at which the inner edge is met. Works on straight road; on a curve the
        far end is an approximation. A near end that lies outside the image is where the image cuts it.

        Args:
            box_xyxy: (n, 4).

        Returns:
            (near bearing from the axis in degrees, near range in metres, far bearing, far range), each (n,), NaN where
            the box's lower edge is not on the ground.
        """
        box = np.asarray(box_xyxy, float).reshape(-1, 4)
        centre = self.width_px / 2
        right = (box[:, 0] + box[:, 2]) / 2 > centre
        outer, inner = np.where(right, box[:, 2], box[:, 0]), np.where(right, box[:, 0], box[:, 2])
        near_range, _ = self.ground_range_m(outer, box[:, 3])
        near_bearing = self.relative_bearing_deg(outer, box[:, 3])
        far_bearing = self.relative_bearing_deg(inner, (box[:, 1] + box[:, 3]) / 2)
        offset = near_range * np.sin(np.radians(near_bearing))
        same_side = np.sign(far_bearing) == np.sign(near_bearing)
        with np.errstate(divide="ignore", invalid="ignore"):
            far_range = np.where(same_side, offset / np.sin(np.radians(far_bearing)), MAX_RANGE_M)
        return near_bearing, near_range, far_bearing, np.clip(far_range, near_range, MAX_RANGE_M)

    def traced_ends(self, feet_xy: npt.ArrayLike) -> tuple[float, float, float, float]:
        """The two ends of the base of a line asset that runs along the road, from where its mask meets the ground.

        Its near half and its far half are a straight line each (Theil-Sen, so that what hides some of the base, or the
        round corners of a mask, do not turn it); the ends are where these are in the outermost columns. A foot at the
        image's lower edge is where the image cuts the mask, and no foot.

        Args:
            feet_xy: (k, 2) pixels from left to right.

        Returns:
            (near bearing from the axis in degrees, near range in metres, far bearing, far range), all NaN where the
            base is not on the ground or shows in too few columns.
        """
        feet = np.asarray(feet_xy, float).reshape(-1, 2)
        feet = np.stack(self.straight(*feet[feet[:, 1] < self.height_px - self.edge_px].T), axis=1)
        feet = feet[np.isfinite(feet[:, 0])]
        if len(feet) < LEAST_FEET:
            return (np.nan,) * 4
        if feet[-1, 1] < feet[0, 1]:
            feet = feet[::-1]
        half = max(len(feet) // 2, LEAST_FEET)
        far_x, near_x = feet[0, 0], feet[-1, 0]
        near_y, far_y = _row_at(near_x, feet[-half:]), _row_at(far_x, feet[:half])
        pinhole = replace(self, lens=None)
        (near_range, far_range), _ = pinhole.ground_range_m([near_x, far_x], [near_y, far_y])
        if np.isnan(near_range):
            return (np.nan,) * 4
        far = MAX_RANGE_M if np.isnan(far_range) else float(np.clip(far_range, near_range, MAX_RANGE_M))
        near_bearing, far_bearing = pinhole.relative_bearing_deg([near_x, far_x])
        return float(near_bearing), float(near_range), float(far_bearing), far


def _row_at(column_px: float, feet_xy: Floats) -> float:
    """Where the line through feet (k, 2) is in a column: its slope is the median of those of all pairs.

    Source: Sen, "Estimates of the Regression Coefficient Based on Kendall's Tau", 1968.
    """
    some = np.linspace(0, len(feet_xy) - 1, min(len(feet_xy), FEET_OF_A_LINE)).round().astype(int)
    x, y = feet_xy[some].T
    one, other = np.triu_indices(len(some), 1)
    slope = np.median((y[other] - y[one]) / (x[other] - x[one]))
    return float(np.median(y - slope * x) + slope * column_px)
