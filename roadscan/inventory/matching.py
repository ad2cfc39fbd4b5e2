"""Which lines of two drives are the same line: by how far they run beside each other; pure geometry in metres."""

from __future__ import annotations

import numpy as np
import shapely

from roadscan.survey.geodesy import Floats


def match_lines(
    lines: list[tuple[str, Floats]], known: list[tuple[str, Floats]], width_m: float
) -> list[tuple[int, int]]:
    """Each line with the known line of its class that it runs beside for longest.

    Args:
        lines: class and (n, 2) metres of each.
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
        lines: class and (n, 2) metres of each.
        width_m: how far apart they may run.
        share: of the piece's length that is enough, 0..1 …
        enough_m: … and the length that is enough however long the piece.
    """
    shapes = [shapely.LineString(xy) for _, xy in lines]
    order = sorted(range(len(lines)), key=lambda n: (-shapes[n].length, n))
    found: list[tuple[int, int]] = []
    gone: set[int] = set()
    for place, whole in enumerate(order):
        for piece in order[place + 1 :] if whole not in gone else ():
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
