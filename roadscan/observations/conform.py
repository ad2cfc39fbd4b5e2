"""The checked rows of one drive to its `FRAMES` and `OBSERVATIONS`, as a scan would have written them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan import __version__
from roadscan.arrays import Bools, Ints
from roadscan.errors import SurveyError
from roadscan.observations.parse import combined, to_mask
from roadscan.observations.schema import CHECKED, FRAME_COLUMNS, LINE_ENDS, POSE, UNKNOWN
from roadscan.schemas import ACCURACY, FRAMES, OBSERVATIONS
from roadscan.storage import sha256_hex

#: By how much two rows of one frame may differ: rounding, no other pose. 1e-6 deg is 0.1 m.
TOLERANCE = {"captured_at": 1000, "camera_lon": 1e-6, "camera_lat": 1e-6} | dict.fromkeys(
    ("heading_deg", "fov_deg", *ACCURACY), 0.01
)
RANGE_REL_SIGMA = 0.3  # of a range without a sigma: as of an apparent size (`AssetClass.height_rel_sigma`)
SCANNED_ALONE = ["light", "blur"]  # of `FRAMES`: no table has them, so they are in no digest
ADDED = (*ACCURACY, "bearing_sigma_deg")  # in a digest only where a table tells them: others have that of before
EDGES = ("left_px", "top_px", "right_px", "bottom_px")  # of a row's box: rows with other boxes are two detections
CONFORM_VERSION = 1  # counts up when code changes what a table gives


@dataclass(frozen=True)
class ConformedDrive:
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


def conform_drive(drive_id: str, rows: pa.Table, sources: Sequence[str]) -> ConformedDrive:
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
    rank = np.where(
        to_mask(combined(pc.is_valid(rows["reason"]))), 2, np.where(to_mask(combined(rows["listed"])), 0, 1)
    )
    n_listed, n_good = int((rank == 0).sum()), int((rank < 2).sum())
    rows = rows.take(pa.array(np.argsort(rank, kind="stable"))).combine_chunks()
    coded = combined(rows["frame_id"]).dictionary_encode()
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


def _pose(name: str, rows: pa.Table, frame: Ints, counted: Ints, n_good: int, sources: Sequence[str]) -> pa.Array:
    """One column of the pose, a value a frame: the first of its rows' that is one, with which the others agree."""
    column = combined(rows[name])
    index = counted[to_mask(column.is_valid())[counted]]
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
) -> ConformedDrive:
    """`frame` is each observation's row of `frames`."""
    keys = ("frame", "class", "bearing_deg", "score", "range_m", "observation_id", *EDGES)
    own_columns = [name for name in CHECKED.names if name not in (*FRAME_COLUMNS, "listed", "reason")]
    slim = observations.select(own_columns).append_column("frame", pa.array(frame))
    for edge, name in enumerate(EDGES):
        slim = slim.append_column(name, pc.list_element(combined(slim["box_px"]), edge))
    order = pc.sort_indices(slim, sort_keys=[(name, "ascending") for name in keys])
    slim = slim.take(order).combine_chunks()
    again = _repeats(slim, keys)
    duplicates = observations.take(order.filter(pa.array(again)))
    observations = slim.filter(pa.array(~again)).combine_chunks() if again.any() else slim
    frame = observations["frame"].to_numpy()
    number = np.arange(len(frame)) - np.searchsorted(frame, frame)
    at = frames.take(pa.array(frame))
    text = pc.utf8_lpad(pa.array(number).cast(pa.string()), width=3, padding="0")
    own = pc.binary_join_element_wise(pa.scalar(drive_id), combined(at["frame_id"]), text, "/")
    ids = pc.coalesce(combined(observations["observation_id"]), own)
    _check_unique(ids, observations, sources)
    ranges = combined(observations["range_m"])
    sigma = pc.coalesce(combined(observations["range_sigma_m"]), pc.multiply(ranges, RANGE_REL_SIGMA))
    columns = {
        "observation_id": ids,
        "drive_id": pa.array([drive_id]).take(pa.array(np.zeros(len(frame), np.int64))),
        **{name: at[name] for name in ("frame_id", *POSE) if name in OBSERVATIONS.names},
        **{
            name: observations[name]
            for name in ("class", "score", "box_px", "bearing_deg", "range_m", *LINE_ENDS, "bearing_sigma_deg")
        },
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
    sha256 = _digest(*(_told(table) for table in (made[0].drop_columns(SCANNED_ALONE), made[1])))
    key = sha256_hex(f"{sha256}\n{CONFORM_VERSION}".encode())[:24]
    made_frames, made_observations = (_stamp(table, run_key=key, code_version=__version__) for table in made)
    return ConformedDrive(drive_id, made_frames, made_observations, duplicates, sha256, key)


def _repeats(observations: pa.Table, keys: Sequence[str]) -> Bools:
    """Which sorted rows say what the row before says, where neither has an id of its own."""
    same = np.ones(max(len(observations) - 1, 0), bool)
    for name in keys:
        column = combined(observations[name])
        before, after = column.slice(0, len(same)), column.slice(1, len(same))
        both_null = pc.and_(before.is_null(), after.is_null())
        equal = pc.fill_null(pc.equal(before, after), False)
        same &= to_mask(both_null if name == "observation_id" else pc.or_(both_null, equal))
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
        combined(columns[entry.name]).cast(entry.type) if entry.name in columns else pa.nulls(n, entry.type)
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


def _told(table: pa.Table) -> pa.Table:
    """The table without columns of `ADDED` that tell nothing."""
    return table.drop_columns([n for n in ADDED if n in table.column_names and table[n].null_count == len(table)])


def _digest(*tables: pa.Table) -> str:
    """SHA-256 of columns as numbers and text: Parquet's own bytes would change with its writer's version."""
    digest = hashlib.sha256()
    for table in tables:
        for name, column in zip(table.column_names, table.columns, strict=True):
            array = combined(column)
            digest.update(f"{name}\n{len(array)}\n".encode())
            digest.update(np.packbits(to_mask(array.is_valid())).tobytes())
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
