"""Centrelines to the stretches that lie in each kilometre of each section.

Legend: L lines, P stretches. Chainage in metres.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from roadscan.arrays import Floats, Ints
from roadscan.inventory.reference.centrelines import Centreline
from roadscan.schemas import COVERAGE

KILOMETRE = pa.schema([COVERAGE.field(name) for name in COVERAGE.names[: COVERAGE.names.index("drive_id")]])
KEY = ("route_code", "section_code", "district", "km")
SLIVER_M = 20.0  # shorter ends of a line count to the kilometre beside them: no frame may lie in them
LINE_STRIDE_M = 1e8  # larger than any chainage, so that line and chainage are one ascending number


@dataclass(frozen=True)
class Spans:
    """The stretches of centrelines in kilometres, by line and then by chainage.

    Attributes:
        table: `KILOMETRE`, one row a kilometre of a section.
        place: (P,) of each stretch's beginning: index of its line times `LINE_STRIDE_M`, plus chainage.
        row: (P,) of the table.
        first_m: (L,) chainage where each line begins.
    """

    table: pa.Table
    place: Floats
    row: Ints
    first_m: Floats

    def rows_of(self, line: Ints, km_m: npt.NDArray[np.int32]) -> Ints:
        """The table's row of chainages on lines, (n,)."""
        m = np.maximum(km_m, self.first_m[line])  # a chainage in whole metres may be just before the beginning
        return self.row[np.searchsorted(self.place, line * LINE_STRIDE_M + m, side="right") - 1]


def spans_of(lines: list[Centreline]) -> Spans:
    """The stretches of centrelines in kilometres, and the kilometres they make."""
    keys, carriageways, numbers = [], [], []
    lengths, middles, places = [], [], []
    for number, line in enumerate(lines):
        edges = _edges(float(line.m[0]), float(line.m[-1]))
        s = np.interp(edges, line.m, line.s)
        middle = np.interp((edges[:-1] + edges[1:]) / 2, line.m, line.s)
        for start, end in zip(edges.tolist(), edges[1:].tolist(), strict=False):
            keys.append((line.route_code, line.section_code, line.district, int((start + end) // 2000)))
            carriageways.append(line.carriageway)
            numbers.append(number)
        lengths.append(np.diff(s))
        middles.append(np.stack([np.interp(middle, line.s, degrees) for degrees in (line.lon, line.lat)], axis=1))
        places.append(number * LINE_STRIDE_M + edges[:-1])
    length = np.concatenate(lengths)
    middle = np.concatenate(middles)
    rows, row = _kilometres(keys, carriageways, length.tolist(), middle.tolist())
    table = pa.Table.from_pylist(rows, schema=KILOMETRE)
    return Spans(table, np.concatenate(places), row, np.array([line.m[0] for line in lines]))


def _edges(start: float, end: float) -> Floats:
    """Limits of the kilometres from one chainage to another; a sliver at an end is part of its neighbour.

    >>> _edges(25556.0, 27010.0).tolist()
    [25556.0, 26000.0, 27010.0]
    """
    inner = np.arange(np.floor(start / 1000) + 1, np.ceil(end / 1000)) * 1000
    inner = inner[(inner - start >= SLIVER_M) & (end - inner >= SLIVER_M)]
    return np.concatenate([[start], inner, [end]])


def _kilometres(
    keys: list[tuple[str, str, str | None, int]],
    carriageways: list[str | None],
    lengths: list[float],
    middles: list[list[float]],
) -> tuple[list[dict[str, object]], Ints]:
    """Rows of `KILOMETRE` by key, and each stretch's row. Of carriageways side by side the longest counts."""
    stretches: defaultdict[tuple[str, str, str | None, int], list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        stretches[key].append(number)
    rows: list[dict[str, object]] = []
    row = np.zeros(len(keys), np.int64)
    for key in sorted(stretches, key=lambda key: (key[0], key[1], key[3], key[2] or "")):
        numbers = stretches[key]
        by_carriageway: defaultdict[str | None, float] = defaultdict(float)
        for number in numbers:
            by_carriageway[carriageways[number]] += lengths[number]
            row[number] = len(rows)
        lon, lat = middles[max(numbers, key=lambda number: lengths[number])]
        rows.append(
            dict(zip(KEY, key, strict=True)) | {"length_m": max(by_carriageway.values()), "lon": lon, "lat": lat}
        )
    return rows, row
