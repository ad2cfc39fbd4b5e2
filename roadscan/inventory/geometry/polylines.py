"""Polylines of several drives to lines: which run beside each other, and the outline that most of them agree on.

Legend: V vertices of a line, (V, 2) metres; a line never knows which drive saw it.
"""

from __future__ import annotations

import numpy as np
import shapely
from scipy.spatial import cKDTree
from shapely.ops import substring

from roadscan.arrays import Floats

VOTE_STEP_M = 1.0
NOISE_M = 3.0  # by which the line of one drive may lie beside or beyond that of another, and be no longer
SAMPLE_M = 4.0  # between the places at which a drive says that a line is not there


def match_lines(
    lines: list[tuple[str, Floats]], known: list[tuple[str, Floats]], width_m: float
) -> list[tuple[int, int]]:
    """Each line with the known line of its class that it runs beside for longest.

    Args:
        lines: class and (V, 2) metres of each.
        known: likewise; of these one may be matched by several lines, when they are pieces of it.
        width_m: how far apart they may run.

    Returns:
        Pairs of (known, line) indices, longest common length first.
    """
    if not lines or not known:
        return []
    shapes = np.array([shapely.LineString(xy) for _, xy in known])
    tree = shapely.STRtree(shapes)
    best: list[tuple[float, int, int]] = []
    for k, (class_name, xy) in enumerate(lines):
        shape = shapely.LineString(xy)
        near = [n for n in tree.query(shape, predicate="dwithin", distance=width_m) if known[n][0] == class_name]
        common = [(-shared_length_m(shapes[n], shape, width_m), int(n), k) for n in near]
        best += [pair for pair in sorted(common)[:1] if pair[0] < 0]
    return [(n, k) for _, n, k in sorted(best)]


def pieces(lines: list[tuple[str, Floats]], width_m: float, share: float, enough_m: float) -> list[tuple[int, int]]:
    """Pairs of (piece, whole): lines that run beside one longer line of their class for long enough to be part of it.

    Args:
        lines: class and (V, 2) metres of each.
        width_m: how far apart they may run.
        share: of the piece's length that is enough, 0..1 …
        enough_m: … and the length that is enough however long the piece.
    """
    if len(lines) < 2:
        return []
    shapes = [shapely.LineString(xy) for _, xy in lines]
    order = sorted(range(len(lines)), key=lambda n: (-shapes[n].length, n))
    place = {n: place for place, n in enumerate(order)}
    near: dict[int, list[int]] = {n: [] for n in order}
    for n, other in shapely.STRtree(shapes).query(np.array(shapes), predicate="dwithin", distance=width_m).T.tolist():
        near[n].append(other)
    found: list[tuple[int, int]] = []
    gone: set[int] = set()
    for whole in order:
        shorter = [n for n in near[whole] if place[n] > place[whole]] if whole not in gone else []
        for piece in sorted(shorter, key=place.__getitem__):
            alike = lines[piece][0] == lines[whole][0] and piece not in gone
            if alike and shared_length_m(shapes[piece], shapes[whole], width_m) >= min(
                share * shapes[piece].length, enough_m
            ):
                found.append((piece, whole))
                gone.add(piece)
    return found


def shared_length_m(a: shapely.LineString, b: shapely.LineString, width_m: float) -> float:
    """How much of two lines runs within `width_m` of each other: the smaller of both ways to measure it.

    >>> shared_length_m(shapely.LineString([(0, 0), (10, 0)]), shapely.LineString([(4, 1), (30, 1)]), 1.0)
    6.0
    """
    if shapely.distance(a, b) > width_m:
        return 0.0
    beside_b = a.intersection(shapely.buffer(b, width_m, cap_style="flat")).length
    beside_a = b.intersection(shapely.buffer(a, width_m, cap_style="flat")).length
    return float(min(beside_a, beside_b))


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
