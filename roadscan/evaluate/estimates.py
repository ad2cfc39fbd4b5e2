"""Figures of a register with their intervals: the results that `roadscan.evaluate.register` gives, and the bootstrap.

Whole blocks of road are drawn with replacement, as many as there are, since assets near each other share a drive's
errors and are no independent sample. A block is a drive where both tables have `drive_id`, else a square of 1 km. A
matched pair belongs to the block of its known asset, and a line to that of its middle. Nothing is matched again: each
resample weighs the blocks' counts and their distances. Drives over one road share that road, so its squares are drawn
and not its drives; what all squares have in common, such as the bias of a camera, is in no interval.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile intervals).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_matrix

from roadscan.evaluate.assets import Ints, Score, Tally, percentiles, total_score
from roadscan.evaluate.detection.scores import jsonable
from roadscan.survey.geodesy import Floats, LocalFrame

BLOCK_M = 1000.0
LEVEL = 0.95
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
class RadiusScores:
    """Points and overhead assets, matched within one radius.

    Attributes:
        radius_m: of points; overhead assets have their own.
        overhead: the classes that have their own.
        overhead_radius_m: theirs.
        classes: by class name.
        overall: all of them.
    """

    radius_m: float
    overhead: tuple[str, ...]
    overhead_radius_m: float
    classes: dict[str, ClassEstimate]
    overall: ClassEstimate


@dataclass(frozen=True)
class MissingScores:
    """Assets that the register calls missing against those that were removed; points and overhead assets.

    Attributes:
        score: missing against removed; None where nobody says what was removed.
        missing: how many the register calls so.
        false_alarms: of these, those that stand.
        never_known: of these, those that no known asset is near: what was never there rightly left the register, but
            no removal was found.
        standing_found: standing known assets that the register has in any state, missing too.
    """

    score: Score | None
    missing: int
    false_alarms: int
    never_known: int
    standing_found: int

    @property
    def false_alarm_rate(self) -> float:
        """Share of the standing assets in the register that it calls missing; NaN where it has none."""
        return self.false_alarms / self.standing_found if self.standing_found else float("nan")


@dataclass(frozen=True)
class IdentityStability:
    """Whether known assets keep their ids from one register to the next.

    Attributes:
        registers: how many there are.
        matched: known assets that were found in at least one of them.
        compared: … in at least two, so that an id could change.
        stable: of the compared, those with one and the same id in all registers that found them.
        ids: by known asset that was matched, how many ids it had.
        shared_ids: ids that stood for more than one known asset.
    """

    registers: int
    matched: int
    compared: int
    stable: int
    ids: dict[str, int]
    shared_ids: int

    @property
    def share(self) -> float:
        """Share of the compared assets that is stable; NaN where none was compared."""
        return self.stable / self.compared if self.compared else float("nan")

    @property
    def ids_per_asset(self) -> float:
        """Mean number of ids of a matched asset; NaN where none was matched."""
        return sum(self.ids.values()) / len(self.ids) if self.ids else float("nan")


@dataclass(frozen=True)
class RegisterEvaluation:
    """A register against the truth, with intervals.

    Attributes:
        warehouse, release, truth: what was scored against what.
        radii: points and overhead assets, for each radius.
        lines: by class name, in metres.
        missing: removals.
        identity: over the releases; None where there is one register only.
        blocks, block_of: how many blocks were drawn again, and of what: ``drive`` or ``km``.
        level, resamples: share of the resamples inside an interval, and how many there were.
        notes: what a reader should know.
    """

    warehouse: str
    release: int
    truth: str
    radii: tuple[RadiusScores, ...]
    lines: dict[str, ClassEstimate]
    missing: MissingScores
    identity: IdentityStability | None
    blocks: int
    block_of: str
    level: float
    resamples: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: NaN becomes None, and the ids of single assets are left out."""
        tree = asdict(self)
        score = self.missing.score
        rates = {"precision": score and score.precision, "recall": score and score.recall}
        tree["missing"] |= {**rates, "false_alarm_rate": self.missing.false_alarm_rate}
        if self.identity:
            del tree["identity"]["ids"]
            tree["identity"] |= {"share": self.identity.share, "ids_per_asset": self.identity.ids_per_asset}
        plain: dict[str, Any] = jsonable(tree)
        return plain


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
    for weights in _weights(blocks.count, resamples, seed):
        for row, parts in zip(rows, drawn, strict=True):
            parts.append(row.scores(weights))
    joined = (np.concatenate([np.zeros((5, 0)), *parts], axis=1) for parts in drawn)
    return [row.estimate(one) for row, one in zip(rows, joined, strict=True)]


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
        intervals = [_estimate(value, row[~np.isnan(row)]) for value, row in zip(values, drawn, strict=True)]
        return ClassEstimate(score.found, score.known, *intervals)


def _by_rank(errors: Floats, block: Ints, blocks: int) -> tuple[Floats, coo_matrix]:
    """Distances in bins of equally many, at most `MAX_BINS`: the last of each bin, and counts (bins, blocks)."""
    order = np.argsort(errors, kind="stable")
    n = min(MAX_BINS, len(errors))
    number = np.arange(len(errors)) * n // max(len(errors), 1)
    counts = coo_matrix((np.ones(len(errors)), (number, block[order])), shape=(n, blocks)).tocsr()
    return errors[order][np.searchsorted(number, np.arange(n), "right") - 1], counts


def _estimate(value: float, drawn: Floats) -> Estimate:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(drawn) else (np.nan, np.nan)
    return Estimate(float(value), float(low), float(high))


def _weights(count: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each block is drawn, (some resamples, blocks) at a time; nothing with fewer than 2 blocks."""
    rng = np.random.default_rng(seed)
    at_once = max(1, CELLS_AT_ONCE // max(count, 1))
    for first in range(0, resamples if count > 1 else 0, at_once):
        rows = min(at_once, resamples - first)
        yield rng.multinomial(count, np.full(count, 1 / count), size=rows).astype(float)
