"""How sure a mean over seeds is, and a difference of two losses: of the drives that were tested on and of the seeds.

Two kinds of chance are in a mean over n trainings: which drives the test images are of, and the seeds. The drives' is
the bootstrap's: its percentile interval of the mean over the seeds, all on the same resamples. The seeds' is Student's:
t s / √n, with s the standard deviation between the seeds. The two are independent, so the ends of the interval lie as
far off as the root of the sum of both squares. With one seed there is the drives' interval alone.

A difference is paired: losses are compared seed by seed, as both trainings have the same first weights, images and
augmentation, and resample by resample. Over several variants it is the mean of their differences, seed by seed, as the
same seed gives all variants the same images.

Source: Student 1908 for the seeds; Owen, The pigeonhole bootstrap, 2007 (https://doi.org/10.1214/07-AOAS122), for why
crossed kinds of chance add up. Letters in shapes: s seeds, m measures, b resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.stats import t as student

from roadscan.ablate.measures import Measure, Measured
from roadscan.arrays import Floats
from roadscan.evaluate.bootstrap import LEVEL, percentile_interval

LEVELS, DIFFERENCES = (0.0, 1.0), (-1.0, 1.0)  # bounds of shares, and of their differences
Verdict: TypeAlias = Literal["gain", "loss", "no gain", "unknown"]


@dataclass(frozen=True)
class Pooled:
    """A mean over seeds, or a difference of two such means, as a share; NaN where it cannot be said.

    Attributes:
        value: on the images as they are.
        low, high: ends of the interval.
        between_seeds: standard deviation between the seeds; NaN of one.
        seeds: how many.
    """

    value: float
    low: float
    high: float
    between_seeds: float
    seeds: int

    @property
    def verdict(self) -> Verdict:
        """What a difference comes to: no gain where the interval holds 0, unknown where there is no interval."""
        if np.isnan(self.low):
            return "unknown"
        return "gain" if self.low > 0 else "loss" if self.high < 0 else "no gain"


def pool(values: Floats, drawn: Floats, bounds: tuple[float, float], level: float = LEVEL) -> Pooled:
    """A number of every seed, and the same on resamples -> their mean and its interval.

    Args:
        values: (s,) on the images as they are.
        drawn: (s, b) on the same resamples; b may be 0.
        bounds: within which any value lies, and so the interval.
        level: share of such intervals that hold the true value.
    """
    value, n = float(values.mean()), len(values)
    low, high = percentile_interval(drawn.mean(axis=0), level)
    between = float(values.std(ddof=1)) if n > 1 else float("nan")
    seeds = float(student.ppf((1 + level) / 2, n - 1)) * between / np.sqrt(n) if n > 1 else 0.0
    below, above = max(value - low, 0.0), max(high - value, 0.0)  # NaN stays: max of (NaN, 0) is its first
    low, high = np.clip([value - np.hypot(below, seeds), value + np.hypot(above, seeds)], *bounds)
    return Pooled(value, float(low), float(high), between, n)


def pooled(runs: Sequence[Measured], level: float = LEVEL) -> dict[Measure, Pooled]:
    """Runs that differ in their seed alone -> the mean of each measure and its interval."""
    values, drawn = np.stack([run.values for run in runs]), np.stack([run.drawn for run in runs])
    return {one: pool(values[:, i], drawn[:, i], LEVELS, level) for i, one in enumerate(runs[0].measures)}


def differences(
    baseline: Sequence[Mapping[int, Measured]], candidate: Sequence[Mapping[int, Measured]], level: float = LEVEL
) -> dict[Measure, Pooled] | None:
    """Runs by seed, of one or more variants -> candidate minus baseline of each measure, mean over the variants.

    Args:
        baseline: for each variant, its runs by seed.
        candidate: likewise, the variants in the same order.
        level: as for `pool`.

    Returns:
        From the seeds that all of them have; None where there is none.
    """
    seeds = sorted(set.intersection(*(set(one) for one in (*baseline, *candidate))))
    if not seeds:
        return None
    pairs = [[(ours[seed], theirs[seed]) for ours, theirs in zip(candidate, baseline, strict=True)] for seed in seeds]
    values = np.stack([np.mean([ours.values - theirs.values for ours, theirs in pair], axis=0) for pair in pairs])
    drawn = np.stack([np.mean([ours.drawn - theirs.drawn for ours, theirs in pair], axis=0) for pair in pairs])
    measures = next(iter(baseline[0].values())).measures
    return {one: pool(values[:, i], drawn[:, i], DIFFERENCES, level) for i, one in enumerate(measures)}
