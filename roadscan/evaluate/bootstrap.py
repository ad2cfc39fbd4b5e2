"""Whole blocks drawn with replacement, as many as there are: what all intervals of roadscan rest on.

A block is what shares its errors: a drive, or a kilometre of road. Intervals are percentiles of the resampled scores.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
LEVEL = 0.95


def draws(blocks: int, resamples: int, seed: int, at_once: int) -> Iterator[npt.NDArray[np.int64]]:
    """How often each block is drawn, (up to at_once, blocks) at a time; nothing with fewer than 2 blocks.

    Args:
        blocks: how many there are.
        resamples: how many rows in all.
        seed: of the draw; the same seed and blocks give the same rows, whatever `at_once` is.
        at_once: rows at a time, which bounds the memory.
    """
    rng = np.random.default_rng(seed)
    for first in range(0, resamples if blocks > 1 else 0, at_once):
        yield rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=min(at_once, resamples - first))


def percentile_interval(drawn: npt.NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """Ends of the interval that holds that share of the resampled values; NaN ones are left out, of none it is NaN."""
    known = drawn[~np.isnan(drawn)]
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2]) if len(known) else (np.nan, np.nan)
    return float(low), float(high)
