"""Degrees to places in the square of the web's maps, and the order in which the places of a tile lie together.

The square is the world in the spherical Mercator projection (EPSG:3857), 2^32 units a side from the north-west corner:
1 cm at the equator. A place's Z-order key is the bits of x and y in turn, so that the places of any tile of any zoom
are neighbours among sorted keys.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats

Places: TypeAlias = npt.NDArray[np.uint32]
Keys: TypeAlias = npt.NDArray[np.uint64]

BITS = 32
SIDE = float(1 << BITS)
MAX_LAT = 85.0511287798066  # where the square ends
EARTH_M = 40_075_016.686  # round the equator of EPSG:3857's sphere
_SPREAD = (
    (16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F), (2, 0x3333333333333333),
    (1, 0x5555555555555555),
)  # fmt: skip


def project(lon: Floats, lat: Floats) -> tuple[Places, Places]:
    """Degrees to x and y of the square; a latitude beyond its end lies on the end.

    >>> [int(v[0]) for v in project(np.array([0.0]), np.array([0.0]))] == [1 << 31, 1 << 31]
    True
    """
    x, y = unclipped(lon, lat)
    return _whole(x), _whole(y)


def unclipped(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Degrees to x and y of the square, in fractions of units."""
    sine = np.sin(np.radians(np.clip(lat, -MAX_LAT, MAX_LAT)))
    x = (np.asarray(lon) / 360 + 0.5) * SIDE
    return x, (0.5 - np.arctanh(sine) / (2 * np.pi)) * SIDE


def degrees(x: npt.NDArray[np.generic], y: npt.NDArray[np.generic]) -> tuple[Floats, Floats]:
    """x and y of the square to degrees.

    >>> lon, lat = degrees(*project(np.array([100.5]), np.array([13.75])))
    >>> round(float(lon[0]), 6), round(float(lat[0]), 6)
    (100.5, 13.75)
    """
    lon = np.asarray(x, float) / SIDE * 360 - 180
    return lon, np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * np.asarray(y, float) / SIDE))))


def units_a_metre(lat: Floats | float) -> Floats:
    """Units of the square that a metre on the ground is, at a latitude."""
    return np.asarray(SIDE / EARTH_M / np.cos(np.radians(np.clip(lat, -MAX_LAT, MAX_LAT))), float)


def z_order(x: Places, y: Places) -> Keys:
    """The bits of x and y in turn, of y first.

    >>> [int(key) for key in z_order(np.array([0, 1, 0, 1], np.uint32), np.array([0, 0, 1, 1], np.uint32))]
    [0, 1, 2, 3]
    """
    return _spread(x) | (_spread(y) << np.uint64(1))


def keys_of_tile(zoom: int, column: int, row: int) -> tuple[int, int]:
    """A tile of the web's maps -> the first and the last key that a place in it may have."""
    first = int(z_order(np.array([column], np.uint32), np.array([row], np.uint32))[0])
    shift = 2 * (BITS - zoom)
    return first << shift, ((first + 1) << shift) - 1


def _spread(values: Places) -> Keys:
    spread = values.astype(np.uint64)
    for shift, mask in _SPREAD:
        spread = (spread | (spread << np.uint64(shift))) & np.uint64(mask)
    return spread


def _whole(values: Floats) -> Places:
    return np.clip(values, 0, SIDE - 1).astype(np.uint32)
