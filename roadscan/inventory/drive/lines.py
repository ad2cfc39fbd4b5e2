"""Boxes of things that run along the road to lines: stretches of chainage and offset along one drive's path.

Along the path of the drive, in steps of `lines.bin_m` and in each of a few bands of offset, two numbers are kept: how
many frames had the step in view, and in how many of them a box lay on it. A step belongs to a line where the ratio
passes a threshold; short gaps are closed, short lines dropped.

Legend: M detections, B usable bases, V vertices of a line. Chainage and offset in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from roadscan.arrays import Bools, Floats, Ints
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive.passes import Detections, DrivePass

SMOOTHING_M = 30.0  # over which a line's offset from the path is one median
# Lines that run side by side are told apart by these bands of offset from the path: beyond and on the own carriageway,
# whose lanes and shoulder end within 10 m, on either side. Farther than 25 m away, a box is not a line of this road.
BANDS_M = ((-25.0, -10.0), (-10.0, 0.0), (0.0, 10.0), (10.0, 25.0))


@dataclass(frozen=True)
class PathLine:
    """One stretch of a line asset along a drive's path.

    Attributes:
        start_s, end_s: chainage in metres.
        s, offset_m: (V,) its vertices: chainage, and offset to the right of travel.
        offset_sigma_m: standard deviation of its offset.
        members: indices of the detections that show it.
    """

    start_s: float
    end_s: float
    s: Floats
    offset_m: Floats
    offset_sigma_m: float
    members: Ints


@dataclass(frozen=True)
class _Bases:
    """Each usable detection's base along the path: from, to, how far to the side, and in which frame, (B,) each."""

    start_s: Floats
    end_s: Floats
    offset_m: Floats
    frame_index: Ints
    detection: Ints


def find_lines(drive: DrivePass, detections: Detections, config: InventoryConfig) -> list[PathLine]:
    """The lines of one class that a drive saw, from left to right, then in the order of chainage."""
    bases = _bases(drive, detections, config)
    found: list[PathLine] = []
    for left, right in BANDS_M:
        chosen = (bases.offset_m >= left) & (bases.offset_m < right)
        if chosen.any():
            part = _Bases(**{name: value[chosen] for name, value in vars(bases).items()})
            found += _lines_of_band(drive, part, config)
    return found


def _bases(drive: DrivePass, detections: Detections, config: InventoryConfig) -> _Bases:
    """Bases on the path, cut to what each frame can be trusted with: `visibility.near_m` to `lines.far_m` ahead.

    A camera that looks to the side or back shows nothing ahead.
    """
    ends = (detections.near_bearing_deg, detections.near_range_m, detections.far_bearing_deg, detections.far_range_m)
    usable = np.flatnonzero(np.isfinite(ends).all(axis=0) & drive.looks_ahead[detections.frame_index])
    frame = detections.frame_index[usable]
    near_m, far_m = detections.near_range_m[usable], detections.far_range_m[usable]
    s_camera = drive.poses.s[frame]
    angle = np.radians(detections.near_bearing_deg[usable])
    x = drive.poses.x[frame] + near_m * np.sin(angle)
    y = drive.poses.y[frame] + near_m * np.cos(angle)
    s, offset = drive.path.locate(x, y, s_camera + near_m)
    depth = np.sqrt(np.maximum(far_m**2 - offset**2, 0))
    start = np.maximum(s, s_camera + config.visibility.near_m)
    end = np.minimum(s_camera + depth, s_camera + config.lines.far_m)
    good = end > start
    return _Bases(start[good], end[good], offset[good], frame[good], usable[good])


def _lines_of_band(drive: DrivePass, bases: _Bases, config: InventoryConfig) -> list[PathLine]:
    bin_m = config.lines.bin_m
    edges = np.arange(drive.path.s[0], drive.path.s[-1] + bin_m, bin_m)
    hits = _count(edges, bases.start_s, bases.end_s)
    total_offset = _count(edges, bases.start_s, bases.end_s, bases.offset_m)
    nearest = _side_of_image(drive, float(np.median(np.abs(bases.offset_m))), config)
    ahead = drive.looks_ahead
    seen = _count(edges, (drive.poses.s + nearest)[ahead], (drive.poses.s + config.lines.far_m)[ahead])
    member = (hits > 0) & (hits >= config.lines.hit_ratio * np.maximum(seen, 1))
    window = max(1, round(SMOOTHING_M / bin_m))
    lines = []
    for first, last in _runs(member, round(config.lines.gap_m / bin_m)):
        start, end = float(edges[first]), float(edges[last] + bin_m)
        inside = np.flatnonzero((bases.end_s > start) & (bases.start_s < end))
        frames = np.unique(bases.frame_index[inside])
        if end - start < config.lines.min_length_m or len(frames) < config.tracking.candidate_hits:
            continue
        bins = np.arange(first, last + 1)[hits[first : last + 1] > 0]
        offset = median_filter(total_offset[bins] / hits[bins], size=window, mode="nearest")
        s = np.concatenate([[start], edges[bins] + bin_m / 2, [end]])
        vertices = np.interp(s, edges[bins] + bin_m / 2, offset)
        spread = float(np.std(bases.offset_m[inside]) / np.sqrt(len(inside)))
        lines.append(PathLine(start, end, s, vertices, max(spread, 0.3), bases.detection[inside]))
    return lines


def _side_of_image(drive: DrivePass, offset_m: float, config: InventoryConfig) -> Floats:
    """How far ahead of each frame a line at this offset enters the image."""
    return np.maximum(config.visibility.near_m, offset_m / np.tan(drive.poses.half_fov))


def _count(edges: Floats, start: Floats, end: Floats, weight: Floats | None = None) -> Floats:
    """How many bases (or their summed weight) cover the middle of each step."""
    middle = (edges[1] - edges[0]) / 2
    change = np.zeros(len(edges) + 1)
    weight = np.ones(len(start)) if weight is None else weight
    forward = end > start
    np.add.at(change, np.searchsorted(edges + middle, start[forward]), weight[forward])
    np.add.at(change, np.searchsorted(edges + middle, end[forward]), -weight[forward])
    return np.asarray(np.cumsum(change)[:-1])


def _runs(member: Bools, gap: int) -> list[tuple[int, int]]:
    """First and last index of each run of members, runs closer than `gap` steps joined.

    >>> _runs(np.array([True, True, False, True, False, False, False, True]), gap=1)
    [(0, 3), (7, 7)]
    """
    index = np.flatnonzero(member)
    if len(index) == 0:
        return []
    breaks = np.flatnonzero(np.diff(index) > gap + 1)
    return list(zip(index[np.r_[0, breaks + 1]].tolist(), index[np.r_[breaks, len(index) - 1]].tolist(), strict=True))
