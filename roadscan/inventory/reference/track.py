"""Positions of a drive to the centreline it was on at each: the most likely sequence along its whole track.

Source: P. Newson, J. Krumm, "Hidden Markov map matching through noise and sparseness" (ACM GIS 2009). Deviations:
centrelines are no graph, so the driven distance between two lines is that between the two feet, and changing lines
costs unless both end there; being on none of them is a state; a line across the direction of travel is unlikely; and
positions closer together than `SPACING_M` weigh less, since their errors are the same error.
"""

from __future__ import annotations

import numpy as np

from roadscan.arrays import Bools, Floats, Ints
from roadscan.inventory.reference.plane import Near, Pieces, metres_per_degree

DISAGREE_DEG = 50.0
# Costs are negative logarithms of likelihoods; the emission's sigma is a quarter of the largest offset.
NONE_COST = 8.0  # of being on no line: that of the largest offset, 4² / 2
ACROSS_COST = 6.0  # of a line across the direction of travel, that of 3.5 sigma
CHANGE_COST = 8.0  # of another line where either goes on …
LEAVE_COST = 4.0  # … and of going to or from none
SPACING_M = 20.0  # over which the errors of positions are independent
BETA_M = 10.0  # by which the distance along a line differs from that driven: lanes in curves, GNSS
JOINT_M = 30.0  # a line ends within so much of a foot, and of what is driven until the next
COURSE_M = 10.0  # over which, both ways, the direction of travel is measured
MOST = 8  # nearest lines of one position that are looked at
BLOCK = 4096  # positions whose transitions are held at once, about 3 MB an array


def disagrees(course: Floats, azimuth_deg: Floats) -> Bools:
    """Whether a direction of travel is more than `DISAGREE_DEG` from both ways along a line; never where it is NaN.

    Args:
        course: of the line, radians, (n,).
        azimuth_deg: of travel, degrees, (n,).
    """
    return np.asarray(np.abs(np.cos(np.radians(azimuth_deg) - course)) < np.cos(np.radians(DISAGREE_DEG)))


def match_track(pieces: Pieces, s: Floats, lengths: Floats, lon: Floats, lat: Floats, radius_m: float) -> Ints:
    """The line of each position of a track.

    Args:
        pieces: of the lines.
        s: (P, 2) metres along its line of each piece's ends.
        lengths: (lines,) metres.
        lon: (n,) degrees, finite.
        lat: (n,) degrees, finite, in the order driven.
        radius_m: what is farther from a line is not on it.

    Returns:
        (n,) indices of lines, -1 for none.
    """
    if len(lon) == 0:
        return np.zeros(0, np.int64)
    step, azimuth_deg = _travel(lon, lat)
    near = pieces.near(lon, lat, radius_m)
    weight = np.clip((np.r_[step, 0.0] + np.r_[0.0, step]) / (2 * SPACING_M), 0.02, 1.0)
    across = disagrees(pieces.course[near.piece], azimuth_deg[near.point])
    cost = weight[near.point] * ((near.distance_m / (radius_m / 4)) ** 2 / 2 + ACROSS_COST * across)
    states = _States(pieces, s, lengths, near, cost, len(lon))
    states.emission[:, -1] = weight * NONE_COST
    return states.line[np.arange(len(lon)), states.cheapest(step)]


def _travel(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Metres between positions, (n - 1,), and degrees of the direction of travel, (n,); NaN where none moves."""
    kx, ky = metres_per_degree((lat[1:] + lat[:-1]) / 2)
    x = np.concatenate([[0.0], np.cumsum(np.diff(lon) * kx)])
    y = np.concatenate([[0.0], np.cumsum(np.diff(lat) * ky)])
    step = np.hypot(np.diff(x), np.diff(y))
    driven = np.concatenate([[0.0], np.cumsum(step)])
    dx, dy = (
        np.interp(driven + COURSE_M, driven, axis) - np.interp(driven - COURSE_M, driven, axis) for axis in (x, y)
    )
    return step, np.where(np.hypot(dx, dy) > 1.0, np.degrees(np.arctan2(dx, dy)), np.nan)


class _States:
    """Of each position the nearest lines and, last, none of them; arrays are (n, states).

    Attributes:
        emission: cost of the position in the state; infinite where there is no such state.
        line: its line, -1 for none.
        s: metres along the line, end_m: to the nearer of its ends, x_deg, y_deg: of the foot.
    """

    def __init__(self, pieces: Pieces, s: Floats, lengths: Floats, near: Near, cost: Floats, n: int) -> None:
        order = np.lexsort((near.distance_m, near.point))
        near, cost = near.take(order), cost[order]
        rank = np.arange(len(order)) - np.searchsorted(near.point, near.point)
        kept = rank < MOST
        near, cost, rank = near.take(kept), cost[kept], rank[kept]
        shape = (n, int(rank.max(initial=-1)) + 2)
        self.line, self.emission = np.full(shape, -1, np.int64), np.full(shape, np.inf)
        self.s, self.end_m, self.x_deg, self.y_deg = (np.zeros(shape) for _ in range(4))
        at = (near.point, rank)
        along = s[near.piece, 0] + near.t * (s[near.piece, 1] - s[near.piece, 0])
        self.line[at], self.emission[at], self.s[at] = near.line, cost, along
        self.end_m[at] = np.minimum(along, lengths[near.line] - along)
        for foot, degrees in ((self.x_deg, pieces.lon[near.piece]), (self.y_deg, pieces.lat[near.piece])):
            foot[at] = degrees[:, 0] + near.t * (degrees[:, 1] - degrees[:, 0])

    def cheapest(self, step: Floats) -> Ints:
        """The state of each position in the sequence that costs least (Viterbi)."""
        n, states = self.line.shape
        before = np.zeros((n, states), np.int64)
        total = self.emission[0]
        every = np.arange(states)
        for start in range(0, n - 1, BLOCK):
            change = self._change(slice(start, min(start + BLOCK, n - 1)), step)
            for k, cost in enumerate(change, start=start + 1):
                ways = total[:, None] + cost
                before[k] = ways.argmin(axis=0)
                total = ways[before[k], every] + self.emission[k]
        best = np.zeros(n, np.int64)
        best[-1] = total.argmin()
        for k in range(n - 1, 0, -1):
            best[k - 1] = before[k, best[k]]
        return best

    def _change(self, part: slice, step: Floats) -> Floats:
        """Cost of going from each state of some positions to each state of the next ones, (part, states, states)."""
        after = slice(part.start + 1, part.stop + 1)
        step = step[part, None, None]
        a, b = self.line[part, :, None], self.line[after, None, :]
        same = a == b
        kx, ky = metres_per_degree(self.y_deg[part, :, None])
        apart = np.hypot(
            (self.x_deg[after, None, :] - self.x_deg[part, :, None]) * kx,
            (self.y_deg[after, None, :] - self.y_deg[part, :, None]) * ky,
        )
        along = np.where(same, np.abs(self.s[after, None, :] - self.s[part, :, None]), apart)
        detour = np.minimum(np.abs(along - step) / BETA_M, CHANGE_COST)
        ends = np.maximum(self.end_m[part, :, None], self.end_m[after, None, :])
        cost = detour + np.where(same | (ends <= step + JOINT_M), 0.0, CHANGE_COST)
        none = (a < 0) | (b < 0)
        return np.where(none, np.where(same, 0.0, LEAVE_COST), cost)
