"""The rows of some assets, before they have ids, and from them the tables that leave.

Legend: D drives, N assets, E entries of an asset and a drive. ENU metres in, degrees out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from roadscan.arrays import Floats, Ints
from roadscan.inventory.drive.passes import DrivePass
from roadscan.inventory.fuse.existence import Standing, State
from roadscan.inventory.fuse.prior import changes_of, renumbered
from roadscan.inventory.register.geoparquet import geo_metadata, geometry_columns, hilbert_distance
from roadscan.schemas import ASSET_HISTORY, ASSET_OBSERVATIONS, ASSETS
from roadscan.survey.geodesy import LocalFrame


@dataclass(frozen=True)
class Rows:
    """The rows of some assets, (N,), without their ids.

    Attributes:
        assets: columns of `schemas.ASSETS` by name, without `asset_id`, `geometry` and `bbox`.
        shapes: (N,) in degrees.
        changes: columns of `schemas.ASSET_CHANGES`; `asset` is the number of the row instead of an id.
        history: the same of `schemas.ASSET_HISTORY`.
        observations: the same of `schemas.ASSET_OBSERVATIONS`, without `class`.
        moved_from: of rows whose asset was moved: longitude and latitude of where it stood before.
    """

    assets: dict[str, pa.Array]
    shapes: npt.NDArray[np.object_]
    changes: dict[str, pa.Array]
    history: dict[str, pa.Array]
    observations: dict[str, pa.Array] = field(default_factory=lambda: observation_columns([], []))
    moved_from: dict[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """What drives said of assets, (E,) each.

    Attributes:
        asset: number of the row.
        drive: number of the drive.
        hits, opportunities: how often it was detected, and could have been.
        xy: (E, 2) where this drive alone puts it, ENU metres; NaN where it did not see it.
        sigma_m: of that.
        score: mean of the detections.
    """

    asset: Ints
    drive: Ints
    hits: Ints
    opportunities: Ints
    xy: Floats
    sigma_m: Floats
    score: Floats


def covariance_columns(cov: Floats) -> dict[str, pa.Array]:
    """The position's errors of `schemas.ASSETS` from covariances (N, 2, 2)."""
    return {
        "pos_sigma_m": pa.array(np.sqrt(np.trace(cov, axis1=1, axis2=2))),
        "cov_ee_m2": pa.array(cov[:, 0, 0]),
        "cov_en_m2": pa.array(cov[:, 0, 1]),
        "cov_nn_m2": pa.array(cov[:, 1, 1]),
    }


def standing_columns(standing: Standing, keep: Ints) -> dict[str, pa.Array]:
    """`state` and `existence` of the assets kept."""
    labels = np.array([state.label for state in State], dtype=object)
    return {
        "state": pa.array(labels[standing.state[keep]], pa.string()),
        "existence": pa.array(standing.existence[keep], pa.float64()),
    }


def change_columns(drives: list[DrivePass], standing: Standing, number: Ints, before: pa.Table) -> dict[str, pa.Array]:
    """The columns of `schemas.ASSET_CHANGES`.

    Args:
        drives: in the order in which they were driven.
        standing: what they changed.
        number: (N,) the row of each asset, -1 for one that is not kept.
        before: what earlier drives changed, `CHANGES` with the numbers of `standing`.
    """
    changes = renumbered(pa.concat_tables([before, changes_of(drives, standing)]), number)
    return {name: changes[name].combine_chunks() for name in changes.column_names}


def history_columns(drives: list[DrivePass], history: History, enu: LocalFrame) -> dict[str, pa.Array]:
    """The columns of `schemas.ASSET_HISTORY`."""
    lon, lat = enu.to_lonlat(*history.xy.T)
    known = np.isfinite(history.xy[:, 0])
    ends = np.array([d.ended_us for d in drives], np.int64)
    return {
        "asset": pa.array(history.asset, pa.int64()),
        "drive_id": pa.array([d.drive_id for d in drives], pa.string()).take(pa.array(history.drive)),
        "seen": pa.array(history.hits > 0),
        "looked_at": pa.array(ends[history.drive]).cast(ASSET_HISTORY.field("looked_at").type),
        "lon": pa.array(np.where(known, lon, np.nan), from_pandas=True),
        "lat": pa.array(np.where(known, lat, np.nan), from_pandas=True),
        "pos_sigma_m": pa.array(np.where(known, history.sigma_m, np.nan), from_pandas=True),
        "hits": pa.array(history.hits, pa.int32()),
        "covering": pa.array(history.opportunities, pa.int32()),
        "score": pa.array(history.score, from_pandas=True),
    }


def observation_columns(drives: list[DrivePass], shown: Sequence[tuple[Ints, Ints]]) -> dict[str, pa.Array]:
    """The columns of `schemas.ASSET_OBSERVATIONS`.

    Args:
        drives: in the order in which they were driven.
        shown: of each drive the numbers of assets, and the rows of its observations that show them.
    """
    names = [name for name in ASSET_OBSERVATIONS.names if name not in ("asset_id", "class", "tile")]
    empty = pa.schema([ASSET_OBSERVATIONS.field(name) for name in names]).empty_table()
    parts = [
        drive.observations.select(names).take(pa.array(rows)) for drive, (_, rows) in zip(drives, shown, strict=True)
    ]
    table = pa.concat_tables([empty, *(part.cast(empty.schema) for part in parts)])
    asset = np.concatenate([np.zeros(0, np.int64), *(number for number, _ in shown)])
    return {"asset": pa.array(asset), **{name: table[name].combine_chunks() for name in names}}


def join_rows(parts: Sequence[Rows]) -> Rows:
    """The rows of several, in the Hilbert order of their places; numbers of assets follow."""
    starts = np.cumsum([0, *(len(part.shapes) for part in parts)])

    def stacked(name: str) -> dict[str, pa.Array]:
        tables = [pa.table(getattr(part, name)) for part in parts]
        table = pa.concat_tables(tables, promote_options="permissive")  # of no rows, a list gives a column of nulls
        return {column: table[column].combine_chunks() for column in table.column_names}

    assets = stacked("assets")
    shapes = np.concatenate([part.shapes for part in parts])
    order = np.argsort(hilbert_distance(assets["lon"].to_numpy(), assets["lat"].to_numpy()), kind="stable")
    place = np.argsort(order)
    events = {}
    for name in ("changes", "history", "observations"):
        columns = stacked(name)
        sizes = [len(getattr(part, name)["asset"]) for part in parts]
        old = columns["asset"].to_numpy() + np.repeat(starts[:-1], sizes)
        events[name] = columns | {"asset": pa.array(place[old], pa.int64())}
    taken = {name: column.take(pa.array(order)) for name, column in assets.items()}
    return Rows(taken, shapes[order], events["changes"], events["history"], events["observations"])


def asset_table(rows: Rows, ids: list[str]) -> pa.Table:
    """`schemas.ASSETS` with GeoParquet metadata."""
    columns = rows.assets | geometry_columns(rows.shapes) | {"asset_id": pa.array(ids, pa.string())}
    metadata = {**ASSETS.metadata, **geo_metadata(rows.shapes)}
    return _of_schema(columns, ASSETS, len(ids)).replace_schema_metadata(metadata)


def event_table(events: dict[str, pa.Array], rows: Rows, ids: list[str], schema: pa.Schema) -> pa.Table:
    """Changes or history with ids, in the order in which they happened."""
    asset = events["asset"]
    known = {"asset_id": pa.array(ids, pa.string()).take(asset), "class": rows.assets["class"].take(asset)}
    place = {name: rows.assets[name].take(asset) for name in ("lon", "lat")}
    table = _of_schema(place | events | known, schema, len(asset))
    return in_time(table, "changed_at" if "changed_at" in schema.names else "looked_at")


def observation_table(rows: Rows, ids: list[str]) -> pa.Table:
    """`schemas.ASSET_OBSERVATIONS` with ids, by asset, then by time."""
    asset = rows.observations["asset"]
    known = {"asset_id": pa.array(ids, pa.string()).take(asset), "class": rows.assets["class"].take(asset)}
    columns = rows.observations | known
    return by_asset(_of_schema(columns, ASSET_OBSERVATIONS, len(asset)))


def _of_schema(columns: dict[str, pa.Array], schema: pa.Schema, rows: int) -> pa.Table:
    """The columns as a table of a schema; those that there are none of are null."""
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def empty_asset_table() -> pa.Table:
    """`schemas.ASSETS` without rows, with GeoParquet metadata."""
    return ASSETS.empty_table().replace_schema_metadata({**ASSETS.metadata, **geo_metadata(np.zeros(0, object))})


def in_order(assets: pa.Table) -> pa.Table:
    """The assets (`schemas.ASSETS`) in the Hilbert order of their places, with GeoParquet metadata."""
    shapes = np.atleast_1d(shapely.from_wkb(assets["geometry"].to_numpy(zero_copy_only=False)))
    order = np.argsort(hilbert_distance(assets["lon"].to_numpy(), assets["lat"].to_numpy()), kind="stable")
    return assets.take(order).replace_schema_metadata({**ASSETS.metadata, **geo_metadata(shapes)})


def in_time(table: pa.Table, time: str) -> pa.Table:
    """The rows of changes or of history in the order of their time."""
    return table.take(
        pc.sort_indices(table, [(time, "ascending"), ("drive_id", "ascending"), ("asset_id", "ascending")])
    )


def by_asset(observations: pa.Table) -> pa.Table:
    """The rows of `schemas.ASSET_OBSERVATIONS` by asset, then by time."""
    return observations.take(
        pc.sort_indices(
            observations,
            [("asset_id", "ascending"), ("captured_at", "ascending"), ("observation_id", "ascending")],
        )
    )
