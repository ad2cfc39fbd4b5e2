"""Where a drive could have seen an asset, and whether any of its detections points there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from roadscan.inventory.associate import nearby_pairs
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive_pass import DrivePass, Ints
from roadscan.inventory.locate import wrap
from roadscan.survey.geodesy import Floats

LANES_M = 8.0  # between the lanes of one carriageway
LOOK_M = 5.0  # of travel that is one look: what hides an asset from a camera that stands still hides it in every frame
SECTORS = 12  # of the compass
FOV_MARGIN_RAD = np.radians(2.0)  # a box whose middle is this near to the image's edge may be cut in half
POINTING_M = 2.5  # how far beside the place a detection may point …
POINTING_RAD = np.radians(1.5)  # … and from its bearing
POINTING_SIGMAS = 2.0  # of its range


def sector_of(heading: Floats) -> Ints:
    """The sector of each heading in radians, 0 being about north."""
    sector: Ints = np.remainder(np.round(heading / (2 * np.pi) * SECTORS), SECTORS).astype(np.int64)
    return sector


def look_steps(drive: DrivePass) -> Ints:
    """The number of the look that each frame belongs to, from 0."""
    step = np.floor(drive.poses.s / LOOK_M).astype(np.int64)
    return np.asarray(step - step.min())


def passed_by(drive: DrivePass, xy: Floats, reach_m: Floats) -> npt.NDArray[np.bool_]:
    """Whether a drive's way passes places (n, 2) as near as the ways of those who saw an asset there, or a lane off.

    From another road nearby, such as a frontage road, an asset need not be seen, whatever the field of view says.

    Args:
        drive: whose way.
        xy: (n, 2) places, metres.
        reach_m: (n,) how far beside their way it stood to those who saw it.
    """
    way = shapely.LineString(np.stack([drive.path.x, drive.path.y], axis=1))
    return np.asarray(shapely.distance(way, shapely.points(xy)) <= reach_m + LANES_M, bool)


def covering(
    drive: DrivePass,
    camera: Floats,
    heading: Floats,
    xy: Floats,
    sectors: npt.NDArray[np.bool_],
    config: InventoryConfig,
) -> tuple[Ints, Ints]:
    """Pairs of asset and frame that should have shown it.

    The asset is in the field of view, neither too near nor too far, and the camera looks about the way in which some
    camera saw it: a sign has a back.

    Args:
        drive: whose frames.
        camera: (f, 2) where they were taken, metres.
        heading: (f,) of the camera, radians clockwise from north.
        xy: (n, 2) of the assets.
        sectors: (n, `SECTORS`) the headings of cameras that saw each, see `sector_of`.
        config: `coverage_near_m`, `coverage_far_m`.
    """
    asset, frame, distance = nearby_pairs(xy, camera, config.coverage_far_m)
    dx, dy = (xy[asset] - camera[frame]).T
    angle = np.abs(wrap(np.arctan2(dx, dy) - heading[frame]))
    good = (distance >= config.coverage_near_m) & (angle <= drive.poses.half_fov[frame] - FOV_MARGIN_RAD)
    asset, frame = asset[good], frame[good]
    way = np.arange(SECTORS) * 2 * np.pi / SECTORS
    faces = ((np.cos(heading[frame][:, None] - way) > 0) & sectors[asset]).any(axis=1)
    return asset[faces], frame[faces]


def pointed(
    drive: DrivePass,
    camera: Floats,
    free: Ints,
    asset: Ints,
    frame: Ints,
    xy: Floats,
    kind: Ints,
    code: dict[str, int],
) -> Ints:
    """The assets to which a detection that shows no asset points, with a range that fits.

    Args:
        drive: whose detections.
        camera: (f, 2) where its frames were taken, metres.
        free: those that show no asset, ascending.
        asset: (p,) first members of the pairs of asset and frame to look at.
        frame: (p,) second members.
        xy: (n, 2) of the assets.
        kind: (n,) their classes.
        code: the number of each class's name.
    """
    seen = drive.detections.where(free)
    begin, end = np.searchsorted(seen.frame, frame), np.searchsorted(seen.frame, frame, side="right")
    pair = np.repeat(np.arange(len(frame)), end - begin)
    row = np.arange(len(pair)) - np.repeat(np.cumsum(end - begin) - (end - begin), end - begin) + begin[pair]
    asset = asset[pair]
    same = np.array([code.get(str(name), -1) for name in seen.class_name], int)[row] == kind[asset]
    asset, row = asset[same], row[same]
    dx, dy = (xy[asset] - camera[seen.frame[row]]).T
    r = np.maximum(np.hypot(dx, dy), 1.0)
    beside = np.abs(wrap(seen.bearing[row] - np.arctan2(dx, dy))) <= POINTING_RAD + POINTING_M / r
    fits = np.abs(seen.log_range[row] - np.log(r)) <= POINTING_SIGMAS * seen.log_sigma[row] + POINTING_M / r
    return np.asarray(np.unique(asset[beside & fits]))
