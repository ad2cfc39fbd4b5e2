"""Observations and frames of a drive to those that have to do with an asset: which point to it, which should show it.

A release does not keep which observation was taken to show which asset. What is found here are the observations of its
class that point to it within the errors of bearing, yaw and range, so beside another asset of its class a few more.

Legend: M observations, F frames of a drive. ENU metres about the asset.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from roadscan.arrays import Bools, Floats
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive.passes import floats, log_ranges
from roadscan.inventory.fuse.visibility import FOV_MARGIN_RAD, POINTING_SIGMAS
from roadscan.survey.geodesy import LocalFrame, wrap_deg
from roadscan.taxonomy import Geometry

SHOWN = 3  # of each drive
NEAREST_M = 1.0  # below this a bearing says nothing


@dataclass(frozen=True)
class Target:
    """An asset, as one drive has it.

    Attributes:
        class_name: what it is.
        geometry: how it lies on the map.
        shape: in degrees: of a point where this drive alone puts it, so that its GNSS bias does not matter.
        sigma_m: standard error of that.
        azimuth_deg: from the asset to the cameras that saw it, clockwise from north; None where not known.
    """

    class_name: str
    geometry: Geometry
    shape: shapely.Geometry
    sigma_m: float
    azimuth_deg: float | None


@dataclass(frozen=True)
class PointingObservation:
    """An observation that points to the asset.

    Attributes:
        observation_id, image_uri, captured_at, score: of the observation.
        distance_m: from the camera to the asset; of a line to the near end of what was seen of it.
        off_bearing_deg: bearing less the direction of the asset, to its right positive; None for a line.
        beside_m: how far beside the asset it points; of a line, how far beside it the near end lies.
        range_m, range_sigma_m: of the observation; None where it has none.
    """

    observation_id: str
    image_uri: str | None
    captured_at: datetime | None
    score: float
    distance_m: float
    off_bearing_deg: float | None
    beside_m: float
    range_m: float | None
    range_sigma_m: float | None


@dataclass(frozen=True)
class FrameInView:
    """A frame that should show the asset.

    Attributes:
        frame_id, image_uri, captured_at: of the frame.
        distance_m: from the camera to the asset, or to the middle of a line.
        off_axis_deg: direction of the asset less the camera's heading: in the image's right half positive.
    """

    frame_id: str
    image_uri: str | None
    captured_at: datetime | None
    distance_m: float
    off_axis_deg: float


def pointing_observations(
    observations: pa.Table, target: Target, config: InventoryConfig
) -> tuple[int, list[PointingObservation]]:
    """A drive's observations to how many point to the asset, and the few that do so best, best first.

    Args:
        observations: of the drive, columns of `schemas.OBSERVATIONS`.
        target: the asset.
        config: `noise`, `tracking.min_score`, and the gates of bridges and lines.
    """
    good = pc.and_(
        pc.equal(observations["class"], target.class_name),
        pc.greater_equal(observations["score"], config.tracking.min_score),
    )
    rows = observations.filter(pc.and_(good, pc.is_valid(observations["bearing_deg"])))
    if not rows.num_rows:
        return 0, []
    measure = _beside_line if target.geometry is Geometry.LINE else _towards_point
    distance, off, beside, misfit = measure(rows, target, config)
    best = np.argsort(misfit, kind="stable")[: int((misfit <= 1).sum())]
    chosen = rows.take(best[:SHOWN]).to_pylist()
    return len(best), [
        PointingObservation(
            **{name: row[name] for name in ("observation_id", "image_uri", "captured_at", "score")},
            distance_m=float(distance[k]),
            off_bearing_deg=None if off is None else float(off[k]),
            beside_m=float(beside[k]),
            range_m=row["range_m"],
            range_sigma_m=row["range_sigma_m"],
        )
        for k, row in zip(best[:SHOWN].tolist(), chosen, strict=True)
    ]


def _towards_point(
    rows: pa.Table, target: Target, config: InventoryConfig
) -> tuple[Floats, Floats | None, Floats, Floats]:
    """Distance, off-bearing in degrees, metres beside it, and misfit (1 at the limit) of each observation, (M,)."""
    dx, dy = _to_target(rows, target)
    distance = np.maximum(np.hypot(dx, dy), NEAREST_M)
    off = wrap_deg(floats(rows, "bearing_deg") - np.degrees(np.arctan2(dx, dy)))
    wide = target.geometry is Geometry.OVERHEAD
    slack_m = config.matching.overhead_gate_m if wide else POINTING_SIGMAS * target.sigma_m
    sigma_deg = np.hypot(config.noise.bearing_sigma_deg, config.noise.yaw_sigma_deg)
    off_limit = POINTING_SIGMAS * sigma_deg + np.degrees(np.arctan2(slack_m, distance))
    log_range, log_sigma = log_ranges(rows)
    range_limit = POINTING_SIGMAS * log_sigma + slack_m / distance
    misfit = np.maximum(np.abs(off) / off_limit, np.abs(log_range - np.log(distance)) / range_limit)
    return distance, off, np.asarray(distance * np.abs(np.sin(np.radians(off)))), np.asarray(misfit)


def _beside_line(
    rows: pa.Table, target: Target, config: InventoryConfig
) -> tuple[Floats, Floats | None, Floats, Floats]:
    """The same of a line: how far beside it the near end of what was seen of a line lies."""
    enu = _enu(target)
    x, y = enu.to_xy(floats(rows, "camera_lon"), floats(rows, "camera_lat"))
    distance, bearing = floats(rows, "near_range_m"), np.radians(floats(rows, "near_bearing_deg"))
    outline = shapely.LineString(np.stack(enu.to_xy(*shapely.get_coordinates(target.shape).T), axis=1))
    ends = np.stack([x + distance * np.sin(bearing), y + distance * np.cos(bearing)], axis=1)
    beside = np.asarray(shapely.distance(outline, shapely.points(ends)))
    limit = config.lines.overlap_m + POINTING_SIGMAS * config.noise.gnss_sigma_m
    return distance, None, beside, np.where(np.isfinite(beside), beside / limit, np.inf)


def frames_in_view(frames: pa.Table, target: Target, config: InventoryConfig) -> list[FrameInView]:
    """A drive's frames to the few nearest ones that should show the asset.

    Args:
        frames: of the drive, columns of `schemas.FRAMES`.
        target: the asset.
        config: `visibility`.
    """
    frames = frames.filter(pc.equal(frames["status"], "ok"))
    dx, dy = _to_target(frames, target)
    distance, direction = np.hypot(dx, dy), np.degrees(np.arctan2(dx, dy))
    off = wrap_deg(direction - floats(frames, "heading_deg"))
    fov = floats(frames, "fov_deg")
    good: Bools = (distance >= config.visibility.near_m) & (distance <= config.visibility.far_m)
    good &= (np.abs(off) <= fov / 2 - np.degrees(FOV_MARGIN_RAD)) | (fov >= 360)
    if target.azimuth_deg is not None:  # a sign has a back
        good &= np.abs(wrap_deg(direction + 180 - target.azimuth_deg)) < 90
    nearest = np.flatnonzero(good)[np.argsort(distance[good], kind="stable")][:SHOWN]
    return [
        FrameInView(row["frame_id"], row["image_uri"], row["captured_at"], float(distance[k]), float(off[k]))
        for k, row in zip(nearest.tolist(), frames.take(nearest).to_pylist(), strict=True)
    ]


def _middle(target: Target) -> shapely.Point:
    return target.shape if target.shape.geom_type == "Point" else target.shape.interpolate(0.5, normalized=True)


def _enu(target: Target) -> LocalFrame:
    middle = _middle(target)
    return LocalFrame(middle.x, middle.y)


def _to_target(rows: pa.Table, target: Target) -> tuple[Floats, Floats]:
    """East and north from the camera of each row to the asset, or to the middle of a line."""
    x, y = _enu(target).to_xy(floats(rows, "camera_lon"), floats(rows, "camera_lat"))
    return -x, -y
