"""Rows and the register of before to ids that last: an asset keeps its id, and an id that went has an alias.

Legend: N assets now, B assets of before, P pairs of both. ENU metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from roadscan.arrays import Floats, Ints
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.geometry.assignment import nearby_pairs, one_to_one
from roadscan.inventory.geometry.polylines import match_lines
from roadscan.inventory.register.rows import Rows
from roadscan.schemas import ASSET_ALIAS
from roadscan.survey.geodesy import LocalFrame
from roadscan.taxonomy import Geometry, Taxonomy

SAME_MOMENT = 0.01  # by which a distance counts less between assets that were first seen at one moment


@dataclass(frozen=True)
class Carried:
    """Ids of before.

    Attributes:
        ids: for each asset now the id of the asset of before that it is, or None.
        merged: (row of before, asset now): ids that are no longer given, and the asset that stands there.
    """

    ids: list[str | None]
    merged: list[tuple[int, int]]


def carried_ids(
    rows: Rows, previous: pa.Table, enu: LocalFrame, taxonomy: Taxonomy, config: InventoryConfig
) -> Carried:
    """For each asset the id of the previous asset of its class that it matches, or None.

    Of several near ones that which was first seen at the same moment: when two assets have become one, the older id
    stays.

    Args:
        rows: the assets now.
        previous: `schemas.ASSETS` published before.
        enu: metres for both.
        taxonomy: for the classes' gates.
        config: gates.
    """
    n = len(rows.shapes)
    if not n or not previous.num_rows:
        return Carried([None] * n, [])
    points, merged_points = _carried_points(rows, previous, enu, taxonomy, config)
    lines, merged_lines = _carried_lines(rows, previous, enu, config.lines.overlap_m)
    before = points | lines
    old_ids = previous["asset_id"].to_pylist()
    ids = [old_ids[before[row]] if row in before else None for row in range(n)]
    return Carried(ids, sorted((merged_points | merged_lines).items()))


def _carried_points(
    rows: Rows, previous: pa.Table, enu: LocalFrame, taxonomy: Taxonomy, config: InventoryConfig
) -> tuple[dict[int, int], dict[int, int]]:
    """From asset now to what it was before, one to one by distance; and from what is left of before to the nearest."""
    old_class = np.array(previous["class"].to_pylist(), dtype=object)
    new_class = np.array(rows.assets["class"].to_pylist(), dtype=object)
    merge_m, gates = _gates(old_class, taxonomy, config)
    i, j, distance = _near_pairs(rows, previous, enu, float(gates.max()))
    good = (distance <= gates[j]) & (gates[j] > 0) & (new_class[i] == old_class[j])
    i, j, distance = i[good], j[good], distance[good]
    old_first, new_first = (
        column.cast(pa.int64()).to_numpy() for column in (previous["first_seen"], rows.assets["first_seen"])
    )
    cost = distance / gates[j] * np.where(new_first[i] == old_first[j], SAME_MOMENT, 1.0)
    before = {int(i[pair]): int(j[pair]) for pair in one_to_one(i, j, cost, miss_cost=1.0)}
    used = set(before.values())
    merged: dict[int, int] = {}
    for pair in np.argsort(distance, kind="stable").tolist():
        old = int(j[pair])
        if old not in used and distance[pair] <= merge_m[old]:
            merged.setdefault(old, int(i[pair]))
    return before, merged


def _gates(class_name: npt.NDArray[np.object_], taxonomy: Taxonomy, config: InventoryConfig) -> tuple[Floats, Floats]:
    """Of assets of before (B,): how near no other of the class stands, and how far off each is sought; 0 for lines."""
    classes = {str(name): taxonomy.get(str(name)) for name in np.unique(class_name.astype(str))}
    gate = {
        Geometry.POINT: config.matching.gate_m,
        Geometry.OVERHEAD: config.matching.overhead_gate_m,
        Geometry.LINE: 0.0,
    }
    merge_m = np.array([classes[name].merge_m for name in class_name])
    is_line = np.array([classes[name].geometry is Geometry.LINE for name in class_name], bool)
    return merge_m, np.where(is_line, 0.0, np.maximum([gate[classes[name].geometry] for name in class_name], merge_m))


def _near_pairs(rows: Rows, previous: pa.Table, enu: LocalFrame, gate_m: float) -> tuple[Ints, Ints, Floats]:
    """Pairs of asset and asset of before that are near, also by where moved assets stood; and their distance, (P,)."""
    old_xy = np.stack(enu.to_xy(previous["lon"].to_numpy(), previous["lat"].to_numpy()), axis=1)
    new_xy = np.stack(enu.to_xy(rows.assets["lon"].to_numpy(), rows.assets["lat"].to_numpy()), axis=1)
    i, j, distance = nearby_pairs(new_xy, old_xy, gate_m)
    moved = np.array(sorted(rows.moved_from), np.int64)
    if not len(moved):
        return i, j, distance
    lonlat = np.array([rows.moved_from[row] for row in moved.tolist()])
    former, before, off = nearby_pairs(_to_xy(enu, lonlat), old_xy, gate_m)
    return np.append(i, moved[former]), np.append(j, before), np.append(distance, off)


def _carried_lines(
    rows: Rows, previous: pa.Table, enu: LocalFrame, overlap_m: float
) -> tuple[dict[int, int], dict[int, int]]:
    """The same of lines: each was that which it runs beside for longest."""
    old_class, new_class = previous["class"].to_pylist(), rows.assets["class"].to_pylist()
    shapely_type = shapely.get_type_id(shapely.from_wkb(previous["geometry"].to_pylist()))
    is_line = np.flatnonzero(shapely_type == shapely.GeometryType.LINESTRING).tolist()
    old = [(old_class[row], _line_xy(enu, previous["geometry"][row].as_py())) for row in is_line]
    new = [n for n, shape in enumerate(rows.shapes) if shape.geom_type == "LineString"]
    shapes = [(new_class[n], _to_xy(enu, shapely.get_coordinates(rows.shapes[n]))) for n in new]
    before: dict[int, int] = {}
    used: set[int] = set()
    for known, line in match_lines(shapes, old, overlap_m):
        if known not in used:
            used.add(known)
            before[new[line]] = is_line[known]
    merged = {is_line[known]: new[line] for line, known in match_lines(old, shapes, overlap_m) if known not in used}
    return before, merged


def _line_xy(enu: LocalFrame, wkb: bytes) -> Floats:
    return _to_xy(enu, shapely.get_coordinates(shapely.from_wkb(wkb)))


def _to_xy(enu: LocalFrame, lonlat: Floats) -> Floats:
    """ENU metres (n, 2) of degrees (n, 2)."""
    return np.stack(enu.to_xy(*lonlat.T), axis=1)


def alias_table(carried: Carried, ids: list[str], previous: pa.Table, aliases: pa.Table, since: datetime) -> pa.Table:
    """Every id that is no longer given, and the asset it is part of now; also of earlier aliases, to their end.

    Args:
        carried: see `carried_ids`.
        ids: of the assets now.
        previous: the assets published before.
        aliases: `schemas.ASSET_ALIAS` published before.
        since: when the last of the drives ended.
    """
    given = set(ids)
    rows = [row for row in aliases.to_pylist() if row["alias_id"] not in given]
    old = previous["asset_id"].to_pylist()
    known = {row["alias_id"] for row in rows}
    for before, now in carried.merged:
        if old[before] not in given | known:
            rows.append({"alias_id": old[before], "asset_id": ids[now], "reason": "merged", "since": since})
    return resolved(pa.Table.from_pylist(rows, schema=ASSET_ALIAS))


def resolved(aliases: pa.Table) -> pa.Table:
    """The aliases (`schemas.ASSET_ALIAS`), each followed to its end, by alias.

    Of ids that are each other's alias all others lead to the oldest, which is no alias.
    """
    rows = aliases.to_pylist()
    target = {row["alias_id"]: row["asset_id"] for row in rows}
    for row in rows:
        way = [row["alias_id"]]
        while way[-1] in target and target[way[-1]] not in way:
            way.append(target[way[-1]])
        around = way[way.index(target[way[-1]]) :] if way[-1] in target else way[-1:]
        row["asset_id"] = min(around)
    rows = [row for row in rows if row["asset_id"] != row["alias_id"]]
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["alias_id"]), schema=ASSET_ALIAS)


def with_ids(table: pa.Table, same: dict[str, str]) -> pa.Table:
    """The table with ids that are another asset's now; what is then said twice is said once, by the first."""
    if same:
        ids = pa.array([same.get(one, one) for one in table["asset_id"].to_pylist()], pa.string())
        index = table.schema.get_field_index("asset_id")
        table = table.set_column(index, table.schema.field(index), ids)
    if "alias_id" in table.column_names:
        return _first_of(table, ["alias_id"])
    return _first_of(
        table, ["asset_id", *(name for name in ("drive_id", "change", "observation_id") if name in table.column_names)]
    )


def _first_of(table: pa.Table, columns: list[str]) -> pa.Table:
    """The first row of each group of rows that are equal in some columns."""
    numbered = table.select(columns).append_column("row", pa.array(np.arange(table.num_rows)))
    first = numbered.group_by(columns, use_threads=False).aggregate([("row", "min")])["row_min"]
    return table.take(np.sort(first.to_numpy()))
