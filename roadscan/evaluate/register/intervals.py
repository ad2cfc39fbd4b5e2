"""Scores of a register with their intervals: blocks of road are drawn with replacement, and their counts weighed.

A block is a drive where both tables have `drive_id`, else a square of 1 km. A matched pair belongs to the block of its
known asset, and a line to that of its middle. Nothing is matched again: each resample weighs the blocks' counts and
their distances. Drives over one road share that road, so its squares are drawn and not its drives; what all squares
have in common, such as the bias of a camera, is in no interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_matrix

from roadscan.arrays import Floats, Ints
from roadscan.evaluate.bootstrap import draws, percentile_interval
from roadscan.evaluate.register.scores import Tally, percentiles, total_score
from roadscan.survey.geodesy import LocalFrame

BLOCK_M = 1000.0
MAX_BINS = 1024  # of the distances of a class, by rank: no interval is coarser than a thousandth of them
CELLS_AT_ONCE = 1 << 22  # resamples times blocks: 32 MB


@dataclass(frozen=True)
class Estimate:
    """A number and where it lies; NaN where it cannot be said.

    Attributes:
        value: from all blocks, each once.
        low, high: ends of the interval; NaN where all that it is of lies in one block.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassEstimate:
    """One class; shares in [0, 1].

    Attributes:
        found, known: assets, or metres of lines; known are those that count for recall.
        precision, recall, f1: shares.
        p50_m, p90_m: of the distances of matched assets; of lines, of the distances of their ends.
    """

    found: float
    known: float
    precision: Estimate
    recall: Estimate
    f1: Estimate
    p50_m: Estimate
    p90_m: Estimate


@dataclass(frozen=True)
class Blocks:
    """Blocks of road that are drawn again.

    Attributes:
        found, known: (n,) and (k,) block of each row of the two tables.
        count: how many blocks.
        of: ``drive`` or ``km``.
    """

    found: Ints
    known: Ints
    count: int
    of: str


def block_numbers(found: pa.Table, known: pa.Table) -> Blocks:
    """Blocks by drive where both tables have `drive_id` in every row, else by squares of `BLOCK_M`."""
    tables = (found, known)
    if all("drive_id" in table.column_names and not table["drive_id"].null_count for table in tables):
        labels, of = np.concatenate([table["drive_id"].to_numpy().astype(str) for table in tables]), "drive"
        codes = np.unique(labels, return_inverse=True)[1]
    else:
        parts = (np.stack([table[name].to_numpy() for name in ("lon", "lat")], axis=1) for table in tables)
        lonlat = np.concatenate(list(parts))
        xy = np.stack(LocalFrame(*lonlat.min(axis=0).tolist()).to_xy(*lonlat.T), axis=1) if len(lonlat) else lonlat
        codes, of = np.unique(np.floor((xy + 0.01) / BLOCK_M), axis=0, return_inverse=True)[1].ravel(), "km"
    codes = codes.astype(np.int64)
    return Blocks(codes[: found.num_rows], codes[found.num_rows :], int(codes.max(initial=-1)) + 1, of)


def estimates(tallies: Sequence[Sequence[Tally]], blocks: Blocks, resamples: int, seed: int = 0) -> list[ClassEstimate]:
    """Scores with intervals, of one class or of several together; all on the same resamples.

    Args:
        tallies: for each estimate, its classes.
        blocks: of the tables that the tallies are of.
        resamples: 0 for none; with fewer than 2 blocks there are none either.
        seed: of the draw.
    """
    rows = [_Row(one, blocks) for one in tallies]
    drawn: list[list[Floats]] = [[] for _ in rows]
    for weights in draws(blocks.count, resamples, seed, max(1, CELLS_AT_ONCE // max(blocks.count, 1))):
        for row, parts in zip(rows, drawn, strict=True):
            parts.append(row.scores(weights.astype(float)))
    joined = (np.concatenate([np.zeros((5, 0)), *parts], axis=1) for parts in drawn)
    return [row.estimate(one) for row, one in zip(rows, joined, strict=True)]


def differences(
    baseline: Sequence[Tally], candidate: Sequence[Tally], blocks: tuple[Blocks, Blocks], resamples: int, seed: int = 0
) -> dict[str, Estimate]:
    """How much better or worse one register is than another, on the same resamples of the same blocks.

    Args:
        baseline: tallies of the one, of some classes together.
        candidate: of the other; of the same known assets.
        blocks: of the tables that either's tallies are of, numbered alike.
        resamples: 0 for none; with fewer than 2 blocks there are none either.
        seed: of the draw.

    Returns:
        Candidate minus baseline of ``precision`` and ``recall``, with their intervals; NaN where it cannot be said.
    """
    rows = [_Row(tallies, own) for tallies, own in zip((baseline, candidate), blocks, strict=True)]
    count = blocks[0].count
    drawn = [np.zeros((2, 0))]
    for weights in draws(count, resamples, seed, max(1, CELLS_AT_ONCE // max(count, 1))):
        old, new = (row.scores(weights.astype(float))[:2] for row in rows)
        drawn.append(new - old)
    values = [(row.score.precision, row.score.recall) for row in rows]
    return {
        name: Estimate(new - old, *percentile_interval(drawn_n))
        for name, old, new, drawn_n in zip(("precision", "recall"), *values, np.concatenate(drawn, axis=1), strict=True)
    }


class _Row:
    """Counts and distances of some classes by block, for any weighting of the blocks."""

    def __init__(self, tallies: Sequence[Tally], blocks: Blocks) -> None:
        self.score = total_score(tally.score() for tally in tallies)
        self.sums = np.zeros((blocks.count, 5))  # right, found, covered, recalled, known
        errors, at = [np.zeros(0)], [np.zeros(0, np.int64)]
        for tally in tallies:
            known = blocks.known[tally.known_rows]
            found = blocks.found[tally.found_rows]
            found[tally.pairs[:, 0]] = known[tally.pairs[:, 1]]
            recalled, wanted = tally.covered * tally.counted, tally.known * tally.counted
            ours = ((found, amount) for amount in (tally.right, tally.found))
            theirs = ((known, amount) for amount in (tally.covered, recalled, wanted))
            for column, (block, amount) in enumerate((*ours, *theirs)):
                self.sums[:, column] += np.bincount(block, amount, blocks.count)
            errors.append(tally.errors_m.ravel())
            at.append(np.repeat(known[tally.pairs[:, 1]], tally.errors_m[:1].size))
        self.errors = np.concatenate(errors)
        self.bin_m, self.bins = _by_rank(self.errors, np.concatenate(at), blocks.count)

    def scores(self, weights: Floats) -> Floats:
        """Precision, recall, F1, median and 90th percentile, (5, r), of weights (r, blocks)."""
        right, found, covered, recalled, known = (weights @ self.sums).T
        with np.errstate(invalid="ignore"):
            precision, recall = np.minimum(right, covered) / found, recalled / known
            f1 = 2 * precision * recall / (precision + recall)
        f1[(precision == 0) & (recall == 0)] = 0
        return np.stack([precision, recall, f1, *self._percentiles(weights)])

    def _percentiles(self, weights: Floats) -> Floats:
        """Median and 90th percentile, (2, r): between the two nearest where a share falls between them."""
        if len(self.bin_m) == 0:
            return np.full((2, len(weights)), np.nan)
        count = np.cumsum(self.bins @ weights.T, axis=0)
        least = np.array([0.5, 0.9])[:, None, None] * count[-1]
        below, above = (count < least).sum(axis=1), (count <= least).sum(axis=1)
        last = len(self.bin_m) - 1
        middle = (self.bin_m[np.minimum(below, last)] + self.bin_m[np.minimum(above, last)]) / 2
        return np.where(count[-1] > 0, middle, np.nan)

    def estimate(self, drawn: Floats) -> ClassEstimate:
        """The scores, and where the resampled ones, (5, resamples), lie; nowhere, if all of them is in one block."""
        score = self.score
        values = score.precision, score.recall, score.f1, *percentiles(self.errors)
        drawn = drawn if (self.sums > 0).any(axis=1).sum() > 1 else drawn[:, :0]
        intervals = [
            Estimate(float(value), *percentile_interval(row)) for value, row in zip(values, drawn, strict=True)
        ]
        return ClassEstimate(score.found, score.known, *intervals)


def _by_rank(errors: Floats, block: Ints, blocks: int) -> tuple[Floats, coo_matrix]:
    """Distances in bins of equally many, at most `MAX_BINS`: the last of each bin, and counts (bins, blocks)."""
    order = np.argsort(errors, kind="stable")
    n = min(MAX_BINS, len(errors))
    number = np.arange(len(errors)) * n // max(len(errors), 1)
    counts = coo_matrix((np.ones(len(errors)), (number, block[order])), shape=(n, blocks)).tocsr()
    return errors[order][np.searchsorted(number, np.arange(n), "right") - 1], counts
