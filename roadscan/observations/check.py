"""A batch of raw rows to typed columns, and a reason for each row that cannot be used. Pure."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.arrays import Bools
from roadscan.errors import SurveyError
from roadscan.observations.parse import to_boxes, to_mask, to_numbers, to_text, to_times
from roadscan.observations.schema import (
    BOUNDS,
    CHECKED,
    COLUMNS,
    FRAME_COLUMNS,
    IDS,
    POSE_COLUMNS,
    REQUIRED,
    TEXTS,
    TYPES,
)
from roadscan.shown import shown


def check_columns(schema: pa.Schema, where: str, *, listed: bool = False, text: bool = False) -> list[str]:
    """The columns of a file that are used.

    Args:
        schema: the file's.
        where: the file, for messages.
        listed: it is a table of frames.
        text: every cell is text, as in CSV.

    Raises:
        SurveyError: a required column is missing, one is there twice, or has another type.
    """
    wanted, needed = (FRAME_COLUMNS, POSE_COLUMNS) if listed else (COLUMNS, REQUIRED)
    missing = [name for name in needed if name not in schema.names]
    if missing:
        raise SurveyError(
            f"{where}: no columns {missing}, only {shown(schema.names)}; expected {list(needed)}: add or rename them"
        )
    used = [name for name in schema.names if name in wanted]
    twice = sorted({name for name in used if used.count(name) > 1})
    if twice:
        raise SurveyError(f"{where}: columns {twice} are there more than once; expected each once")
    for name in used if not text else ():
        kind = schema.field(name).type
        if not _fits(name, kind):
            raise SurveyError(f"{where}: column {name} is of type {kind}; expected {_expected(name)}: convert it")
    return used


def _fits(name: str, kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    text = bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
    number = bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))
    empty = bool(types.is_null(kind)) and name not in REQUIRED
    if name in TEXTS:
        return text or empty or (name in IDS and bool(types.is_integer(kind)))
    if name == "captured_at":
        return text or bool(types.is_timestamp(kind))
    if name == "box_px":
        some = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        plain = some and (types.is_integer(kind.value_type) or types.is_floating(kind.value_type))
        return text or empty or bool(plain)
    return number or empty


def _expected(name: str) -> str:
    if name in TEXTS:
        return "text"
    if name == "captured_at":
        return "timestamps, or ISO 8601 text such as 2026-11-01T02:00:00.5+07:00"
    return "lists of four numbers, x1 y1 x2 y2 in pixels" if name == "box_px" else "numbers"


def explain(reason: str) -> str:
    """What a reason for rejecting a row means, in words.

    >>> explain("bad_score")
    'expected 0 to 1'
    """
    fixed = {
        "no_gps": "camera_lon or camera_lat is empty",
        "bad_gps": "not on the earth, or 0,0 as a receiver without a fix writes",
        "no_time": "captured_at is empty",
        "bad_time": "expected ISO 8601, 1990 to 2100",
        "bad_box_px": "expected x1 y1 x2 y2 with x1 < x2 and y1 < y2",
        "broken_line": "more or fewer cells than the line of names",
        "duplicate": "the frame has this very detection already",
    }
    name = reason.partition("_")[2]
    if reason in fixed:
        return fixed[reason]
    return f"{name} is empty" if reason.startswith("no_") else "expected {:g} to {:g}".format(*BOUNDS[name])


def check_rows(raw: pa.RecordBatch, *, listed: bool = False) -> tuple[pa.Table, int]:
    """Raw rows as typed columns.

    Args:
        raw: columns that `check_columns` let through; numbers, times and boxes may be text.
        listed: they are rows of the table of frames.

    Returns:
        `CHECKED` with `source` and `row` still null, and how many times had no zone. A row's `reason` is the first
        thing wrong with it, null where all is well; what is wrong is null in it.
    """
    n, names = raw.num_rows, set(raw.schema.names)
    columns: dict[str, pa.Array] = {name: pa.nulls(n, TYPES[name]) for name in COLUMNS}
    labels, code = [""], np.zeros(n, np.int64)

    def reject(label: str, rows: Bools) -> None:
        if rows.any():
            labels.append(label)
            code[rows & (code == 0)] = len(labels) - 1

    needed = POSE_COLUMNS if listed else REQUIRED
    for name in (name for name in TEXTS if name in names):
        columns[name] = to_text(raw.column(name))
        if name in needed:
            reject(f"no_{name}", to_mask(pc.is_null(columns[name])))
    columns["captured_at"], wrong, naive = to_times(raw.column("captured_at"))
    reject("bad_time", wrong)
    reject("no_time", to_mask(pc.is_null(columns["captured_at"])))
    numbers = {name: to_numbers(raw.column(name), *BOUNDS[name]) for name in BOUNDS if name in names}
    lon, lat = (numbers[name][0] for name in ("camera_lon", "camera_lat"))
    null_island = (lon == 0) & (lat == 0)
    lon[null_island] = lat[null_island] = np.nan
    reject("bad_gps", null_island | numbers["camera_lon"][1] | numbers["camera_lat"][1])
    reject("no_gps", np.isnan(lon) | np.isnan(lat))
    for name, (values, wrong) in numbers.items():
        reject(f"bad_{name}", wrong)
        if name in needed:
            reject(f"no_{name}", np.isnan(values))
        values = values % 360.0 if name.endswith(("bearing_deg", "heading_deg")) else values
        columns[name] = pa.array(values, from_pandas=True)
    if "box_px" in names:
        columns["box_px"], wrong = to_boxes(raw.column("box_px"))
        reject("bad_box_px", wrong)
    extra = [pa.array(np.full(n, listed)), pa.nulls(n, pa.int32()), pa.nulls(n, pa.int64())]
    reason = pa.array(labels).take(pa.array(code, mask=code == 0))
    return pa.Table.from_arrays([*(columns[name] for name in COLUMNS), *extra, reason], schema=CHECKED), naive
