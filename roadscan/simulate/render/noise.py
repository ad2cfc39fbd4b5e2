"""Smooth random fields, the raw material of asphalt, grass, clouds and hills.

Every field is a pure function of its seed and its coordinates, so that a patch of ground looks the same from
whichever frame it is seen.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from roadscan.arrays import Floats32

AnyFloat = NDArray[np.floating[Any]]


@lru_cache(maxsize=64)
def _lattice(seed: int, rows: int, columns: int) -> Floats32:
    """Random lattice in 0..1, shape (rows, columns)."""
    return np.random.default_rng((0x5EED, seed, rows, columns)).random((rows, columns), dtype=np.float32)


def value_noise(seed: int, x: AnyFloat, y: AnyFloat, period_x: int = 64, period_y: int = 64) -> Floats32:
    """Value noise with unit wavelength, sampled at lattice coordinates.

    Args:
        seed: which field.
        x: column coordinates in lattice cells, shape (h, w).
        y: row coordinates in lattice cells, shape (h, w).
        period_x: cells after which the field repeats along x.
        period_y: cells after which the field repeats along y.

    Returns:
        Values in about 0..1, float32, shape (h, w).
    """
    lattice = _lattice(seed, period_y, period_x)
    padded = np.pad(lattice, ((1, 2), (1, 2)), mode="wrap")
    map_x = np.mod(x, period_x).astype(np.float32) + 1.0
    map_y = np.mod(y, period_y).astype(np.float32) + 1.0
    return np.asarray(cv2.remap(padded, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP), dtype=np.float32)


def fractal_noise(
    seed: int, x: AnyFloat, y: AnyFloat, octaves: int, period_x: int = 16, period_y: int = 16
) -> Floats32:
    """Sum of `octaves` value noises, each at twice the frequency and half the weight; values in about 0..1."""
    total = np.zeros(np.broadcast(x, y).shape, np.float32)
    weight, weights = 1.0, 0.0
    for octave in range(octaves):
        scale = 2**octave
        total += weight * value_noise(seed + octave, x * scale, y * scale, period_x * scale, period_y * scale)
        weights += weight
        weight *= 0.5
    return np.asarray(total / weights, dtype=np.float32)


def smoothstep(low: float, high: float, x: AnyFloat) -> Floats32:
    """0 below `low`, 1 above `high`, a smooth ramp between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)
