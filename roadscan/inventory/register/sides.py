"""On which side of the road an asset stands, as far as drives tell: of their travel, or of a road driven both ways.

A carriageway that is driven one way has its sides by that. Where drives went both ways along one line, left and right
of travel are no places: there the sides are as seen going north, or east where the road goes that way, whoever came
first.

Legend: N assets, D drives. ENU metres; angles are radians clockwise from north.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from roadscan.arrays import Floats
from roadscan.inventory.fuse.visibility import AlignedDrive

#: Between the ways of two drives that are on one line: two lanes, and what is left of their biases. Carriageways that
#: are apart are farther from each other, lane to lane.
ONE_LINE_M = 6.0
PASSED_M = 30.0  # ahead of an asset or behind it, at most, is the nearest frame of a drive that passes it …
BESIDE_M = 60.0  # … and this far away; what lies farther is beside another road


def sides(xy: Floats, seen_m: Floats, drives: Sequence[AlignedDrive]) -> npt.NDArray[np.str_]:
    """The side of each asset, (N,): left or right.

    Args:
        xy: (N, 2) where it stands.
        seen_m: (N,) its offset to the right of travel, to who saw it first.
        drives: (D,) all of them, aligned.
    """
    offset, ahead = (np.full((len(drives), len(xy)), np.nan) for _ in range(2))
    for row, drive in enumerate(drives if len(xy) else ()):
        offset[row], ahead[row] = _beside(xy, drive)
    with np.errstate(invalid="ignore"):
        along, back = (np.where(ahead == way, offset, np.nan) for way in (1.0, -1.0))
    both = _middle(along), _middle(back)
    one_line = np.abs(both[0] - both[1]) <= ONE_LINE_M  # False where it is not known
    return np.where(np.where(one_line, (both[0] + both[1]) / 2, seen_m) < 0, "left", "right")


def _beside(xy: Floats, drive: AlignedDrive) -> tuple[Floats, Floats]:
    """How far places are to the right of a drive's way, as seen going north or east, and whether it went so, (N,) each.

    The second is 1 or -1; both are NaN where it does not pass.
    """
    apart, frame = cKDTree(drive.camera_xy).query(xy)
    course = drive.drive.path.course_at(drive.drive.poses.s[frame])
    dx, dy = (xy - drive.camera_xy[frame]).T
    offset, along = dx * np.cos(course) - dy * np.sin(course), dx * np.sin(course) + dy * np.cos(course)
    ahead = np.where(np.cos(course - np.pi / 4) >= 0, 1.0, -1.0)  # from north-west over north and east to south-east
    passed = (apart <= BESIDE_M) & (np.abs(along) <= PASSED_M)
    return np.where(passed, offset * ahead, np.nan), np.where(passed, ahead, np.nan)


def _middle(offsets: Floats) -> Floats:
    """The median over drives, (N,), NaN where there is none."""
    found = np.full(offsets.shape[1], np.nan)
    some = np.isfinite(offsets).any(axis=0)
    found[some] = np.nanmedian(offsets[:, some], axis=0)
    return found
