"""A country in pieces: the register is built cell by cell, so memory and time do not grow with what is not near.

Cells are squares of `CELL_DEG` degrees. A cell's build sees every drive's frames within its borders and `MARGIN_DEG`
beyond, so that what stands at a border is built from the same rows on both sides; each side then keeps what stands on
its own. Lines are cut at the border and sewn together again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from roadscan.inventory.associate import nearby_pairs
from roadscan.inventory.build import Built, DriveTables
from roadscan.inventory.drive_pass import Ints
from roadscan.inventory.geoparquet import geo_metadata, geometry_columns, hilbert_distance
from roadscan.inventory.identity import resolved
from roadscan.schemas import ASSET_ALIAS, ASSET_CHANGES, ASSET_HISTORY, ASSETS
from roadscan.survey.geodesy import WGS84, Floats

Cell: TypeAlias = tuple[int, int]

CELL_DEG = 0.1  # 11 km
MARGIN_DEG = 0.006  # 650 m: what bears on an asset is within the camera's reach and its drive's bias nearby
STRIP_DEG = 2e-5  # 2 m: an asset this near to a border may have been placed on either side of it
SAME_M = 3.0  # between what two cells make of one asset
SEAM_M = 10.0  # between the ends of two pieces of a line that was cut at a border
EDGE_DEG = 1e-7
M_PER_DEG = 111_195.0


def split(tables: DriveTables) -> Iterator[tuple[Cell, DriveTables]]:
    """The rows of a drive for each cell that they are needed in; frames without a position are needed in none."""
    lon, lat = (tables.frames[name].to_numpy() for name in ("camera_lon", "camera_lat"))
    placed = np.flatnonzero(np.isfinite(np.asarray(lon, float)) & np.isfinite(np.asarray(lat, float)))
    rows, cells = _cells(np.asarray(lon, float)[placed], np.asarray(lat, float)[placed])
    frame_of = pc.fill_null(pc.index_in(tables.observations["frame_id"], tables.frames["frame_id"]), -1).to_numpy()
    for cell in np.unique(cells, axis=0).tolist():
        mine = placed[np.unique(rows[(cells == cell).all(axis=1)])]
        wanted = np.zeros(tables.frames.num_rows + 1, bool)  # the last stands for observations without a frame
        wanted[mine] = True
        chosen = np.flatnonzero(wanted[frame_of])
        part = DriveTables(tables.drive_id, tables.frames.take(mine), tables.observations.take(chosen))
        yield (cell[0], cell[1]), part


def _cells(lon: Floats, lat: Floats) -> tuple[Ints, Ints]:
    """Pairs of a place and a cell that it is in, or within the margin of: (m,) and (m, 2)."""
    corners = [(i, j) for i in (-MARGIN_DEG, MARGIN_DEG) for j in (-MARGIN_DEG, MARGIN_DEG)]
    cells = [np.floor(np.stack([lon + i, lat + j], axis=1) / CELL_DEG).astype(np.int64) for i, j in corners]
    return np.tile(np.arange(len(lon)), len(corners)), np.concatenate(cells)


def within(table: pa.Table, cell: Cell, margin_deg: float = MARGIN_DEG) -> pa.Table:
    """The assets of a cell and of its margin."""
    west, south = cell[0] * CELL_DEG - margin_deg, cell[1] * CELL_DEG - margin_deg
    east, north = west + CELL_DEG + 2 * margin_deg, south + CELL_DEG + 2 * margin_deg
    box = {corner: pc.struct_field(table["bbox"], corner) for corner in ("xmin", "ymin", "xmax", "ymax")}
    inside = pc.and_(pc.less_equal(box["xmin"], east), pc.greater_equal(box["xmax"], west))
    inside = pc.and_(inside, pc.and_(pc.less_equal(box["ymin"], north), pc.greater_equal(box["ymax"], south)))
    return table.filter(inside)


def owned(built: Built, cell: Cell, mint: Callable[[], str]) -> Built:
    """What stands in a cell itself, of a build of the cell and its margin; lines are cut at its border."""
    west, south = cell[0] * CELL_DEG, cell[1] * CELL_DEG
    lon, lat = built.assets["lon"].to_numpy(), built.assets["lat"].to_numpy()
    is_line = built.assets["length_m"].is_valid().to_numpy()
    inside = (lon >= west - STRIP_DEG) & (lon < west + CELL_DEG + STRIP_DEG)
    inside &= (lat >= south - STRIP_DEG) & (lat < south + CELL_DEG + STRIP_DEG)
    points = built.assets.filter(pa.array(inside & ~is_line))
    border = shapely.box(west, south, west + CELL_DEG, south + CELL_DEG)
    rows, shapes, ids = [], [], []
    for row in np.flatnonzero(is_line).tolist():
        line = shapely.from_wkb(built.assets["geometry"][row].as_py())
        parts = shapely.get_parts(shapely.intersection(line, border))
        parts = [part for part in parts if part.geom_type == "LineString" and part.length]
        parts.sort(key=lambda part: -part.length)
        for number, part in enumerate(parts):
            rows.append(row)
            shapes.append(part)
            ids.append(mint() if number else built.assets["asset_id"][row].as_py())
    lines = _reshaped(built.assets.take(pa.array(rows, pa.int64())), shapes, ids)
    assets = pa.concat_tables([points, lines])
    changes, history = (
        table.filter(pc.is_in(table["asset_id"], assets["asset_id"])) for table in (built.changes, built.history)
    )
    return Built(assets, changes, history, built.aliases)


def _reshaped(table: pa.Table, shapes: list[shapely.Geometry], ids: list[str]) -> pa.Table:
    """Line assets with other shapes."""
    if not shapes:
        return table
    array = np.empty(len(shapes), dtype=object)
    array[:] = shapes
    middle = shapely.line_interpolate_point(array, 0.5, normalized=True)
    columns = geometry_columns(array) | {
        "asset_id": pa.array(ids, pa.string()),
        "lon": pa.array(shapely.get_x(middle)),
        "lat": pa.array(shapely.get_y(middle)),
        "length_m": pa.array([float(WGS84.geometry_length(shape)) for shape in shapes]),
    }
    for name, column in columns.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(index), column.cast(table.schema.field(index).type))
    return table


def together(parts: list[Built], mint: Callable[[], str]) -> Built:
    """One register of the cells' own: lines sewn together, and what two cells keep made one."""
    assets = pa.concat_tables([ASSETS.empty_table(), *(part.assets.cast(ASSETS) for part in parts)])
    cell = np.repeat(np.arange(len(parts)), [part.assets.num_rows for part in parts])
    assets, same = _sewn(*_once(assets, cell))
    assets = in_order(_distinct(assets, mint))
    changes = pa.concat_tables([ASSET_CHANGES.empty_table(), *(part.changes for part in parts)])
    history = pa.concat_tables([ASSET_HISTORY.empty_table(), *(part.history for part in parts)])
    aliases = pa.concat_tables([ASSET_ALIAS.empty_table(), *(part.aliases for part in parts)])
    aliases = aliases.filter(pc.invert(pc.is_in(aliases["alias_id"], assets["asset_id"]))).sort_by("since")
    return Built(
        assets,
        in_time(renamed(changes, same), "changed_at"),
        in_time(renamed(history, same), "looked_at"),
        resolved(renamed(aliases, same)),
    )


def in_order(assets: pa.Table) -> pa.Table:
    """The assets in the Hilbert order of their places, with GeoParquet metadata."""
    shapes = np.atleast_1d(shapely.from_wkb(assets["geometry"].to_numpy(zero_copy_only=False)))
    order = np.argsort(hilbert_distance(assets["lon"].to_numpy(), assets["lat"].to_numpy()), kind="stable")
    return assets.take(order).replace_schema_metadata({**ASSETS.metadata, **geo_metadata(shapes)})


def _distinct(assets: pa.Table, mint: Callable[[], str]) -> pa.Table:
    """The assets with one id each: of pieces of a line that no longer meet, the longest keeps it."""
    ids = assets["asset_id"].to_pylist()
    length = assets["length_m"].to_pylist()
    given: set[str] = set()
    for row in sorted(range(len(ids)), key=lambda row: -(length[row] or 0)):
        if ids[row] in given:
            ids[row] = mint()
        given.add(ids[row])
    return assets.set_column(0, ASSETS.field("asset_id"), pa.array(ids, pa.string()))


def in_time(table: pa.Table, time: str) -> pa.Table:
    """The rows of changes or of history in the order of their time."""
    return table.sort_by([(time, "ascending"), ("drive_id", "ascending"), ("asset_id", "ascending")])


def _first_of(table: pa.Table, columns: list[str]) -> pa.Table:
    """The first row of each group of rows that are equal in some columns."""
    numbered = table.select(columns).append_column("row", pa.array(np.arange(table.num_rows)))
    first = numbered.group_by(columns, use_threads=False).aggregate([("row", "min")])["row_min"]
    return table.take(np.sort(first.to_numpy()))


def renamed(table: pa.Table, same: dict[str, str]) -> pa.Table:
    """The table with ids that are another asset's now; what is then said twice is said once, by the first."""
    if same:
        ids = pa.array([same.get(one, one) for one in table["asset_id"].to_pylist()], pa.string())
        index = table.schema.get_field_index("asset_id")
        table = table.set_column(index, table.schema.field(index), ids)
    if "alias_id" in table.column_names:
        return _first_of(table, ["alias_id"])
    return _first_of(table, ["asset_id", *(name for name in ("drive_id", "change") if name in table.column_names)])


def _once(assets: pa.Table, cell: Ints) -> tuple[pa.Table, dict[str, str]]:
    """The assets without those that a neighbouring cell keeps as well; from an id that goes to the one that stays.

    Args:
        assets: of all cells.
        cell: (n,) which cell keeps each.
    """
    lon, lat = assets["lon"].to_numpy(), assets["lat"].to_numpy()
    at_border = np.minimum(_to_border(lon), _to_border(lat)) <= 2 * STRIP_DEG
    rows = np.flatnonzero(assets["length_m"].is_null().to_numpy() & at_border)
    xy = np.stack([lon[rows] * np.cos(np.radians(lat[rows])), lat[rows]], axis=1) * M_PER_DEG
    i, j, distance = nearby_pairs(xy, xy, SAME_M)
    names = np.array(assets["class"].to_pylist(), dtype=object)
    first = assets["first_seen"].cast(pa.int64()).to_numpy()
    ids = assets["asset_id"].to_pylist()
    same: dict[str, str] = {}
    paired: set[int] = set()
    gone: set[int] = set()
    for pair in np.argsort(distance, kind="stable").tolist():
        a, b = int(rows[i[pair]]), int(rows[j[pair]])
        if a < b and names[a] == names[b] and cell[a] != cell[b] and not paired & {a, b}:
            stays, goes = (a, b) if (first[a], ids[a]) <= (first[b], ids[b]) else (b, a)
            paired |= {a, b}
            gone.add(goes)
            if ids[goes] != ids[stays]:
                same[ids[goes]] = ids[stays]
    kept = np.setdiff1d(np.arange(assets.num_rows), np.array(sorted(gone), np.int64))
    return assets.take(kept), same


def _to_border(degrees: Floats) -> Floats:
    """How far from the nearest border between cells."""
    return np.asarray(np.abs(degrees - np.round(degrees / CELL_DEG) * CELL_DEG))


def _sewn(assets: pa.Table, same: dict[str, str]) -> tuple[pa.Table, dict[str, str]]:
    """The assets with lines that were cut at a border made whole; the id of the piece first seen stays."""
    rows = np.flatnonzero(assets["length_m"].is_valid().to_numpy())
    if len(rows) < 2:
        return assets, same
    shapes = shapely.from_wkb([assets["geometry"][row].as_py() for row in rows.tolist()])
    ends = np.array([shapely.get_coordinates(shape)[[0, -1]] for shape in shapes]).reshape(-1, 2)
    owner = np.repeat(np.arange(len(rows)), 2)
    cut = np.flatnonzero((_to_border(ends) <= EDGE_DEG).any(axis=1))
    xy = np.stack([ends[cut, 0] * np.cos(np.radians(ends[cut, 1])), ends[cut, 1]], axis=1) * M_PER_DEG
    i, j, distance = nearby_pairs(xy, xy, SEAM_M)
    names = np.array([assets["class"][row].as_py() for row in rows.tolist()], dtype=object)
    seams = []
    used: set[int] = set()
    for pair in np.argsort(distance, kind="stable").tolist():
        a, b = int(cut[i[pair]]), int(cut[j[pair]])
        if a < b and owner[a] != owner[b] and names[owner[a]] == names[owner[b]] and not used & {a, b}:
            used |= {a, b}
            seams.append((a, b))
    if not seams:
        return assets, same
    a, b = np.array(seams).T
    graph = coo_matrix((np.ones(len(a)), (owner[a], owner[b])), shape=(len(rows), len(rows)))
    label = connected_components(graph, directed=False)[1]
    whole, gone = [], []
    for group in np.unique(label[owner[a]]).tolist():
        members = np.flatnonzero(label == group)
        joints = [shapely.LineString(ends[[p, q]]) for p, q in seams if label[owner[p]] == group]
        joints = [joint for joint in joints if joint.length > 0]
        merged = shapely.line_merge(shapely.MultiLineString([*shapes[members], *joints]))
        if merged.geom_type == "LineString":
            table = assets.take(rows[members])
            row = _one_row(table)
            stays = str(row["asset_id"])
            same |= {one: stays for one in table["asset_id"].to_pylist() if one != stays}
            whole.append(_reshaped(pa.Table.from_pylist([row], schema=ASSETS), [merged], [stays]))
            gone += rows[members].tolist()
    kept = np.setdiff1d(np.arange(assets.num_rows), np.array(gone, np.int64))
    return pa.concat_tables([assets.take(kept), *whole]), same


def _one_row(pieces: pa.Table) -> dict[str, Any]:
    """The row of a line from those of its pieces: the longest one's, with the sums and extremes of all."""
    rows = sorted(pieces.to_pylist(), key=lambda row: -row["length_m"])
    oldest = min(rows, key=lambda row: (row["first_seen"], row["asset_id"]))
    row: dict[str, Any] = rows[0]
    return row | {
        "asset_id": oldest["asset_id"],
        "n_observations": max(row["n_observations"] for row in rows),
        "n_nights": max(row["n_nights"] for row in rows),
        "first_seen": oldest["first_seen"],
        "last_seen": max(row["last_seen"] for row in rows),
    }
