"""Where a drive could have seen an asset, and whether any of its detections points there."""

from __future__ import annotations

import numpy as np

from roadscan.inventory.associate import nearby_pairs
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive_pass import DrivePass, Ints
from roadscan.inventory.locate import wrap
from roadscan.survey.geodesy import Floats

FOV_MARGIN_RAD = np.radians(2.0)  # a box whose middle is this near to the image's edge may be cut in half
POINTING_M = 2.5  # how far beside the place a detection may point, from the drive's own bias …
POINTING_RAD = np.radians(1.5)  # … and from its bearing
POINTING_SIGMAS = 2.0  # of its range


def covering_frames(drive: DrivePass, places: Floats, config: InventoryConfig) -> list[Ints]:
    """For each place the frames that should show it: in the field of view, between the near and the far limit.

    Args:
        drive: whose frames.
        places: (n, 2) in its metres.
        config: `coverage_near_m`, `coverage_far_m`.

    Returns:
        n ascending arrays of indices of the drive's poses.
    """
    poses = drive.poses
    cameras = np.stack([poses.x, poses.y], axis=1)
    place, frame, distance = nearby_pairs(places, cameras, config.coverage_far_m)
    dx, dy = (places[place] - cameras[frame]).T
    angle = np.abs(wrap(np.arctan2(dx, dy) - poses.heading[frame]))
    good = (distance >= config.coverage_near_m) & (angle <= poses.half_fov[frame] - FOV_MARGIN_RAD)
    order = np.lexsort((frame[good], place[good]))
    place, frame = place[good][order], frame[good][order]
    return np.split(frame, np.searchsorted(place, np.arange(1, len(places))))


def any_pointing(drive: DrivePass, class_name: str, place: Floats, frames: Ints, explained: Ints) -> bool:
    """Whether any detection of the class in these frames points at a place, with a range that fits.

    Args:
        drive: whose detections.
        class_name: their class.
        place: (2,) in the drive's metres.
        frames: indices of its poses.
        explained: rows of its observations that are known to show other assets.
    """
    seen = drive.detections.where(drive.detections.class_name == class_name)
    seen = seen.where(np.isin(seen.frame, frames) & ~np.isin(seen.row, explained))
    dx, dy = place[0] - drive.poses.x[seen.frame], place[1] - drive.poses.y[seen.frame]
    r = np.maximum(np.hypot(dx, dy), 1.0)
    beside = np.abs(wrap(seen.bearing - np.arctan2(dx, dy))) <= POINTING_RAD + POINTING_M / r
    fits = np.abs(seen.log_range - np.log(r)) <= POINTING_SIGMAS * seen.log_sigma + POINTING_M / r
    return bool(np.any(beside & fits))
