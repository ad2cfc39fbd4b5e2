"""Tables of observations as another program would write them."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roadscan.observations import (
    CheckedObservations,
    ReadSummary,
    commit_observations,
    read_observations,
)
from roadscan.observations.schema import REQUIRED
from roadscan.warehouse import Warehouse
from support.world import World, drive

RANGES = ("range_m", "range_sigma_m", "near_bearing_deg", "near_range_m", "far_bearing_deg", "far_range_m")


START = datetime(2026, 3, 1, 20, tzinfo=UTC)


def row(**changed: object) -> dict[str, object]:
    """One good row; frame 0 of drive a."""
    good = {
        "drive_id": "a",
        "frame_id": "f0",
        "captured_at": START,
        "camera_lon": 100.5,
        "camera_lat": 13.75,
        "class": "Warning Sign",
        "score": 0.9,
        "bearing_deg": 10.0,
    }
    return good | changed


def other(n: int, **changed: object) -> dict[str, object]:
    """One good row of another frame: `n` seconds and about 11 n metres on."""
    moved = {"frame_id": f"f{n}", "captured_at": START + timedelta(seconds=n), "camera_lat": 13.75 + n * 1e-4}
    return row(**(moved | changed))


def parquet(path: Path, *rows: dict[str, object]) -> str:
    names = dict.fromkeys(name for one in rows for name in one)
    pq.write_table(pa.table({name: [one.get(name) for one in rows] for name in names}), path)
    return str(path)


def csv(path: Path, *rows: dict[str, object]) -> str:
    """As a user's own program would write it: cells by `str`."""
    names = list(dict.fromkeys(name for one in rows for name in one))
    lines = [",".join("" if one.get(name) is None else str(one[name]) for name in names) for one in rows]
    path.write_text("\n".join([",".join(names), *lines]) + "\n", encoding="utf-8")
    return str(path)


WRITERS = pytest.mark.parametrize(("write", "suffix"), [(parquet, "parquet"), (csv, "csv")])


def read(uri: str, frames: str | None = None) -> ReadSummary:
    with read_observations(uri, frames) as found:
        return found.summary


def tables(uri: str, drive_id: str = "a", frames: str | None = None) -> tuple[list[dict], list[dict]]:
    with read_observations(uri, frames) as found:
        made = found.drive(drive_id)
        return made.frames.to_pylist(), made.observations.to_pylist()


def rejected(found: CheckedObservations) -> list[dict]:
    assert found.rejected is not None
    return pq.read_table(io.BytesIO(found.rejected)).to_pylist()


def committed(uri: str, out: str, *, replace: bool = False, frames: str | None = None) -> Warehouse:
    warehouse = Warehouse(out)
    with read_observations(uri, frames) as found:
        commit_observations(warehouse, found, replace=replace)
    return warehouse


def pose(n: int, **changed: object) -> dict[str, object]:
    return {name: value for name, value in other(n, **changed).items() if name not in ("class", "score", "bearing_deg")}


def world_table(world: World, nights: int, names: tuple[str, ...]) -> pa.Table:
    drives = [drive(world, night) for night in range(nights)]
    return pa.concat_tables([d.observations.select([*REQUIRED, *names]) for d in drives])
