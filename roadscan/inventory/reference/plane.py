"""Points and centrelines to metres beside them: pieces of lines, each with the scale of a degree at its own middle.

A plane about each piece is exact to 1e-4 within a kilometre of it (the scale of a degree of longitude changes by
tan(lat)/R a metre: 4e-5 a kilometre at 15°, 3e-4 at 60°), and one search tree in degrees serves a whole country.

Legend: P pieces, n points, k pairs of a point and a line. Degrees in, metres out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from roadscan.arrays import Bools, Floats, Ints
from roadscan.survey.geodesy import WGS84

LARGEST_LAT = 89.5  # nearer to the poles a degree of longitude has no length to speak of


def metres_per_degree(lat: Floats) -> tuple[Floats, Floats]:
    """Length of one degree of longitude and of one of latitude, on WGS 84.

    Source: radii of curvature in the prime vertical and in the meridian.

    >>> [round(float(k)) for k in metres_per_degree(np.array(14.0))]
    [108034, 110639]
    """
    phi = np.radians(lat)
    w2 = 1 - WGS84.es * np.sin(phi) ** 2
    return np.radians(WGS84.a * np.cos(phi) / np.sqrt(w2)), np.radians(WGS84.a * (1 - WGS84.es) / w2**1.5)


@dataclass(frozen=True)
class Near:
    """Points and the centrelines near them, one row a pair, by point and then by line; arrays are (k,).

    Attributes:
        point, line, piece: indices.
        t: place on the piece, 0 to 1.
        distance_m: from the point to the line.
        offset_m: the same, negative on the left of the line's direction; beyond the line's ends only its part across.
    """

    point: Ints
    line: Ints
    piece: Ints
    t: Floats
    distance_m: Floats
    offset_m: Floats

    def take(self, chosen: Bools | Ints) -> Near:
        """Some of the rows."""
        return Near(**{name: value[chosen] for name, value in vars(self).items()})


class Pieces:
    """The straight pieces of many lines, in the lines' order.

    Attributes:
        line: (P,) which line each is of.
        lon, lat: (P, 2) degrees of its ends.
        course: (P,) radians clockwise from north.
    """

    def __init__(self, lines: list[tuple[Floats, Floats]]) -> None:
        sizes = np.array([len(lon) - 1 for lon, _ in lines])
        self.line: Ints = np.repeat(np.arange(len(lines)), sizes)
        self.lon, self.lat = (
            np.concatenate([np.stack([line[axis][:-1], line[axis][1:]], axis=1) for line in lines]) for axis in (0, 1)
        )
        self._kx, self._ky = metres_per_degree(self.lat.mean(axis=1))
        self._x, self._y = np.diff(self.lon)[:, 0] * self._kx, np.diff(self.lat)[:, 0] * self._ky
        self.course = np.arctan2(self._x, self._y)
        towards = np.stack([self._x, self._y], axis=1) / np.hypot(self._x, self._y)[:, None]
        self._is_first = np.r_[True, np.diff(self.line) > 0]
        self._is_last = np.r_[self._is_first[1:], True]
        # At a vertex "right" is right of the mean of both directions; right of either alone is wrong inside hairpins.
        self._at_start = np.where(self._is_first[:, None], towards, towards + np.roll(towards, 1, axis=0))
        self._at_end = np.where(self._is_last[:, None], towards, towards + np.roll(towards, -1, axis=0))
        self._tree = shapely.STRtree(shapely.linestrings(np.stack([self.lon, self.lat], axis=2)))

    def near(self, lon: Floats, lat: Floats, radius_m: float) -> Near:
        """Every line within a radius of each point; a point that is NaN has none.

        Args:
            lon: degrees, (n,).
            lat: degrees, (n,).
            radius_m: at most a kilometre.
        """
        point, piece = self._in_box(lon, lat, radius_m)
        x, y = self._x[piece], self._y[piece]
        dx = (lon[point] - self.lon[piece, 0]) * self._kx[piece]
        dy = (lat[point] - self.lat[piece, 0]) * self._ky[piece]
        t = np.clip((dx * x + dy * y) / (x * x + y * y), 0.0, 1.0)
        dx, dy = dx - t * x, dy - t * y
        distance = np.hypot(dx, dy)
        close = np.flatnonzero(distance <= radius_m)
        close = close[np.lexsort((distance[close], self.line[piece[close]], point[close]))]
        pair = np.stack([point[close], self.line[piece[close]]], axis=1)
        best = close[np.r_[True, np.any(np.diff(pair, axis=0) != 0, axis=1)]] if len(close) else close
        point, piece, t, distance = point[best], piece[best], t[best], distance[best]
        offset = self._signed(piece, t, dx[best], dy[best], distance)
        return Near(point, self.line[piece], piece, t, distance, offset)

    def _in_box(self, lon: Floats, lat: Floats, radius_m: float) -> tuple[Ints, Ints]:
        finite = np.flatnonzero(np.isfinite(lon) & (np.abs(lat) < LARGEST_LAT))
        x, y = lon[finite], lat[finite]
        kx, ky = metres_per_degree(y)
        wide, high = 1.001 * radius_m / kx, 1.001 * radius_m / ky
        found, piece = self._tree.query(shapely.box(x - wide, y - high, x + wide, y + high))
        return finite[found], np.asarray(piece, np.int64)

    def _signed(self, piece: Ints, t: Floats, dx: Floats, dy: Floats, distance: Floats) -> Floats:
        starts, ends = t <= 0, t >= 1
        x = np.where(starts, self._at_start[piece, 0], np.where(ends, self._at_end[piece, 0], self._x[piece]))
        y = np.where(starts, self._at_start[piece, 1], np.where(ends, self._at_end[piece, 1], self._y[piece]))
        right = dx * y - dy * x
        beyond = (starts & self._is_first[piece]) | (ends & self._is_last[piece])
        return np.where(beyond, right, np.copysign(distance, right))
