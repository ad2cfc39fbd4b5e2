"""How good a register is: found assets against known ones, one to one.

    score_radii ─┬─ points and overhead assets, by class: `match_places`, for each radius
                 └─ lines, by class: `match_lines`, metres that run beside each other, and how far off their ends are

Which known assets count for recall: those that the drives really showed (`Known.seen`); others can be found or not
without gain or loss. So recall is over the assets seen, and precision is over the assets found, where a match with any
known asset is right, seen or not.

Distances are measured in one transverse Mercator plane: right to 1.3e-6 of them within 10 km of the meridian of the
first known asset, to 0.3% 500 km from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.arrays import Bools, Floats, Ints
from roadscan.evaluate.register.matching import match_lines, match_places
from roadscan.survey.geodesy import LocalFrame

OVERHEAD_RADIUS_M = 10.0  # only its place along the road is measured, and that from the foot of a stair or pier


@dataclass(frozen=True)
class Score:
    """Counts of one class (or of all), in assets, or in metres for lines.

    Attributes:
        true_positives: found that are known.
        found, known: how many there are of either.
        recalled: known and seen assets that were found.
    """

    true_positives: float
    found: float
    recalled: float
    known: float

    @property
    def precision(self) -> float:
        """Share of the found that is right; NaN where nothing was found."""
        return self.true_positives / self.found if self.found else float("nan")

    @property
    def recall(self) -> float:
        """Share of the seen that was found; NaN where nothing was to be seen."""
        return self.recalled / self.known if self.known else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN where one of them is."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else both


@dataclass(frozen=True)
class Tally:
    """One class, asset by asset: what `Score` sums up. Amounts are 1 an asset, or metres of a line.

    Attributes:
        geometry: ``point``, ``overhead`` or ``line``.
        found_rows, known_rows: (n,) and (k,) rows of the two tables.
        found: (n,) amounts of the found assets.
        right: (n,) how much of each is known.
        known: (k,) amounts of the known assets.
        covered: (k,) how much of each was found.
        counted: (k,) whether it counts for recall.
        pairs: (m, 2) which found and which known asset are the same, as places in `found_rows` and `known_rows`.
        errors_m: (m,) distances of the pairs; of lines (m, 2), of their two ends.
    """

    geometry: str
    found_rows: Ints
    known_rows: Ints
    found: Floats
    right: Floats
    known: Floats
    covered: Floats
    counted: Bools
    pairs: Ints
    errors_m: Floats

    def score(self) -> Score:
        """Their sums; of right and covered metres the smaller, so that a line found twice is right once."""
        sums = min(self.right.sum(), self.covered.sum()), self.found.sum(), self.covered @ self.counted
        return Score(*(float(value) for value in (*sums, self.known @ self.counted)))


@dataclass(frozen=True)
class AssetScores:
    """A register against the truth.

    Attributes:
        per_class: by class name; point and overhead classes in assets.
        overall: all point and overhead assets.
        lines: by class name, in metres.
        position_p50_m, position_p90_m: distances of the matched assets; NaN where there are none.
        matches: asset_id found → asset_id known.
        line_matches: the same of lines: those that run beside each other for half of the shorter one, each once.
        tallies: by class name, asset by asset, of lines too.
    """

    per_class: dict[str, Score]
    overall: Score
    lines: dict[str, Score]
    position_p50_m: float
    position_p90_m: float
    matches: dict[str, str]
    line_matches: dict[str, str] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict, compare=False, repr=False)

    def errors_m(self, name: str) -> tuple[float, float]:
        """Median and 90th percentile of one class's distances, of lines those of their ends; NaN where none matched."""
        return percentiles(self.tallies[name].errors_m) if name in self.tallies else (np.nan, np.nan)


def score_assets(
    found: pa.Table, truth: pa.Table, *, seen: set[str] | None = None, radius_m: float = 5.0
) -> AssetScores:
    """Score a register against known assets.

    Args:
        found: rows of `schemas.ASSETS`; candidates and missing assets are left out by the caller.
        truth: rows of the simulator's ``truth/assets.parquet`` that stood when the register was made, or of
            `roadscan.evaluate.register.truth.KNOWN`.
        seen: ids of the known assets that count for recall; None for all.
        radius_m: a match is at most this far off. Overhead assets have `OVERHEAD_RADIUS_M`, lines `LINE_WIDTH_M`.
    """
    return score_radii(found, truth, (radius_m,), seen=seen)[radius_m]


def score_radii(
    found: pa.Table, truth: pa.Table, radii_m: Sequence[float], *, seen: set[str] | None = None
) -> dict[float, AssetScores]:
    """As `score_assets`, once for each radius; lines, which have no radius, are looked at once."""
    frame = LocalFrame(*_origin(truth, found))
    counted = np.ones(truth.num_rows, bool)
    if seen is not None:
        counted = pc.is_in(truth["asset_id"], pa.array(sorted(seen), pa.string())).to_numpy(zero_copy_only=False)
    rows = _rows_by_class(found, truth)
    is_line = _line_classes(found, truth)
    lines = {
        name: _line_tally(frame, found, truth, ours, theirs, counted[theirs])
        for name, (ours, theirs) in rows.items()
        if name in is_line
    }
    places, known_places = _places(frame, found), _places(frame, truth)
    wide = set(truth.filter(pc.equal(truth["geometry"], "overhead"))["class"].unique().to_pylist())
    scores = {}
    for radius_m in radii_m:
        tallies = dict(lines)
        for name, (ours, theirs) in rows.items():
            if name not in is_line:
                kind, radius = ("overhead", OVERHEAD_RADIUS_M) if name in wide else ("point", radius_m)
                pairs = match_places(places[ours], known_places[theirs], radius)
                tallies[name] = _point_tally(kind, ours, theirs, counted[theirs], *pairs)
        scores[radius_m] = _scores(found, truth, {name: tallies[name] for name in rows})
    return scores


def percentiles(values: Floats) -> tuple[float, float]:
    """Median and 90th percentile of numbers of any shape; NaN of none."""
    p50, p90 = np.percentile(values, [50, 90]) if values.size else (np.nan, np.nan)
    return float(p50), float(p90)


def _scores(found: pa.Table, truth: pa.Table, tallies: dict[str, Tally]) -> AssetScores:
    points = {name: tally for name, tally in tallies.items() if tally.geometry != "line"}
    per_class = {name: tally.score() for name, tally in points.items()}
    lines = {name: tally.score() for name, tally in tallies.items() if tally.geometry == "line"}
    p50, p90 = percentiles(np.concatenate([np.zeros(0), *(tally.errors_m for tally in points.values())]))
    matches = _matches(found, truth, list(points.values()))
    line_matches = _matches(found, truth, [tallies[name] for name in lines])
    return AssetScores(per_class, total_score(per_class.values()), lines, p50, p90, matches, line_matches, tallies)


def _matches(found: pa.Table, truth: pa.Table, tallies: list[Tally]) -> dict[str, str]:
    ours = np.concatenate([np.zeros(0, np.int64), *(tally.found_rows[tally.pairs[:, 0]] for tally in tallies)])
    theirs = np.concatenate([np.zeros(0, np.int64), *(tally.known_rows[tally.pairs[:, 1]] for tally in tallies)])
    ids = (table["asset_id"].take(rows).to_pylist() for table, rows in ((found, ours), (truth, theirs)))
    return dict(zip(*ids, strict=True))


def total_score(scores: Iterable[Score]) -> Score:
    """The counts of several scores, summed."""
    table = np.array([(s.true_positives, s.found, s.recalled, s.known) for s in scores]).reshape(-1, 4)
    return Score(*(float(v) for v in table.sum(axis=0)))


def _origin(*tables: pa.Table) -> tuple[float, float]:
    for table in tables:
        if table.num_rows:
            return float(table["lon"][0].as_py()), float(table["lat"][0].as_py())
    return 0.0, 0.0


def _rows_by_class(found: pa.Table, truth: pa.Table) -> dict[str, tuple[Ints, Ints]]:
    """By class name, in order: its rows in either table."""
    both = pa.chunked_array([*found["class"].chunks, *truth["class"].chunks], pa.string())
    coded = both.combine_chunks().dictionary_encode()
    names, codes = coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    split = np.split(order, np.searchsorted(codes[order], np.arange(1, len(names)))) if names else []
    n = found.num_rows
    return {name: (rows[rows < n], rows[rows >= n] - n) for name, rows in sorted(zip(names, split, strict=True))}


def _line_classes(found: pa.Table, truth: pa.Table) -> set[str]:
    lines = found.filter(pc.is_valid(found["length_m"]))["class"], truth.filter(pc.equal(truth["geometry"], "line"))
    return {*lines[0].unique().to_pylist(), *lines[1]["class"].unique().to_pylist()}


def _places(frame: LocalFrame, table: pa.Table) -> Floats:
    return np.stack(frame.to_xy(table["lon"].to_numpy(), table["lat"].to_numpy()), axis=1)


def _point_tally(kind: str, ours: Ints, theirs: Ints, counted: Bools, pairs: Ints, errors_m: Floats) -> Tally:
    right, covered = np.zeros(len(ours)), np.zeros(len(theirs))
    right[pairs[:, 0]] = covered[pairs[:, 1]] = 1
    ones = np.ones(len(ours)), np.ones(len(theirs))
    return Tally(kind, ours, theirs, ones[0], right, ones[1], covered, counted, pairs, errors_m)


def _line_tally(frame: LocalFrame, found: pa.Table, truth: pa.Table, ours: Ints, theirs: Ints, counted: Bools) -> Tally:
    """Lines of one class, in metres."""
    one = match_lines(frame, found.take(ours), truth.take(theirs))
    amounts = one.found_m, one.right_m, one.known_m, one.covered_m
    return Tally("line", ours, theirs, *amounts, counted, one.pairs, one.errors_m)
