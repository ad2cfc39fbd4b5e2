"""Which found asset is which known one: places within a radius, lines that run beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from roadscan.arrays import Floats, Ints
from roadscan.geofiles import Shapes
from roadscan.inventory.geometry.assignment import nearby_pairs, one_to_one
from roadscan.survey.geodesy import LocalFrame

LINE_WIDTH_M = 5.0  # a found line counts as right where a known one of its class runs within this


def match_places(found_xy: Floats, known_xy: Floats, radius_m: float) -> tuple[Ints, Floats]:
    """The one-to-one pairs within a radius: as many as possible, and of those choices the nearest in total.

    Args:
        found_xy: (n, 2) metres.
        known_xy: (k, 2) metres.
        radius_m: the greatest distance of a pair, included.

    Returns:
        (m, 2) which found and which known one, and (m,) their distances in metres.
    """
    i, j, distance = nearby_pairs(found_xy, known_xy, radius_m)
    # One more pair is worth more than all that the others could become nearer by it.
    chosen = one_to_one(i, j, distance, radius_m * (min(len(found_xy), len(known_xy)) + 1) + 1)
    return np.stack([i[chosen], j[chosen]], axis=1), distance[chosen]


@dataclass(frozen=True)
class LineMatches:
    """Found and known lines of one class against each other; metres.

    Attributes:
        found_m, known_m: (n,) and (k,) lengths.
        right_m: (n,) how much of each found line runs beside known ones.
        covered_m: (k,) how much of each known line runs beside found ones.
        pairs: (m, 2) which found and which known line are the same: beside each other for half of the shorter one.
        errors_m: (m, 2) distances of the ends of the pairs.
    """

    found_m: Floats
    right_m: Floats
    known_m: Floats
    covered_m: Floats
    pairs: Ints
    errors_m: Floats


def match_lines(frame: LocalFrame, found: pa.Table, known: pa.Table) -> LineMatches:
    """Lines of one class to what of them runs beside the others, and which are the same.

    Args:
        frame: in which distances are measured.
        found: n rows of `schemas.ASSETS`.
        known: k rows of `KNOWN`.
    """
    lines, others = _found_lines(frame, found), _known_lines(frame, known)
    length, known_length = shapely.length(lines), shapely.length(others)
    right, (i, j, beside) = _beside(lines, others)
    covered, _ = _beside(others, lines)
    same = np.flatnonzero(beside >= np.minimum(length[i], known_length[j]) / 2)
    same = same[beside[same] > 0]
    chosen = same[one_to_one(i[same], j[same], -beside[same], miss_cost=0.0)]
    pairs = np.stack([i[chosen], j[chosen]], axis=1)
    errors_m = _end_errors(lines[pairs[:, 0]], others[pairs[:, 1]])
    return LineMatches(length, right, known_length, covered, pairs, errors_m)


def _found_lines(frame: LocalFrame, table: pa.Table) -> Shapes:
    shapes = np.asarray(shapely.from_wkb(table["geometry"].to_pylist()), object).reshape(-1)
    return np.asarray(shapely.transform(shapes, lambda lonlat: np.stack(frame.to_xy(*lonlat.T), axis=1)), object)


def _known_lines(frame: LocalFrame, table: pa.Table) -> Shapes:
    """Lines of the columns `lons` and `lats`; empty ones where these are null."""
    lines = np.full(table.num_rows, shapely.LineString(), object)
    vertices = pc.fill_null(pc.list_value_length(table["lons"]), 0).to_numpy()
    xy = np.stack(frame.to_xy(*(pc.list_flatten(table[name]).to_numpy() for name in ("lons", "lats"))), axis=1)
    if len(xy):
        shapely.linestrings(xy, indices=np.repeat(np.arange(len(lines)), vertices), out=lines)
    return lines


def _beside(lines: Shapes, others: Shapes) -> tuple[Floats, tuple[Ints, Ints, Floats]]:
    """Metres of each line within `LINE_WIDTH_M` of the others, and of each pair: which, which other, metres."""
    bands = shapely.buffer(others, LINE_WIDTH_M, cap_style="flat")
    i, j = shapely.STRtree(bands).query(lines, predicate="intersects")
    metres = shapely.length(shapely.intersection(lines[i], bands[j]))
    total = np.bincount(i, metres, len(lines)).astype(float)
    order = np.argsort(i, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(i[order])) + 1):
        if len(places) > 1:  # bands that overlap count once
            line = i[places[0]]
            total[line] = shapely.length(shapely.intersection(lines[line], shapely.union_all(bands[j[places]])))
    return total, (i, j, metres)


def _end_errors(lines: Shapes, known: Shapes) -> Floats:
    """Distances of the ends of pairs of lines, (m, 2) metres, however the two are directed."""
    a, b = _ends(lines), _ends(known)
    ways = np.stack([np.linalg.norm(a - b, axis=2), np.linalg.norm(a[:, ::-1] - b, axis=2)])
    nearer: Floats = ways[ways.sum(axis=2).argmin(axis=0), np.arange(len(a))]
    return nearer


def _ends(lines: Shapes) -> Floats:
    """First and last vertex of lines that are not empty, (m, 2, 2) metres."""
    xy, index = shapely.get_coordinates(lines, return_index=True)
    at: Any = np.searchsorted(index, np.arange(len(lines))), np.searchsorted(index, np.arange(len(lines)), "right") - 1
    return np.stack([xy[at[0]], xy[at[1]]], axis=1)
