"""The outline of a line asset from what several drives saw of it; pure geometry in metres."""

from __future__ import annotations

import numpy as np
import shapely
from scipy.spatial import cKDTree
from shapely.ops import substring

from roadscan.survey.geodesy import Floats

VOTE_STEP_M = 1.0
NOISE_M = 3.0  # by which the line of one drive may lie beside or beyond that of another, and be no longer
SAMPLE_M = 4.0  # between the places at which a drive says that a line is not there


def sample(line: Floats, step_m: float) -> Floats:
    """Places along a line, its vertices among them, (n, 2)."""
    return np.asarray(shapely.get_coordinates(shapely.segmentize(shapely.LineString(line), step_m)))


def strip(lines: list[Floats], width_m: float) -> shapely.Geometry:
    """What lies beside lines (n, 2) each, within `width_m` and not beyond their ends."""
    area = shapely.union_all([shapely.buffer(shapely.LineString(xy), width_m, cap_style="flat") for xy in lines])
    shapely.prepare(area)
    return area


def vote(lines: list[Floats], unseen: list[Floats]) -> Floats:
    """The stretch that at least as many drives saw as looked there and saw nothing.

    A drive that did not look somewhere has no vote there, so a drive along a part cuts nothing off.

    Args:
        lines: (n, 2) each, what drives saw; the longest gives the shape.
        unseen: (m, 2) each, places `SAMPLE_M` apart at which a drive looked and saw nothing of the line.

    >>> whole, part = np.array([[0.0, 0.0], [100.0, 0.0]]), np.array([[0.0, 1.0], [40.0, 1.0]])
    >>> vote([part, whole, part], []).tolist()
    [[0.0, 0.0], [100.0, 0.0]]
    """
    line = shapely.LineString(union(lines))
    at = np.append(np.arange(0.0, line.length, VOTE_STEP_M), line.length)
    votes = np.zeros(len(at))
    for xy in lines:
        along = _along(line, xy)
        votes += (at >= along.min() - 1e-6) & (at <= along.max() + 1e-6)
    for xy in unseen:
        votes -= cKDTree(_along(line, xy)[:, None]).query(at[:, None])[0] <= SAMPLE_M / 2
    kept = at[votes >= 0]
    if len(kept) < 2:
        return np.asarray(shapely.get_coordinates(line))
    return np.asarray(shapely.get_coordinates(substring(line, kept[0], kept[-1])))


def union(lines: list[Floats]) -> Floats:
    """The longest line, made longer at both ends by what the others show beyond them."""
    order = sorted(lines, key=lambda xy: -shapely.LineString(xy).length)
    whole = order[0]
    for xy in order[1:]:
        line = shapely.LineString(whole)
        along = _along(line, xy)
        if along[0] > along[-1]:
            xy, along = xy[::-1], along[::-1]
        beyond = shapely.distance(line, shapely.points(xy)) > NOISE_M
        before, after = xy[beyond & (along <= 0)], xy[beyond & (along >= line.length)]
        whole = np.concatenate([before, whole, after])
    return whole


def _along(line: shapely.LineString, xy: Floats) -> Floats:
    return np.asarray(shapely.line_locate_point(line, shapely.points(xy)))
