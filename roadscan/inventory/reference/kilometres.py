"""The kilometres that a drive surveyed, and those that none did."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from roadscan.arrays import Ints
from roadscan.inventory.reference.linear import LinearReference
from roadscan.inventory.reference.spans import KEY
from roadscan.schemas import COVERAGE


def coverage(
    reference: LinearReference,
    drive_id: str,
    lon: npt.ArrayLike,
    lat: npt.ArrayLike,
    time_us: npt.ArrayLike,
    index: npt.ArrayLike,
) -> pa.Table:
    """The kilometres that a drive's frames are in.

    Args:
        reference: the network.
        drive_id: the drive.
        lon: of its usable frames, degrees, (n,).
        lat: likewise.
        time_us: of the frames, microseconds since 1970, (n,) integers.
        index: of their centrelines, (n,), as `LinearReference.assign_track` gives it.

    Returns:
        Rows of `schemas.COVERAGE`, one a kilometre, in the order of `LinearReference.kilometres`.
    """
    located = reference.locate_on(index, lon, lat)
    on = located["index"] >= 0
    row = reference.spans.rows_of(located["index"][on], located["km_m"][on])
    time = np.asarray(time_us, np.int64)[on]
    rows, group, frames = np.unique(row, return_inverse=True, return_counts=True)
    first, last = np.full(len(rows), np.iinfo(np.int64).max), np.full(len(rows), np.iinfo(np.int64).min)
    np.minimum.at(first, group, time)
    np.maximum.at(last, group, time)
    return _rows(reference, rows, [drive_id] * len(rows), pa.array(first), pa.array(last), frames)


def uncovered(reference: LinearReference, covered: pa.Table) -> pa.Table:
    """The kilometres that no drive surveyed.

    Args:
        reference: the network.
        covered: what `coverage` gave for all drives, as one table.

    Returns:
        Rows of `schemas.COVERAGE` without a drive, with 0 frames.
    """
    known = set(zip(*(covered[name].to_pylist() for name in KEY), strict=True))
    every = zip(*(reference.spans.table[name].to_pylist() for name in KEY), strict=True)
    rows = np.array([number for number, key in enumerate(every) if key not in known], np.int64)
    nothing = pa.nulls(len(rows), pa.int64())
    return _rows(reference, rows, [None] * len(rows), nothing, nothing, np.zeros(len(rows), np.int64))


def _rows(
    reference: LinearReference, rows: Ints, drive_ids: list[str | None], first: pa.Array, last: pa.Array, frames: Ints
) -> pa.Table:
    part = reference.spans.table.take(pa.array(rows, pa.int64()))
    columns = {name: part[name] for name in part.column_names} | {
        "drive_id": pa.array(drive_ids, pa.string()),
        "first_at": first.cast(COVERAGE.field("first_at").type),
        "last_at": last.cast(COVERAGE.field("last_at").type),
        "frames": pa.array(frames.astype(np.int32)),
        "lrs_version": pa.array([reference.version] * len(rows), pa.string()),
    }
    return pa.table([columns[name] for name in COVERAGE.names], schema=COVERAGE)
