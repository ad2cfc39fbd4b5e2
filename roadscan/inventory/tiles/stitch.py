"""The tiles' own registers to one: lines that were cut at borders made whole, and what two tiles keep made one.

What of that bears on the tiles themselves, and on which are built again next, is told here, too.

Legend: N assets of all tiles, n lines. Degrees; metres only between things that are near each other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from roadscan.arrays import Floats, Ints
from roadscan.inventory.build import Built, asset_ids
from roadscan.inventory.geometry.assignment import nearby_pairs
from roadscan.inventory.register.identity import resolved, with_ids
from roadscan.inventory.register.rows import in_order, in_time
from roadscan.inventory.tiles.partition import STRIP_DEG, TILE_DEG, Tile, reshaped, tiles_of
from roadscan.schemas import ASSET_ALIAS, ASSET_CHANGES, ASSET_HISTORY, ASSET_OBSERVATIONS, ASSETS

SAME_M = 3.0  # between what two tiles make of one asset
SEAM_M = 10.0  # between the ends of two pieces of a line that was cut at a border
EDGE_DEG = 1e-7
M_PER_DEG = 111_195.0


def merge_tiles(parts: list[Built], mint: Callable[[], str], aliases: pa.Table | None = None) -> Built:
    """One register of what the tiles own.

    Args:
        parts: `roadscan.inventory.tiles.partition.owned` of each.
        mint: a new id.
        aliases: `schemas.ASSET_ALIAS` published before, which a part that was carried over does not have.
    """
    before = ASSET_ALIAS.empty_table() if aliases is None else aliases
    assets = pa.concat_tables([ASSETS.empty_table(), *(part.assets.cast(ASSETS) for part in parts)])
    tile = np.repeat(np.arange(len(parts)), [part.assets.num_rows for part in parts])
    assets, same = _without_doubles(assets, tile)
    assets, joined = _stitched(assets)
    same |= joined
    assets = in_order(_distinct(assets, mint))
    changes = pa.concat_tables([ASSET_CHANGES.empty_table(), *(part.changes for part in parts)])
    history = pa.concat_tables([ASSET_HISTORY.empty_table(), *(part.history for part in parts)])
    observations = pa.concat_tables([ASSET_OBSERVATIONS.empty_table(), *(part.observations for part in parts)])
    aliases = pa.concat_tables([before, *(part.aliases for part in parts)])
    aliases = aliases.filter(pc.invert(pc.is_in(aliases["alias_id"], assets["asset_id"]))).sort_by("since")
    return Built(
        assets,
        in_time(with_ids(changes, same), "changed_at"),
        in_time(with_ids(history, same), "looked_at"),
        resolved(with_ids(aliases, same)),
        with_ids(observations, same),
        stitched=same,
    )


def _distinct(assets: pa.Table, mint: Callable[[], str]) -> pa.Table:
    """The assets with one id each: of pieces of a line that no longer meet, the longest keeps it."""
    counts = assets["asset_id"].value_counts()
    often = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if not len(often):
        return assets
    rows = np.flatnonzero(pc.is_in(assets["asset_id"], often).to_numpy())
    few = assets.select(["asset_id", "length_m"]).take(rows)
    ids, length = few["asset_id"].to_pylist(), few["length_m"].to_pylist()
    given: set[str] = set()
    for n in sorted(range(len(ids)), key=lambda n: -(length[n] or 0)):
        if ids[n] in given:
            ids[n] = mint()
        given.add(ids[n])
    chosen = np.zeros(assets.num_rows, bool)
    chosen[rows] = True
    new = pc.replace_with_mask(assets["asset_id"].combine_chunks(), pa.array(chosen), pa.array(ids, pa.string()))
    return assets.set_column(0, ASSETS.field("asset_id"), new)


def _without_doubles(assets: pa.Table, tile: Ints) -> tuple[pa.Table, dict[str, str]]:
    """The assets without those that a neighbouring tile keeps as well; from an id that goes to the one that stays.

    Args:
        assets: of all tiles.
        tile: (N,) which tile keeps each.
    """
    lon, lat = assets["lon"].to_numpy(), assets["lat"].to_numpy()
    at_border = np.minimum(_to_border_deg(lon), _to_border_deg(lat)) <= 2 * STRIP_DEG
    rows = np.flatnonzero(assets["length_m"].is_null().to_numpy() & at_border)
    xy = _rough_metres(lon[rows], lat[rows])
    i, j, distance = nearby_pairs(xy, xy, SAME_M)
    few, tile = assets.select(["class", "asset_id", "first_seen"]).take(rows), tile[rows]
    names, ids = few["class"].to_pylist(), few["asset_id"].to_pylist()
    first = few["first_seen"].cast(pa.int64()).to_numpy()
    same: dict[str, str] = {}
    paired: set[int] = set()
    gone: set[int] = set()
    for pair in np.argsort(distance, kind="stable").tolist():
        a, b = int(i[pair]), int(j[pair])
        if a < b and names[a] == names[b] and tile[a] != tile[b] and not paired & {a, b}:
            stays, goes = (a, b) if (first[a], ids[a]) <= (first[b], ids[b]) else (b, a)
            paired |= {a, b}
            gone.add(goes)
            if ids[goes] != ids[stays]:
                same[ids[goes]] = ids[stays]
    kept = np.setdiff1d(np.arange(assets.num_rows), rows[sorted(gone)])
    return assets.take(kept), same


def _to_border_deg(degrees: Floats) -> Floats:
    """How far from the nearest border between tiles."""
    return np.asarray(np.abs(degrees - np.round(degrees / TILE_DEG) * TILE_DEG))


def _rough_metres(lon: Floats, lat: Floats) -> Floats:
    """Metres (n, 2) that are right between points near each other, on a sphere."""
    return np.asarray(np.stack([lon * np.cos(np.radians(lat)), lat], axis=1) * M_PER_DEG)


def _stitched(assets: pa.Table) -> tuple[pa.Table, dict[str, str]]:
    """The assets with lines that were cut at a border made whole; from an id that goes to the one that stays.

    The id of the piece first seen stays.
    """
    rows = np.flatnonzero(assets["length_m"].is_valid().to_numpy())
    same: dict[str, str] = {}
    if len(rows) < 2:
        return assets, same
    shapes = shapely.from_wkb([assets["geometry"][row].as_py() for row in rows.tolist()])
    ends = np.array([shapely.get_coordinates(shape)[[0, -1]] for shape in shapes]).reshape(-1, 2)
    names = np.array([assets["class"][row].as_py() for row in rows.tolist()], dtype=object)
    seams = _seams(ends, names)
    if not seams:
        return assets, same
    a, b = np.array(seams).T // 2
    graph = coo_matrix((np.ones(len(a)), (a, b)), shape=(len(rows), len(rows)))
    label = connected_components(graph, directed=False)[1]
    whole, gone = [], []
    for group in np.unique(label[a]).tolist():
        members = np.flatnonzero(label == group)
        joints = [shapely.LineString(ends[[p, q]]) for p, q in seams if label[p // 2] == group]
        joints = [joint for joint in joints if joint.length > 0]
        merged = shapely.line_merge(shapely.MultiLineString([*shapes[members], *joints]))
        if merged.geom_type == "LineString":
            table = assets.take(rows[members])
            row = _one_row(table)
            stays = str(row["asset_id"])
            same |= {one: stays for one in table["asset_id"].to_pylist() if one != stays}
            whole.append(reshaped(pa.Table.from_pylist([row], schema=ASSETS), [merged], [stays]))
            gone += rows[members].tolist()
    kept = np.setdiff1d(np.arange(assets.num_rows), np.array(gone, np.int64))
    return pa.concat_tables([assets.take(kept), *whole]), same


def _seams(ends: Floats, names: npt.NDArray[np.object_]) -> list[tuple[int, int]]:
    """Pairs of line ends at a border that belong together, the nearest first; each end is in one at most.

    Args:
        ends: (2n, 2) degrees, first and last of each line.
        names: (n,) the class of each line.
    """
    cut = np.flatnonzero((_to_border_deg(ends) <= EDGE_DEG).any(axis=1))
    xy = _rough_metres(*ends[cut].T)
    i, j, distance = nearby_pairs(xy, xy, SEAM_M)
    seams = []
    used: set[int] = set()
    for pair in np.argsort(distance, kind="stable").tolist():
        a, b = int(cut[i[pair]]), int(cut[j[pair]])
        if a < b and a // 2 != b // 2 and names[a // 2] == names[b // 2] and not used & {a, b}:
            used |= {a, b}
            seams.append((a, b))
    return seams


def _one_row(pieces: pa.Table) -> dict[str, Any]:
    """The row of a line from those of its pieces: the longest one's, with the sums and extremes of all."""
    rows = sorted(pieces.to_pylist(), key=lambda row: -row["length_m"])
    oldest = min(rows, key=lambda row: (row["first_seen"], row["asset_id"]))
    latest = max(rows, key=lambda row: row["last_seen"])
    row: dict[str, Any] = rows[0]
    return row | {
        "asset_id": oldest["asset_id"],
        "n_observations": max(row["n_observations"] for row in rows),
        "n_nights": max(row["n_nights"] for row in rows),
        "first_seen": oldest["first_seen"],
        "last_seen": latest["last_seen"],
        "last_drive_id": latest["last_drive_id"],
    }


def in_several_tiles(parts: Collection[Built], stitched: Mapping[str, str]) -> set[str]:
    """The ids of assets of which more than one tile has a part."""
    tile = np.repeat(np.arange(len(parts)), [part.assets.num_rows for part in parts])
    ids = asset_ids(parts)
    before, after = (pa.array(list(names), pa.string()) for names in (stitched.keys(), stitched.values()))
    ids = pc.coalesce(after.take(pc.index_in(ids, before)), ids)
    pairs = pa.table({"id": ids, "tile": tile}).group_by(["id", "tile"]).aggregate([])
    counts = pairs.group_by("id").aggregate([([], "count_all")])
    return set(counts.filter(pc.greater(counts["count_all"], 1))["id"].to_pylist())


def tiles_of_gone(previous: pa.Table, built: Built) -> set[Tile]:
    """The tiles that the assets lay in which were published before and are another one now."""
    gone = pc.is_in(previous["asset_id"], pa.array(sorted(built.stitched), pa.string()))
    return tiles_of(previous.filter(gone)["bbox"].to_pylist())


def to_rebuild_next(built: Built, tiles: Mapping[Tile, Built]) -> set[Tile]:
    """Tiles with a piece of a line that got its id when tiles were put together; they are not kept, and built next."""
    known = pc.is_in(built.assets["asset_id"], asset_ids(tiles.values()))
    return tiles.keys() & tiles_of(built.assets["bbox"].filter(pc.invert(known)).to_pylist())
