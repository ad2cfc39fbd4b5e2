"""Whole blocks drawn with replacement, as many as there are: what all intervals of roadscan rest on.

A block is what shares its errors: a drive, or a kilometre of road. Intervals are percentiles of the resampled scores.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats
from roadscan.evaluate.jsonable import jsonable

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A score and where it lies; NaN where it cannot be said.

    Attributes:
        value: on the images as they are, mean over the runs.
        low, high: ends of the interval; NaN with fewer than 2 drives.
        between_runs: standard deviation between the runs' values; NaN with one run.
    """

    value: float
    low: float
    high: float
    between_runs: float


@dataclass(frozen=True)
class Delta:
    """A difference of two models' scores, candidate minus baseline; NaN where it cannot be said.

    Attributes:
        value: on the images as they are, of the means over the runs.
        low, high: ends of the interval of the differences on the same resamples.
        p_value: twice the smaller share of resamples in which the difference is not above, or not below, 0. Read it as
            a two-sided p-value, of the choice of drives alone.
        between_runs: standard error of the difference from training alone, √(s²/n + s²/n); NaN if a model has one run.
    """

    value: float
    low: float
    high: float
    p_value: float
    between_runs: float


@dataclass(frozen=True)
class Intervals:
    """Confidence intervals of a model's scores.

    Attributes:
        metrics: by name.
        classes: a score of each class, by its name; from the resamples in which it has truth.
        level: share of the resamples inside.
        resamples, drives, images, runs: how many.
        conditions, occlusions: metrics of each part of the images or objects, by its name, where they are scored.
    """

    metrics: dict[str, Interval]
    classes: dict[str, Interval]
    level: float
    resamples: int
    drives: int
    images: int
    runs: int
    conditions: dict[str, dict[str, Interval]] = field(default_factory=dict)
    occlusions: dict[str, dict[str, Interval]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: NaN becomes None."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain


@dataclass(frozen=True)
class Deltas:
    """Differences of two models' scores; as `Intervals`.

    Attributes:
        metrics: by name.
        classes: a score of each class, by its name.
        level: share of the resamples inside.
        resamples, drives, images: how many.
        baseline_runs, candidate_runs: how many of either.
        conditions, occlusions: metrics of each part, by its name.
    """

    metrics: dict[str, Delta]
    classes: dict[str, Delta]
    level: float
    resamples: int
    drives: int
    images: int
    baseline_runs: int
    candidate_runs: int
    conditions: dict[str, dict[str, Delta]] = field(default_factory=dict)
    occlusions: dict[str, dict[str, Delta]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: NaN becomes None."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain


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


def intervals_of(values: Floats, drawn: Floats, level: float = LEVEL) -> list[Interval]:
    """The intervals of scores.

    Args:
        values: (runs, scores) on the images as they are.
        drawn: (runs, scores, resamples).
        level: share of the resamples inside.
    """
    low, high = _ends(drawn.mean(axis=0), level)
    columns = values.mean(axis=0), low, high, _between_runs(values)
    return [Interval(*map(float, numbers)) for numbers in zip(*columns, strict=True)]


def deltas_of(values: Floats, drawn: Floats, baseline_runs: int, level: float = LEVEL) -> list[Delta]:
    """The differences of scores, of the runs that come after the baseline's minus the baseline's.

    Args:
        values: (runs, scores) of both models on the images as they are.
        drawn: (runs, scores, resamples), likewise.
        baseline_runs: how many come first.
        level: share of the resamples inside.
    """
    n, others = baseline_runs, len(values) - baseline_runs
    value = values[n:].mean(axis=0) - values[:n].mean(axis=0)
    difference = drawn[n:].mean(axis=0) - drawn[:n].mean(axis=0)
    low, high = _ends(difference, level)
    error = np.sqrt(_between_runs(values[:n]) ** 2 / n + _between_runs(values[n:]) ** 2 / others)
    columns = value, low, high, _p_values(difference), error
    return [Delta(*map(float, numbers)) for numbers in zip(*columns, strict=True)]


def _between_runs(values: Floats) -> Floats:
    """Standard deviation over the first axis; NaN of fewer than 2."""
    return values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1], np.nan)


def _ends(drawn: Floats, level: float) -> tuple[Floats, Floats]:
    """Percentile interval of every row of (rows, resamples)."""
    ends = np.array([percentile_interval(row, level) for row in drawn]).reshape(-1, 2)
    return ends[:, 0], ends[:, 1]


def _p_values(difference: Floats) -> Floats:
    """Two-sided, of every row of (rows, resamples); never 0, as the data themselves are one more sample."""
    known = (~np.isnan(difference)).sum(axis=1)
    least = np.minimum((difference <= 0).sum(axis=1), (difference >= 0).sum(axis=1))
    return np.where(known > 0, np.minimum(1.0, 2 * (least + 1) / (known + 1)), np.nan)
