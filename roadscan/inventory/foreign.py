"""Another detector's observations: tables that any program wrote become drives, as a scan would have committed them.

    read_observations   files -> checked rows, kept by drive in a temporary folder        reads through storage
      check_rows        a batch of raw rows -> typed columns, and a reason for each row that cannot be used       pure
      conform_drive     the checked rows of one drive -> its `FRAMES` and `OBSERVATIONS`                          pure
    commit_observations drives -> one release of a warehouse                              writes, and nothing else does

Files are read in batches, so a table may be larger than memory; one drive is held in memory at once, about 1 KiB a row
at the worst moment. The temporary folder (``TMPDIR``) takes about as much as the files do as Parquet. A file
of an object store is fetched whole, since only so is it verified: give 10 million rows as several files there.

What stops everything, before anything is written: a missing column, a column of another type, two poses of one frame,
one observation id twice in a drive, no usable row. What does not: a row with a wrong value. It is counted by its reason
and kept in ``logs/rejected-<digest>.parquet``, and a frame that has only such rows is quarantined.

Past 400 lines: what is checked, conformed and committed is one list of columns, which stands here once.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from roadscan import __version__
from roadscan.errors import StorageError, SurveyError, WarehouseError
from roadscan.schemas import FRAMES, OBSERVATIONS, RUNS
from roadscan.storage import DiskStore, Store, open_file, open_store, sha256_hex
from roadscan.survey.drive import check_name
from roadscan.survey.geodesy import Floats
from roadscan.survey.importers.times import EARLIEST, LATEST
from roadscan.taxonomy import HIGHWAY, Geometry, Taxonomy
from roadscan.warehouse import DataFile, Release, Warehouse

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

POSE_COLUMNS = ("drive_id", "frame_id", "captured_at", "camera_lon", "camera_lat")  # that every table needs
REQUIRED = (*POSE_COLUMNS, "class", "score", "bearing_deg")
IDS = ("drive_id", "frame_id", "observation_id")  # text; whole numbers are taken as text
TEXTS = (*IDS, "class", "image_uri", "model_sha256")
#: Bounds of the numbers, both ends included. A range beyond 1 km is in another unit.
BOUNDS = {
    "camera_lon": (-180.0, 180.0),
    "camera_lat": (-90.0, 90.0),
    "score": (0.0, 1.0),
    "bearing_deg": (-360.0, 360.0),
    "heading_deg": (-360.0, 360.0),
    "fov_deg": (1.0, 360.0),
    "range_m": (0.1, 1000.0),
    "range_sigma_m": (0.01, 1000.0),
    "near_bearing_deg": (-360.0, 360.0),
    "near_range_m": (0.1, 1000.0),
    "far_bearing_deg": (-360.0, 360.0),
    "far_range_m": (0.1, 1000.0),
}
LINE_ENDS = ("near_bearing_deg", "near_range_m", "far_bearing_deg", "far_range_m")
POSE = ("captured_at", "camera_lon", "camera_lat", "heading_deg", "fov_deg", "image_uri")
FRAME_COLUMNS = ("drive_id", "frame_id", *POSE)
COLUMNS = tuple(dict.fromkeys([*REQUIRED, *BOUNDS, "box_px", "image_uri", "observation_id", "model_sha256"]))
#: By how much two rows of one frame may differ: rounding, no other pose. 1e-6 deg is 0.1 m.
TOLERANCE = {"captured_at": 1000, "camera_lon": 1e-6, "camera_lat": 1e-6, "heading_deg": 0.01, "fov_deg": 0.01}
RANGE_REL_SIGMA = 0.3  # of a range without a sigma: as of an apparent size (`AssetClass.height_rel_sigma`)
SUFFIXES = (".parquet", ".csv", ".csv.gz")
BATCH_ROWS = 1 << 18
BLOCK_BYTES = 32 << 20  # of CSV text: about as many rows
READ_AHEAD_BYTES = 8 << 20  # of each column of a Parquet file; without it one huge row group would be read whole
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
FOREIGN_VERSION = 1  # counts up when code changes what a table gives
UNKNOWN = "unknown"  # camera or model, where no column tells

_UTC, _BOX = pa.timestamp("us", tz="UTC"), pa.list_(pa.float32(), 4)
_TYPES = {
    **dict.fromkeys(TEXTS, pa.string()),
    **dict.fromkeys(BOUNDS, pa.float64()),
    "captured_at": _UTC,
    "box_px": _BOX,
}
#: Checked rows. `listed`: a row of the table of frames. `source`, `row`: where it is from, rows counted from 1.
CHECKED = pa.schema(
    [(name, _TYPES[name]) for name in COLUMNS]
    + [("listed", pa.bool_()), ("source", pa.int32()), ("row", pa.int64()), ("reason", pa.string())]
)
#: Rows that were not used, as text; `line` is a CSV line with more or fewer cells than the first.
REJECTED = pa.schema(
    [("source", pa.string()), ("row", pa.int64()), ("reason", pa.string()), ("line", pa.string())]
    + [(name, pa.string()) for name in COLUMNS]
)


@dataclass(frozen=True)
class ForeignDrive:
    """One drive, conformed.

    Attributes:
        drive_id: its id.
        frames, observations: `schemas.FRAMES` and `schemas.OBSERVATIONS`, in order of time.
        duplicates: rows of `CHECKED` that say what another row says.
        sha256: of the content, whatever the order of the rows, the file's format, and the version of roadscan.
        run_key: goes into every row.
    """

    drive_id: str
    frames: pa.Table
    observations: pa.Table
    duplicates: pa.Table
    sha256: str
    run_key: str


@dataclass
class ForeignSummary:
    """What was read.

    Attributes:
        drives: how many.
        frames, frames_quarantined: how many, and of how many no row can be used.
        rows, used: of observations.
        rejected: by reason, rows of both tables.
        classes: observations used, by class.
        notes: what a user should know.
    """

    drives: int = 0
    frames: int = 0
    frames_quarantined: int = 0
    rows: int = 0
    used: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


# ---------------------------------------------------------------------------------------------- rows


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
            f"{where}: no columns {missing}, only {schema.names}; expected {list(needed)}: add or rename them"
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
    columns: dict[str, pa.Array] = {name: pa.nulls(n, _TYPES[name]) for name in COLUMNS}
    labels, code = [""], np.zeros(n, np.int64)

    def reject(label: str, rows: Bools) -> None:
        if rows.any():
            labels.append(label)
            code[rows & (code == 0)] = len(labels) - 1

    needed = POSE_COLUMNS if listed else REQUIRED
    for name in (name for name in TEXTS if name in names):
        columns[name] = _text(raw.column(name))
        if name in needed:
            reject(f"no_{name}", _mask(pc.is_null(columns[name])))
    columns["captured_at"], wrong, naive = _times(raw.column("captured_at"))
    reject("bad_time", wrong)
    reject("no_time", _mask(pc.is_null(columns["captured_at"])))
    numbers = {name: _number(raw.column(name), *BOUNDS[name]) for name in BOUNDS if name in names}
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
        columns["box_px"], wrong = _boxes(raw.column("box_px"))
        reject("bad_box_px", wrong)
    extra = [pa.array(np.full(n, listed)), pa.nulls(n, pa.int32()), pa.nulls(n, pa.int64())]
    reason = pa.array(labels).take(pa.array(code, mask=code == 0))
    return pa.Table.from_arrays([*(columns[name] for name in COLUMNS), *extra, reason], schema=CHECKED), naive


def _mask(array: pa.Array) -> Bools:
    return np.asarray(array.to_numpy(zero_copy_only=False), bool)


def _is_text(column: pa.Array) -> bool:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _text(column: pa.Array) -> pa.Array:
    """Trimmed text; null where there is none."""
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _number(column: pa.Array, low: float = -np.inf, high: float = np.inf) -> tuple[Floats, Bools]:
    """Numbers, NaN where there is none, and which cells are wrong: no number, infinite, or out of bounds."""
    wrong = np.zeros(len(column), bool)
    if _is_text(column):
        text = _text(column)
        try:
            column = text.cast(pa.float64())
        except pa.ArrowInvalid:  # somewhere a cell is no number: only then look at each
            plain = pc.fill_null(pc.match_substring_regex(text, NUMBER), False)
            wrong = _mask(pc.and_(pc.is_valid(text), pc.invert(plain)))
            wrong &= ~_mask(pc.fill_null(pc.equal(pc.utf8_lower(text), "nan"), False))
            text = pc.utf8_ltrim(text, characters="+")
            column = pc.if_else(plain, text, pa.scalar(None, pa.string())).cast(pa.float64())
    values = np.array(pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False))
    with np.errstate(invalid="ignore"):
        wrong |= np.isinf(values) | (values < low) | (values > high)
    values[wrong] = np.nan
    return values, wrong


def _times(column: pa.Array) -> tuple[pa.Array, Bools, int]:
    """Times in UTC, null where there is none; which cells are wrong; how many had no zone and were taken as UTC."""
    given, naive = column.is_valid(), 0
    if _is_text(column):
        text = _text(column)
        given = text.is_valid()
        column, naive = _parse_times(text)
    elif column.type.tz is None:
        naive = len(column) - column.null_count
    times = column.cast(_UTC, safe=False)
    micros = pc.fill_null(times.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    low, high = (int(limit.timestamp()) * 1_000_000 for limit in (EARLIEST, LATEST))
    good = _mask(times.is_valid()) & (micros >= low) & (micros < high)
    return pc.if_else(pa.array(good), times, pa.scalar(None, _UTC)), _mask(given) & ~good, naive


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
    found = pa.array(values, pa.int64()).cast(_UTC).take(cells.indices)
    return found, pc.sum(pa.array(naive).take(cells.indices)).as_py() or 0


def _boxes(column: pa.Array) -> tuple[pa.Array, Bools]:
    """Boxes, null where there is none, and which cells are wrong. Text has four numbers, whatever is between them."""
    n = len(column)
    if _is_text(column):
        plain = pc.utf8_trim_whitespace(pc.replace_substring_regex(_text(column), r"[\[\](),;\s]+", " "))
        column = pc.split_pattern(plain, " ")
    boxes, wrong = np.full((n, 4), np.nan), np.zeros(n, bool)
    if not pa.types.is_null(column.type):
        length = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        four = _mask(column.is_valid()) & (length == 4)
        flat, bad = _number(pc.list_flatten(column.filter(pa.array(four))))
        boxes[four] = flat.reshape(-1, 4)
        wrong = _mask(column.is_valid()) & (length != 4)
        wrong[four] = bad.reshape(-1, 4).any(axis=1)
        some = ~np.isnan(boxes).all(axis=1)
        with np.errstate(invalid="ignore"):
            wrong |= some & ~((boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3]))
    none = wrong | np.isnan(boxes).any(axis=1)
    values = pa.array(np.where(none[:, None], 0, boxes).astype(np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(values, type=_BOX, mask=pa.array(none)), wrong


# ---------------------------------------------------------------------------------------------- drives


def conform_drive(drive_id: str, rows: pa.Table, sources: Sequence[str]) -> ForeignDrive:
    """The tables of a drive from its checked rows.

    A frame is ok where a row of it can be used, and quarantined where it has observations and none can: what such a
    frame does not show says nothing. Its pose is that of all its rows; null in some of them is no other pose.

    Args:
        drive_id: the drive.
        rows: `CHECKED`, all of this drive and with frame ids.
        sources: the files that `rows["source"]` counts, for messages.

    Raises:
        SurveyError: two rows of one frame have different poses, or two observations one id.
    """
    # Rows of the table of frames come first, then observations, then what cannot be used.
    rank = np.where(_mask(_array(pc.is_valid(rows["reason"]))), 2, np.where(_mask(_array(rows["listed"])), 0, 1))
    n_listed, n_good = int((rank == 0).sum()), int((rank < 2).sum())
    rows = rows.take(pa.array(np.argsort(rank, kind="stable"))).combine_chunks()
    coded = _array(rows["frame_id"]).dictionary_encode()
    frame, n = coded.indices.to_numpy().astype(np.int64), len(coded.dictionary)
    known = np.zeros(n, bool)
    known[frame[:n_good]] = True
    counted = np.flatnonzero((np.arange(len(frame)) < n_good) | ~known[frame])
    pose = {name: _pose(name, rows, frame, counted, n_good, sources) for name in POSE}
    seen = np.bincount(frame[n_listed:n_good], minlength=n) > 0
    first_wrong = np.full(n, -1)
    first_wrong[frame[n_good:][::-1]] = np.arange(len(frame))[n_good:][::-1]
    first_wrong[seen] = -1
    reason = rows["reason"].take(pa.array(first_wrong, mask=first_wrong < 0))
    table = pa.table({"frame_id": coded.dictionary, **pose, "reason": reason})
    order = pc.sort_indices(table, sort_keys=[("captured_at", "ascending"), ("frame_id", "ascending")])
    table, place = table.take(order), np.empty(n, np.int64)
    place[order.to_numpy()] = np.arange(n)
    observations = rows.slice(n_listed, n_good - n_listed)
    return _tables(drive_id, table, observations, place[frame[n_listed:n_good]], sources)


def _array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _pose(name: str, rows: pa.Table, frame: Ints, counted: Ints, n_good: int, sources: Sequence[str]) -> pa.Array:
    """One column of the pose, a value a frame: the first of its rows' that is one, with which the others agree."""
    column = _array(rows[name])
    index = counted[_mask(column.is_valid())[counted]]
    first = np.full(int(frame.max()) + 1 if len(frame) else 0, -1)
    first[frame[index][::-1]] = index[::-1]
    index = index[index < n_good]
    numbers = column.dictionary_encode().indices if name == "image_uri" else column
    numbers = numbers.cast(pa.int64()) if name == "captured_at" else numbers
    values = pc.fill_null(numbers, 0).to_numpy(zero_copy_only=False)
    apart = np.abs(values[index] - values[first[frame[index]]])
    differ = (np.minimum(apart, 360 - apart) if name == "heading_deg" else apart) > TOLERANCE.get(name, 0)
    for b in index[differ][:1].tolist():
        a = int(first[frame[b]])
        got = [f"{column[i].as_py()!s} ({_where(rows, i, sources)})" for i in (a, b)]
        raise SurveyError(
            f"frame {rows['frame_id'][b].as_py()!r} of drive {rows['drive_id'][b].as_py()!r}: {name} is {got[0]} and "
            f"{got[1]}; expected one pose for all rows of a frame: give every image its own frame_id"
        )
    return column.take(pa.array(first, mask=first < 0))


def _where(rows: pa.Table, index: int, sources: Sequence[str]) -> str:
    return f"row {rows['row'][index].as_py()} of {sources[rows['source'][index].as_py()]}"


def _tables(
    drive_id: str, frames: pa.Table, observations: pa.Table, frame: Ints, sources: Sequence[str]
) -> ForeignDrive:
    """`frame` is each observation's row of `frames`."""
    keys = ("frame", "class", "bearing_deg", "score", "range_m", "observation_id")
    own_columns = [name for name in CHECKED.names if name not in (*FRAME_COLUMNS, "listed", "reason")]
    slim = observations.select(own_columns).append_column("frame", pa.array(frame))
    order = pc.sort_indices(slim, sort_keys=[(name, "ascending") for name in keys])
    slim = slim.take(order).combine_chunks()
    again = _repeats(slim, keys)
    duplicates = observations.take(order.filter(pa.array(again)))
    observations = slim.filter(pa.array(~again)).combine_chunks() if again.any() else slim
    frame = observations["frame"].to_numpy()
    number = np.arange(len(frame)) - np.searchsorted(frame, frame)
    at = frames.take(pa.array(frame))
    text = pc.utf8_lpad(pa.array(number).cast(pa.string()), width=3, padding="0")
    own = pc.binary_join_element_wise(pa.scalar(drive_id), _array(at["frame_id"]), text, "/")
    ids = pc.coalesce(_array(observations["observation_id"]), own)
    _check_unique(ids, observations, sources)
    ranges = _array(observations["range_m"])
    sigma = pc.coalesce(_array(observations["range_sigma_m"]), pc.multiply(ranges, RANGE_REL_SIGMA))
    columns = {
        "observation_id": ids,
        "drive_id": pa.array([drive_id]).take(pa.array(np.zeros(len(frame), np.int64))),
        **{name: at[name] for name in ("frame_id", *POSE) if name in OBSERVATIONS.names},
        **{name: observations[name] for name in ("class", "score", "box_px", "bearing_deg", "range_m", *LINE_ENDS)},
        "range_sigma_m": pc.if_else(pc.is_valid(ranges), sigma, pa.scalar(None, pa.float64())),
        "model_sha256": pc.fill_null(observations["model_sha256"], UNKNOWN),
    }
    ok = pc.is_null(frames["reason"])
    frame_columns = {
        "drive_id": pa.array([drive_id] * len(frames), pa.string()),
        **{name: frames[name] for name in ("frame_id", *POSE, "reason")},
        "camera_id": pa.array([UNKNOWN] * len(frames), pa.string()),
        "status": pc.if_else(ok, "ok", "quarantined"),
        "n_detections": pa.array(np.bincount(frame, minlength=len(frames)).astype(np.int32)),
    }
    made = _conform(FRAMES, frame_columns, len(frames)), _conform(OBSERVATIONS, columns, len(frame))
    sha256 = _digest(*made)
    key = sha256_hex(f"{sha256}\n{FOREIGN_VERSION}".encode())[:24]
    made_frames, made_observations = (_stamp(table, run_key=key, code_version=__version__) for table in made)
    return ForeignDrive(drive_id, made_frames, made_observations, duplicates, sha256, key)


def _repeats(observations: pa.Table, keys: Sequence[str]) -> Bools:
    """Which sorted rows say what the row before says, where neither has an id of its own."""
    same = np.ones(max(len(observations) - 1, 0), bool)
    for name in keys:
        column = _array(observations[name])
        before, after = column.slice(0, len(same)), column.slice(1, len(same))
        both_null = pc.and_(before.is_null(), after.is_null())
        equal = pc.fill_null(pc.equal(before, after), False)
        same &= _mask(both_null if name == "observation_id" else pc.or_(both_null, equal))
    return np.concatenate([np.zeros(min(len(observations), 1), bool), same])


def _check_unique(ids: pa.Array, observations: pa.Table, sources: Sequence[str]) -> None:
    coded = ids.dictionary_encode().indices.to_numpy()
    if len(coded) == 0 or int(coded.max()) + 1 == len(coded):
        return
    code = int(np.argmax(np.bincount(coded) > 1))
    a, b = np.flatnonzero(coded == code)[:2].tolist()
    raise SurveyError(
        f"observation_id {ids[a].as_py()!r} is there twice: {_where(observations, a, sources)}, and "
        f"{_where(observations, b, sources)}; expected each once in a drive: leave the column out to have ids made"
    )


def _conform(schema: pa.Schema, columns: dict[str, pa.Array], n: int) -> pa.Table:
    """The table with exactly the schema's columns; what no column tells is null."""
    arrays = [
        _array(columns[entry.name]).cast(entry.type) if entry.name in columns else pa.nulls(n, entry.type)
        for entry in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _stamp(table: pa.Table, **same: str) -> pa.Table:
    """The table with one text in all rows of some of its columns."""
    for name, text in same.items():
        if name in table.column_names:
            values = pa.array([text]).take(pa.array(np.zeros(len(table), np.int64)))
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)
    return table


def _digest(*tables: pa.Table) -> str:
    """SHA-256 of columns as numbers and text: Parquet's own bytes would change with its writer's version."""
    digest = hashlib.sha256()
    for table in tables:
        for name, column in zip(table.column_names, table.columns, strict=True):
            array = _array(column)
            digest.update(f"{name}\n{len(array)}\n".encode())
            digest.update(np.packbits(_mask(array.is_valid())).tobytes())
            array = array.drop_null()
            if pa.types.is_string(array.type):
                digest.update(pc.binary_length(array).to_numpy().tobytes())
                whole = pa.concat_arrays([array])
                start, stop = (np.frombuffer(whole.buffers()[1], np.int32)[whole.offset + i] for i in (0, len(whole)))
                digest.update(memoryview(whole.buffers()[2])[start:stop] if stop > start else b"")
            elif pa.types.is_timestamp(array.type):
                digest.update(array.cast(pa.int64()).to_numpy().tobytes())
            else:
                flat = pc.list_flatten(array) if pa.types.is_fixed_size_list(array.type) else array
                digest.update(flat.to_numpy(zero_copy_only=False).tobytes())
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------------- reading


class _Kept:
    """Checked rows by drive, in a temporary folder: one file a drive, appended to, whatever the order of the rows."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, dict[str, int]()

    @property
    def drive_ids(self) -> list[str]:
        return sorted(self._numbers)

    def add(self, rows: pa.Table) -> None:
        """Append rows; those that tell no drive or no frame can be of no use and are left out."""
        rows = rows.filter(pc.and_(pc.is_valid(rows["drive_id"]), pc.is_valid(rows["frame_id"])))
        coded = _array(rows["drive_id"]).dictionary_encode()
        code = coded.indices.to_numpy()
        order = np.argsort(code, kind="stable")
        rows, ends = rows.take(pa.array(order)), np.cumsum(np.bincount(code, minlength=len(coded.dictionary)))
        start = 0
        for drive_id, end in zip(coded.dictionary.to_pylist(), ends.tolist(), strict=True):
            path = self._path(self._numbers.setdefault(drive_id, len(self._numbers)))
            options = pa.ipc.IpcWriteOptions(compression="zstd")
            with path.open("ab") as file, pa.ipc.new_stream(file, CHECKED, options=options) as writer:
                writer.write_table(rows.slice(start, end - start))
            start = end

    def rows(self, drive_id: str) -> pa.Table:
        parts = []
        with pa.OSFile(str(self._path(self._numbers[drive_id]))) as file:
            while file.tell() < file.size():
                parts.append(pa.ipc.open_stream(file).read_all())
        return pa.concat_tables(parts)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.arrow"


class _Rejected:
    """The rows that were not used, in a temporary Parquet file."""

    def __init__(self, path: Path, sources: list[str]) -> None:
        self._path, self._sources, self.counts = path, sources, Counter[str]()
        self._writer = pq.ParquetWriter(path, REJECTED, compression="zstd")

    def add(self, rows: pa.Table, raw: pa.RecordBatch | pa.Table | None = None) -> None:
        """Those of some `CHECKED` rows that have a reason, as their files wrote them where `raw` is given."""
        wrong = pc.is_valid(rows["reason"])
        rows = rows.filter(wrong)
        if not len(rows):
            return
        raw = rows if raw is None else pa.Table.from_batches([raw]).filter(wrong)
        names = [name for name in COLUMNS if name in raw.column_names]
        columns = {name: _as_text(_array(raw[name])) for name in names}
        self._write({**columns, **{name: rows[name] for name in ("row", "reason")}}, _array(rows["source"]))

    def add_lines(self, lines: Sequence[tuple[int, str]], source: int) -> None:
        """Lines of a CSV file that are no rows."""
        if lines:
            columns = {"row": [row for row, _ in lines], "line": [text for _, text in lines]}
            arrays = {name: pa.array(values, REJECTED.field(name).type) for name, values in columns.items()}
            reasons = pa.array(["broken_line"] * len(lines))
            self._write({**arrays, "reason": reasons}, pa.array([source] * len(lines), pa.int32()))

    def close(self) -> bytes | None:
        """The file's bytes; None where nothing was rejected."""
        self._writer.close()
        return self._path.read_bytes() if self.counts else None

    def _write(self, columns: dict[str, pa.Array], source: pa.Array) -> None:
        for entry in pc.value_counts(_array(columns["reason"])).to_pylist():
            self.counts[entry["values"]] += entry["counts"]
        columns["source"] = pa.array(self._sources, pa.string()).take(source)
        arrays = [_array(columns[f.name]) if f.name in columns else pa.nulls(len(source), f.type) for f in REJECTED]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=REJECTED))


def _as_text(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pc.binary_join(array.cast(pa.list_(kind.value_type)).cast(pa.list_(pa.string())), " ")
    return array.cast(pa.string())


@dataclass(frozen=True)
class Foreign:
    """Tables that were read and found good.

    Attributes:
        uri: where the observations are from.
        summary: what was read.
        keys: the run key of each drive, by drive id.
        rejected: a Parquet file of `REJECTED`; None where nothing was.
        sources: the files read.
    """

    uri: str
    summary: ForeignSummary
    keys: dict[str, str]
    rejected: bytes | None
    sources: tuple[str, ...]
    _kept: _Kept

    def drive(self, drive_id: str) -> ForeignDrive:
        """One of the drives."""
        return conform_drive(drive_id, self._kept.rows(drive_id), self.sources)


@contextmanager
def read_observations(
    observations: str, frames: str | None = None, taxonomy: Taxonomy = HIGHWAY, batch_rows: int = BATCH_ROWS
) -> Iterator[Foreign]:
    """Read and check tables of observations and of frames. Only here storage is read.

    Args:
        observations: a file (.parquet, .csv, .csv.gz) or a folder of such files; on a disk or ``s3://``.
        frames: likewise, with a row a frame: then frames without detections are known.
        taxonomy: what is known of the classes, for notes; others are kept as they are.
        batch_rows: how many rows of Parquet are looked at together.

    Yields:
        What was read, for the length of the ``with`` block.

    Raises:
        SurveyError: as the module says.
        StorageError: a file cannot be read, or the temporary folder is full.
    """
    with tempfile.TemporaryDirectory(prefix="roadscan-") as folder:
        try:
            found = _read(observations, frames, taxonomy, batch_rows, Path(folder))
        except OSError as error:
            raise StorageError(f"{folder}: {error.strerror or error}; set TMPDIR to a disk with more room") from None
        yield found


def _read(observations: str, frames: str | None, taxonomy: Taxonomy, batch_rows: int, folder: Path) -> Foreign:
    sources, summary, notes = list[str](), ForeignSummary(), Counter[str]()
    kept, rejected = _Kept(folder), _Rejected(folder / "rejected.parquet", sources)
    for uri, listed in ((frames, True), (observations, False)):
        for store, key in _files(uri, "--frames" if listed else "--observations") if uri else ():
            sources.append(store.uri_of(key))
            with _local(store, key, folder) as path:
                file = _File(path, sources[-1], listed, batch_rows)
                rows = _keep(file, len(sources) - 1, kept, rejected, notes)
            summary.rows += 0 if listed else rows
            if file.unused:
                summary.notes += (f"{sources[-1]}: columns that are not used: {', '.join(file.unused)}",)
    if not summary.rows:
        raise SurveyError(f"{observations}: no rows; expected one a detection")
    keys = _conform_all(kept, rejected, sources, summary, notes, taxonomy)
    data = rejected.close()
    summary.rejected = dict(rejected.counts.most_common())
    if not summary.used:
        why = "\n".join(f"  {n} {reason}: {explain(reason)}" for reason, n in summary.rejected.items())
        raise SurveyError(f"{observations}: none of {summary.rows} rows can be used; correct the table\n{why}")
    summary.notes += (*_notes(notes), *_of_classes(summary.classes, taxonomy))
    return Foreign(observations, summary, keys, data, tuple(sources), kept)


def _files(uri: str, what: str) -> list[tuple[Store, str]]:
    """The files that a path or an address means."""
    if uri.lower().endswith(SUFFIXES):
        store, key = open_file(uri)
        if store.exists(key):
            return [(store, key)]
    folder = open_store(uri)
    found = [(folder, key) for key in folder.keys() if key.lower().endswith(SUFFIXES)]  # noqa: SIM118 - a store
    if not found:
        raise SurveyError(
            f"{what}: got {uri}, which does not exist or has no {', '.join(SUFFIXES)}; expected such a file, or a "
            "folder of them"
        )
    return found


@contextmanager
def _local(store: Store, key: str, folder: Path) -> Iterator[Path]:
    """A file on this machine; of an object store a verified copy, for the length of the block."""
    if isinstance(store, DiskStore):
        yield store.path(key)
        return
    copy = folder / f"copy-{key.rpartition('/')[2]}"
    copy.write_bytes(store.read(key))
    yield copy
    copy.unlink()


class _File:
    """One file, read in batches of the columns that are used; its columns are checked at once.

    Attributes:
        broken: lines of CSV that are no rows: their number and text. Filled while batches come.
        unused: columns that nothing uses.
    """

    def __init__(self, path: Path, name: str, listed: bool, batch_rows: int) -> None:
        self._path, self._name, self.listed, self._batch_rows = path, name, listed, batch_rows
        self._is_csv = not path.name.lower().endswith(".parquet")
        self.broken: list[tuple[int, str]] = []
        with self._errors():
            schema = self._csv(None).schema if self._is_csv else pq.read_schema(path)
        self._used = check_columns(schema, name, listed=listed, text=self._is_csv)
        self.unused = [column for column in schema.names if column not in self._used]

    def batches(self) -> Iterator[pa.RecordBatch]:
        with self._errors():
            if self._is_csv:
                self.broken.clear()  # of what was read ahead for the names
                yield from self._csv(self._used)
            else:
                with pq.ParquetFile(self._path, buffer_size=READ_AHEAD_BYTES) as file:
                    yield from file.iter_batches(self._batch_rows, columns=self._used)

    def _csv(self, columns: list[str] | None) -> pacsv.CSVStreamingReader:
        def keep(row: pacsv.InvalidRow) -> str:
            self.broken.append((row.number - 1, row.text))  # Arrow counts the line of names as the first
            return "skip"

        return pacsv.open_csv(
            pa.input_stream(str(self._path), compression="detect"),
            read_options=pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),  # so it tells a line's number
            # Quotes may hold commas, never line breaks: one stray quote would swallow the rest of the file.
            parse_options=pacsv.ParseOptions(invalid_row_handler=keep, newlines_in_values=False),
            # Text in every column: Arrow would refuse the whole file for one wrong cell.
            convert_options=pacsv.ConvertOptions(
                include_columns=columns,
                column_types=dict.fromkeys(columns or (), pa.string()),
                strings_can_be_null=True,
                null_values=["", "NA", "null", "None"],
            ),
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
            raise SurveyError(
                f"{self._name}: cannot be read as a table ({error}); expected Parquet, or CSV in UTF-8 with commas "
                "and a line of names"
            ) from None


def _keep(read: _File, source: int, kept: _Kept, rejected: _Rejected, notes: Counter[str]) -> int:
    """Check a file's rows and keep them; how many rows it has."""
    good = told = 0
    for batch in read.batches():
        rows, naive = check_rows(batch, listed=read.listed)
        notes["naive"] += naive
        # Broken lines are counted as rows, and those before this batch's rows are known by now.
        ahead = np.array([line for line, _ in read.broken], np.int64)
        index = good + np.arange(len(rows))
        number = index + 1 + np.searchsorted(ahead - np.arange(len(ahead)) - 1, index, side="right")
        for name, values in (("source", np.full(len(rows), source, np.int32)), ("row", number)):
            rows = rows.set_column(CHECKED.get_field_index(name), CHECKED.field(name), pa.array(values))
        bare = pc.and_(pc.is_null(rows["range_sigma_m"]), pc.is_valid(rows["range_m"]))
        notes["bare"] += pc.sum(bare).as_py() or 0
        kept.add(rows)
        rejected.add(rows, batch)
        told, lines = len(read.broken), read.broken[told:]
        rejected.add_lines(lines, source)
        good += len(rows)
    rejected.add_lines(read.broken[told:], source)
    return good + len(read.broken)


def _conform_all(
    kept: _Kept,
    rejected: _Rejected,
    sources: list[str],
    summary: ForeignSummary,
    notes: Counter[str],
    taxonomy: Taxonomy,
) -> dict[str, str]:
    """Check every drive as a whole and sum up; the run keys."""
    keys, classes = {}, Counter[str]()
    for drive_id in kept.drive_ids:
        check_name("drive_id", drive_id)
        drive = conform_drive(drive_id, kept.rows(drive_id), sources)
        again = drive.duplicates
        reason = pa.array(["duplicate"] * len(again), pa.string())
        rejected.add(again.set_column(CHECKED.get_field_index("reason"), "reason", reason))
        keys[drive_id] = drive.run_key
        summary.frames += drive.frames.num_rows
        summary.frames_quarantined += pc.sum(pc.equal(drive.frames["status"], "quarantined")).as_py() or 0
        summary.used += drive.observations.num_rows
        for entry in pc.value_counts(_array(drive.observations["class"])).to_pylist():
            classes[entry["values"]] += entry["counts"]
        blind = pc.and_(pc.is_null(drive.frames["fov_deg"]), pc.equal(drive.frames["status"], "ok"))
        notes["blind"] += pc.sum(blind).as_py() or 0
        for name in (c.name for c in taxonomy.classes if c.geometry is Geometry.LINE):
            of_line = drive.observations.filter(pc.equal(drive.observations["class"], name))
            notes[f"endless {name}"] += pc.sum(pc.is_null(of_line["far_range_m"])).as_py() or 0
    summary.drives, summary.classes = len(keys), dict(classes.most_common())
    return keys


def _notes(notes: Counter[str]) -> Iterator[str]:
    if notes["naive"]:
        yield f"{notes['naive']} times have no zone and were taken as UTC"
    if notes["bare"]:
        yield f"{notes['bare']} ranges have no range_sigma_m and were given {RANGE_REL_SIGMA:.0%} of the range"
    if notes["blind"]:
        yield f"fov_deg is not known of {notes['blind']} frames: they never show that an asset is missing"
    for note, n in notes.items():
        if n and note.startswith("endless "):
            yield f"{n} rows of {note.removeprefix('endless ')} lack near_… or far_… columns: lines are placed by them"


def _of_classes(classes: dict[str, int], taxonomy: Taxonomy) -> list[str]:
    others = [name for name in classes if name not in taxonomy.names]
    return [f"classes that are not known are kept, as points: {', '.join(others)}"] if others else []


# ---------------------------------------------------------------------------------------------- committing


def new_drives(warehouse: Warehouse, release: Release, foreign: Foreign, *, replace: bool = False) -> list[str]:
    """The drives that a release does not have with this very content.

    Args:
        warehouse: whose release.
        release: which state.
        foreign: what was read.
        replace: drives with other content may be replaced.

    Raises:
        WarehouseError: the release has a drive with other content, and `replace` is not set.
    """
    rows = warehouse.read(release, "runs", columns=["drive_id", "run_key", "drive_uri"]).to_pylist()
    standing = {row["drive_id"]: row for row in rows}
    taken = {f.drive_id for f in release.files}
    new = [drive_id for drive_id, key in foreign.keys.items() if standing.get(drive_id, {}).get("run_key") != key]
    others = [drive_id for drive_id in new if drive_id in taken]
    if others and not replace:
        first = standing.get(others[0], {}).get("drive_uri", "an unknown source")
        raise WarehouseError(
            f"drive_id: the warehouse has {len(others)} of these drives with other content, e.g. {others[0]!r} from "
            f"{first}; expected new ones or the same: give --replace to replace them, or other ids"
        )
    return new


def commit_observations(warehouse: Warehouse, foreign: Foreign, *, replace: bool = False) -> Release:
    """Commit the drives that were read, as one release. What the warehouse has already stays as it is.

    Args:
        warehouse: where to.
        foreign: what was read.
        replace: drives that it has with other content are replaced; else they are an error.

    Returns:
        The release that is current now; no new one where it had everything.

    Raises:
        WarehouseError: as `new_drives`.
        StorageError: the warehouse cannot be written.
    """
    files: dict[str, list[DataFile]] = {}
    for drive_id in new_drives(warehouse, warehouse.current(), foreign, replace=replace):
        files[drive_id] = _write(warehouse, foreign.drive(drive_id), foreign.uri)
    if files and foreign.rejected is not None:
        warehouse.store.write(rejected_key(foreign.rejected), foreign.rejected)

    def change(release: Release) -> Release:
        wanted = new_drives(warehouse, release, foreign, replace=replace)  # looked at again: others publish, too
        new = [drive_id for drive_id in wanted if drive_id in files]
        if not new:
            return release
        parts = [file for drive_id in new for file in files[drive_id]]
        return release.replaced(lambda old: old.drive_id in new, parts, f"observations of {len(new)} drives")

    return warehouse.publish(change)


def rejected_key(rejected: bytes) -> str:
    """Where in a warehouse a file of rejected rows stands."""
    return f"logs/rejected-{sha256_hex(rejected)[:16]}.parquet"


def _write(warehouse: Warehouse, drive: ForeignDrive, uri: str) -> list[DataFile]:
    times = drive.frames["captured_at"].drop_null()
    month = times[0].as_py().strftime("%Y-%m") if len(times) else "unknown"
    status = drive.frames["status"].to_pylist()
    models = pc.unique(drive.observations["model_sha256"]).to_pylist()
    run = {
        "drive_id": drive.drive_id,
        "drive_uri": uri,
        "drive_sha256": drive.sha256,
        "run_key": drive.run_key,
        "frames": len(status),
        "frames_ok": status.count("ok"),
        "frames_quarantined": status.count("quarantined"),
        "frames_failed": 0,
        "observations": drive.observations.num_rows,
        "model_sha256": ",".join(sorted(models)) or UNKNOWN,
        "code_version": __version__,
        "finished_at": datetime.now(UTC),
    }
    tables = {
        "observations": (drive.observations, f"survey_month={month}"),
        "frames": (drive.frames, f"survey_month={month}"),
        "runs": (pa.Table.from_pylist([run], RUNS), ""),
    }
    name = f"{drive.drive_id}-{drive.run_key[:8]}"
    return [
        warehouse.write(table, rows, folder=folder, name=name, drive_id=drive.drive_id)
        for table, (rows, folder) in tables.items()
    ]
