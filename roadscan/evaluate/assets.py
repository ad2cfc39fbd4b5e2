"""How good a register is: found assets against known ones, one to one.

Which known assets count: those that the drives really showed, at least `MIN_BOXES` boxes in ``truth/boxes`` (see
`seen_assets`); others can be found or not without gain or loss. So recall is over the assets seen, and precision is
over the assets found, where a match with any known asset is right, seen or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from scipy.optimize import linear_sum_assignment

from roadscan.survey.geodesy import Floats, LocalFrame

MIN_BOXES = 3  # of one asset, in all drives, for it to count
OVERHEAD_RADIUS_M = 10.0  # only its place along the road is measured, and that from the foot of a stair or pier
LINE_WIDTH_M = 5.0  # a found line counts as right where a known one of its class runs within this


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


@dataclass(frozen=True)
class AssetScores:
    """A register against the truth.

    Attributes:
        per_class: by class name; point and overhead classes in assets.
        overall: all point and overhead assets.
        lines: by class name, in metres.
        position_p50_m, position_p90_m: distances of the matched assets; NaN where there are none.
        matches: asset_id found → asset_id known.
    """

    per_class: dict[str, Score]
    overall: Score
    lines: dict[str, Score]
    position_p50_m: float
    position_p90_m: float
    matches: dict[str, str]


def seen_assets(boxes: Iterable[pa.Table], min_boxes: int = MIN_BOXES) -> set[str]:
    """Ids of the known assets with at least that many boxes in the drives' truth."""
    counts: Counter[str] = Counter()
    for table in boxes:
        counts.update(table["asset_id"].to_pylist())
    return {asset_id for asset_id, number in counts.items() if number >= min_boxes}


def score_assets(
    found: pa.Table, truth: pa.Table, *, seen: set[str] | None = None, radius_m: float = 5.0
) -> AssetScores:
    """Score a register against known assets.

    Args:
        found: rows of `schemas.ASSETS`; candidates and missing assets are left out by the caller.
        truth: rows of the simulator's ``truth/assets.parquet`` that stood when the register was made.
        seen: ids of the known assets that count for recall; None for all.
        radius_m: a match is at most this far off. Overhead assets have `OVERHEAD_RADIUS_M`, lines `LINE_WIDTH_M`.
    """
    frame = LocalFrame(*_origin(truth, found))
    per_class: dict[str, Score] = {}
    lines: dict[str, Score] = {}
    matches: dict[str, str] = {}
    errors: list[float] = []
    for name in sorted({*found["class"].to_pylist(), *truth["class"].to_pylist()}):
        ours, theirs = _rows(found, name), _rows(truth, name)
        counts = [seen is None or row["asset_id"] in seen for row in theirs]
        if any(row["length_m"] is not None for row in ours) or any(row["geometry"] == "line" for row in theirs):
            lines[name] = _line_score(frame, ours, theirs, counts)
            continue
        radius = OVERHEAD_RADIUS_M if any(row["geometry"] == "overhead" for row in theirs) else radius_m
        pairs = _pairs(_places(frame, ours), _places(frame, theirs), radius)
        matches |= {ours[i]["asset_id"]: theirs[j]["asset_id"] for i, j, _ in pairs}
        errors += [distance for *_, distance in pairs]
        recalled = sum(counts[j] for _, j, _ in pairs)
        per_class[name] = Score(len(pairs), len(ours), recalled, sum(counts))
    p50, p90 = np.percentile(errors, [50, 90]) if errors else (np.nan, np.nan)
    return AssetScores(per_class, _total(per_class.values()), lines, float(p50), float(p90), matches)


def score_changes(found: Sequence[Hashable], known: Sequence[Hashable]) -> Score:
    """Score reported changes against known ones; a change reported twice is right once.

    Args:
        found: what identifies each reported change, such as (id of the known asset, what happened, night).
        known: the same for each change that did happen.
    """
    both = len(set(found) & set(known))
    return Score(both, len(found), both, len(known))


def _total(scores: Iterable[Score]) -> Score:
    table = np.array([(s.true_positives, s.found, s.recalled, s.known) for s in scores]).reshape(-1, 4)
    return Score(*(float(v) for v in table.sum(axis=0)))


def _origin(*tables: pa.Table) -> tuple[float, float]:
    for table in tables:
        if table.num_rows:
            return float(table["lon"][0].as_py()), float(table["lat"][0].as_py())
    return 0.0, 0.0


def _rows(table: pa.Table, name: str) -> list[dict[str, Any]]:
    return [row for row in table.to_pylist() if row["class"] == name]


def _places(frame: LocalFrame, rows: list[dict[str, Any]]) -> Floats:
    lonlat = np.array([(row["lon"], row["lat"]) for row in rows], float).reshape(-1, 2)
    return np.stack(frame.to_xy(*lonlat.T), axis=1)


def _pairs(ours: Floats, theirs: Floats, radius_m: float) -> list[tuple[int, int, float]]:
    """The one-to-one pairs within a radius: as many as possible, then nearest."""
    distance = np.linalg.norm(ours[:, None] - theirs[None], axis=2)
    outside = radius_m * (min(distance.shape) + 1)
    rows, columns = linear_sum_assignment(np.where(distance <= radius_m, distance, outside))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(i, j, float(distance[i, j])) for i, j in pairs if distance[i, j] <= radius_m]


def _line_score(
    frame: LocalFrame, ours: list[dict[str, Any]], theirs: list[dict[str, Any]], counts: list[bool]
) -> Score:
    found = [_line(frame, shapely.get_coordinates(shapely.from_wkb(row["geometry"]))) for row in ours]
    known = [_line(frame, np.array([row["lons"], row["lats"]], float).T) for row in theirs]
    seen = [line for line, counted in zip(known, counts, strict=True) if counted]
    # The smaller of both ways to measure, so that a line found twice is right once.
    right = min(_length_beside(found, known), _length_beside(known, found))
    return Score(right, _length(found), _length_beside(seen, found), _length(seen))


def _line(frame: LocalFrame, lonlat: Floats) -> shapely.LineString:
    return shapely.LineString(np.stack(frame.to_xy(*lonlat.T), axis=1))


def _length(lines: list[shapely.LineString]) -> float:
    return float(sum(line.length for line in lines))


def _length_beside(lines: list[shapely.LineString], others: list[shapely.LineString]) -> float:
    """Metres of `lines` that run within `LINE_WIDTH_M` of the others."""
    band = shapely.union_all([shapely.buffer(line, LINE_WIDTH_M, cap_style="flat") for line in others])
    return float(sum(line.intersection(band).length for line in lines))
