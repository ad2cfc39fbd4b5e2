"""Arrow columns as files have them to text, numbers, times and boxes, and which of their cells are wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.arrays import Bools, Floats
from roadscan.observations.schema import BOX, UTC_TIME
from roadscan.survey.dates import EARLIEST, LATEST

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


def combined(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def to_mask(array: pa.Array) -> Bools:
    """Booleans without nulls, (n,)."""
    return np.asarray(array.to_numpy(zero_copy_only=False), bool)


def is_text(column: pa.Array) -> bool:
    """Whether the cells are text, of any of Arrow's layouts."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def to_text(column: pa.Array) -> pa.Array:
    """Trimmed text; null where there is none."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def to_numbers(column: pa.Array, low: float = -np.inf, high: float = np.inf) -> tuple[Floats, Bools]:
    """Numbers, NaN where there is none, and which cells are wrong: no number, infinite, or out of bounds."""
    wrong = np.zeros(len(column), bool)
    if is_text(column):
        text = to_text(column)
        try:
            column = text.cast(pa.float64())
        except pa.ArrowInvalid:  # somewhere a cell is no number: only then look at each
            plain = pc.fill_null(pc.match_substring_regex(text, NUMBER), False)
            wrong = to_mask(pc.and_(pc.is_valid(text), pc.invert(plain)))
            wrong &= ~to_mask(pc.fill_null(pc.equal(pc.utf8_lower(text), "nan"), False))
            text = pc.utf8_ltrim(text, characters="+")
            column = pc.if_else(plain, text, pa.scalar(None, pa.string())).cast(pa.float64())
    values = np.array(pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False))
    with np.errstate(invalid="ignore"):
        wrong |= np.isinf(values) | (values < low) | (values > high)
    values[wrong] = np.nan
    return values, wrong


def to_times(column: pa.Array) -> tuple[pa.Array, Bools, int]:
    """Times in UTC, null where there is none; which cells are wrong; how many had no zone and were taken as UTC."""
    given, naive = column.is_valid(), 0
    if is_text(column):
        text = to_text(column)
        given = text.is_valid()
        column, naive = _parse_times(text)
    elif column.type.tz is None:
        naive = len(column) - column.null_count
    times = column.cast(UTC_TIME, safe=False)
    micros = pc.fill_null(times.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    low, high = (int(limit.timestamp()) * 1_000_000 for limit in (EARLIEST, LATEST))
    good = to_mask(times.is_valid()) & (micros >= low) & (micros < high)
    return pc.if_else(pa.array(good), times, pa.scalar(None, UTC_TIME)), to_mask(given) & ~good, naive


def _parse_times(text: pa.Array) -> tuple[pa.Array, int]:
    for kind in (pa.timestamp("ns", tz="UTC"), pa.timestamp("ns")):
        try:
            return text.cast(kind), 0 if kind.tz else len(text) - text.null_count
        except pa.ArrowInvalid:
            continue
    # Some have a zone and some have not, or a cell is no time: each different text once.
    cells = text.dictionary_encode()
    values: list[int | None] = []
    naive: list[bool] = []
    for cell in cells.dictionary.to_pylist():
        try:
            time = datetime.fromisoformat(cell)
        except ValueError:
            values.append(None)
            naive.append(False)
            continue
        naive.append(time.tzinfo is None)
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        values.append((time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
    found = pa.array(values, pa.int64()).cast(UTC_TIME).take(cells.indices)
    return found, pc.sum(pa.array(naive).take(cells.indices)).as_py() or 0


def to_boxes(column: pa.Array) -> tuple[pa.Array, Bools]:
    """Boxes, null where there is none, and which cells are wrong. Text has four numbers, whatever is between them."""
    n = len(column)
    if is_text(column):
        plain = pc.utf8_trim_whitespace(pc.replace_substring_regex(to_text(column), r"[\[\](),;\s]+", " "))
        column = pc.split_pattern(plain, " ")
    boxes, wrong = np.full((n, 4), np.nan), np.zeros(n, bool)
    if not pa.types.is_null(column.type):
        length = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        four = to_mask(column.is_valid()) & (length == 4)
        flat, bad = to_numbers(pc.list_flatten(column.filter(pa.array(four))))
        boxes[four] = flat.reshape(-1, 4)
        wrong = to_mask(column.is_valid()) & (length != 4)
        wrong[four] = bad.reshape(-1, 4).any(axis=1)
        some = ~np.isnan(boxes).all(axis=1)
        with np.errstate(invalid="ignore"):
            wrong |= some & ~((boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3]))
    none = wrong | np.isnan(boxes).any(axis=1)
    values = pa.array(np.where(none[:, None], 0, boxes).astype(np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(values, type=BOX, mask=pa.array(none)), wrong
