"""Ids that last: an asset keeps the id under which it was published, and an id that went has an alias."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import shapely

from roadscan.inventory.associate import nearby_pairs, one_to_one
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive_pass import Ints
from roadscan.inventory.matching import match_lines
from roadscan.inventory.tables import Rows
from roadscan.schemas import ASSET_ALIAS
from roadscan.survey.geodesy import Floats, LocalFrame
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
    rows: Rows, previous: pa.Table, frame: LocalFrame, taxonomy: Taxonomy, config: InventoryConfig
) -> Carried:
    """For each asset the id of the previous asset of its class that it matches, or None.

    Of several near ones that which was first seen at the same moment: when two assets have become one, the older id
    stays.

    Args:
        rows: the assets now.
        previous: `schemas.ASSETS` published before.
        frame: metres for both.
        taxonomy: for the classes' gates.
        config: gates.
    """
    ids: list[str | None] = [None] * len(rows.shapes)
    if not ids or not previous.num_rows:
        return Carried(ids, [])
    old_class = np.array(previous["class"].to_pylist(), dtype=object)
    new_class = np.array(rows.assets["class"].to_pylist(), dtype=object)
    classes = {str(name): taxonomy.get(str(name)) for name in np.unique(old_class.astype(str))}
    old_xy = np.stack(frame.to_xy(previous["lon"].to_numpy(), previous["lat"].to_numpy()), axis=1)
    new_xy = np.stack(frame.to_xy(rows.assets["lon"].to_numpy(), rows.assets["lat"].to_numpy()), axis=1)
    gate = {Geometry.POINT: config.match_gate_m, Geometry.OVERHEAD: config.overhead_gate_m, Geometry.LINE: 0.0}
    merge_m = np.array([classes[name].merge_m for name in old_class])
    is_line = np.array([classes[name].geometry is Geometry.LINE for name in old_class], bool)
    gates = np.where(is_line, 0.0, np.maximum([gate[classes[name].geometry] for name in old_class], merge_m))
    i, j, distance = nearby_pairs(new_xy, old_xy, float(gates.max()))
    i, j, distance = _with_former(rows, i, j, distance, frame, old_xy, float(gates.max()))
    good = (distance <= gates[j]) & (gates[j] > 0) & (new_class[i] == old_class[j])
    i, j, distance = i[good], j[good], distance[good]
    old_first, new_first = (
        column.cast(pa.int64()).to_numpy() for column in (previous["first_seen"], rows.assets["first_seen"])
    )
    cost = distance / gates[j] * np.where(new_first[i] == old_first[j], SAME_MOMENT, 1.0)
    old_ids = previous["asset_id"].to_pylist()
    used: set[int] = set()
    for pair in one_to_one(i, j, cost, miss_cost=1.0).tolist():
        ids[i[pair]] = old_ids[j[pair]]
        used.add(int(j[pair]))
    merged: dict[int, int] = {}
    for pair in np.argsort(distance, kind="stable").tolist():
        before = int(j[pair])
        if before not in used and distance[pair] <= merge_m[before]:
            merged.setdefault(before, int(i[pair]))
    _carry_lines(rows, previous, frame, config, ids, merged)
    return Carried(ids, sorted(merged.items()))


def _with_former(
    rows: Rows, i: Ints, j: Ints, distance: Floats, frame: LocalFrame, old_xy: Floats, gate_m: float
) -> tuple[Ints, Ints, Floats]:
    """The pairs of asset and asset of before, also by where moved assets stood; there nothing else is to match."""
    moved = np.array(sorted(rows.moved_from), np.int64)
    if not len(moved):
        return i, j, distance
    lonlat = np.array([rows.moved_from[row] for row in moved.tolist()])
    former, before, off = nearby_pairs(np.stack(frame.to_xy(*lonlat.T), axis=1), old_xy, gate_m)
    return np.append(i, moved[former]), np.append(j, before), np.append(distance, off)


def _carry_lines(
    rows: Rows,
    previous: pa.Table,
    frame: LocalFrame,
    config: InventoryConfig,
    ids: list[str | None],
    merged: dict[int, int],
) -> None:
    old_class, new_class = previous["class"].to_pylist(), rows.assets["class"].to_pylist()
    is_line = [row for row in range(previous.num_rows) if previous["length_m"][row].is_valid]
    old = [(old_class[row], _xy(frame, previous["geometry"][row].as_py())) for row in is_line]
    new = [n for n, shape in enumerate(rows.shapes) if shape.geom_type == "LineString"]
    shapes = [(new_class[n], _degrees(frame, shapely.get_coordinates(rows.shapes[n]))) for n in new]
    used: set[int] = set()
    for known, line in match_lines(shapes, old, config.line_overlap_m):
        if known not in used:
            used.add(known)
            ids[new[line]] = previous["asset_id"][is_line[known]].as_py()
    for line, known in match_lines(old, shapes, config.line_overlap_m):
        if known not in used:
            merged[is_line[known]] = new[line]


def _xy(frame: LocalFrame, wkb: bytes) -> Floats:
    return _degrees(frame, shapely.get_coordinates(shapely.from_wkb(wkb)))


def _degrees(frame: LocalFrame, lonlat: Floats) -> Floats:
    return np.stack(frame.to_xy(*lonlat.T), axis=1)


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
    told = {row["alias_id"] for row in rows}
    for before, now in carried.merged:
        if old[before] not in given | told:
            rows.append({"alias_id": old[before], "asset_id": ids[now], "reason": "merged", "since": since})
    return resolved(pa.Table.from_pylist(rows, schema=ASSET_ALIAS))


def resolved(aliases: pa.Table) -> pa.Table:
    """The aliases (`schemas.ASSET_ALIAS`), each followed to its end, by alias."""
    rows = aliases.to_pylist()
    target = {row["alias_id"]: row["asset_id"] for row in rows}
    for row in rows:
        while row["asset_id"] in target:
            row["asset_id"] = target[row["asset_id"]]
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["alias_id"]), schema=ASSET_ALIAS)
