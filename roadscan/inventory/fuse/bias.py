"""How far a drive is off as far as a look tells: near a place, and along its way by a late clock.

Legend: R residuals of one drive against the assets. ENU metres.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from roadscan.arrays import Floats, Ints
from roadscan.inventory.fuse.pool import SAME_WAY_COS, Pool
from roadscan.inventory.geometry.assignment import nearby_pairs

SHIFT_SAMPLES = 3  # fewer differences nearby make no bias
LATE_M = 60.0  # that a late clock may displace a drive along its way, at most
LATE_ACROSS_M = 6.0
LATE_STEP_M = 4.0
LATE_VOTES = 5  # estimates that must agree on it, beyond half as many again as agree without


def local_shift(xy: Floats, residual_xy: Floats, at_xy: Floats, window_m: float) -> Floats:
    """The median residual near each place, (n, 2): of all residuals where too few are near, zero where too few exist.

    Args:
        xy: (R, 2) where the residuals were taken.
        residual_xy: (R, 2) metres.
        at_xy: (n, 2) places.
        window_m: radius of the neighbourhood.
    """
    if len(xy) < SHIFT_SAMPLES:
        return np.zeros_like(at_xy)
    everywhere = np.median(residual_xy, axis=0)
    near = cKDTree(xy).query_ball_point(at_xy, window_m)
    count = np.array([len(rows) for rows in near], np.int64)
    each = np.full((len(near), count.max(initial=1), 2), np.inf)  # no place has more than these, most have fewer
    each[np.arange(each.shape[1]) < count[:, None]] = residual_xy[np.concatenate([*near, []]).astype(np.int64)]
    each.sort(axis=1)
    place = np.arange(len(near))
    median = (each[place, (count - 1) // 2] + each[place, count // 2]) / 2
    return np.where(count[:, None] >= SHIFT_SAMPLES, median, everywhere)


def clock_shift(pool: Pool, rows: Ints, asset_xy: Floats, first: Ints) -> float:
    """How far along its way a drive must be moved to agree with the assets, metres; 0 unless far more then agree.

    A camera whose clock is a second late puts everything 22 m back. Each estimate votes for the displacements to all
    assets of its class along the way.

    Args:
        pool: the estimates.
        rows: those of the drive.
        asset_xy: (N, 2) of the assets that earlier drives saw.
        first: (N,) the first estimate of each.
    """
    n, k, _ = nearby_pairs(asset_xy, pool.xy[rows], LATE_M)
    start, row = first[n], rows[k]
    same_way = np.cos(pool.course[start] - pool.course[row]) >= SAME_WAY_COS
    good = (pool.class_index[start] == pool.class_index[row]) & same_way & ~pool.overhead[row] & pool.starts[row]
    ahead = along_course(pool.course[row])
    off = asset_xy[n] - pool.xy[row]
    along, across = (off * ahead).sum(axis=1), off[:, 0] * ahead[:, 1] - off[:, 1] * ahead[:, 0]
    good &= np.abs(across) <= LATE_ACROSS_M
    along, row = along[good], row[good]

    def agreeing(metres: float) -> int:
        return len(np.unique(row[np.abs(along - metres) <= LATE_STEP_M]))

    steps = np.arange(-LATE_M, LATE_M + 1, LATE_STEP_M / 2)
    best = float(max(steps, key=lambda metres: (agreeing(metres), -abs(metres))))
    if agreeing(best) < LATE_VOTES + 1.5 * max(agreeing(metres) for metres in steps[np.abs(steps) <= 2 * LATE_STEP_M]):
        return 0.0
    return float(np.median(along[np.abs(along - best) <= LATE_STEP_M]))


def along_course(course: Floats) -> Floats:
    """Unit vectors (n, 2) of directions of travel, radians clockwise from north."""
    return np.stack([np.sin(course), np.cos(course)], axis=1)
