"""A warehouse and an asset's id to all that one release holds of that asset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from roadscan.errors import WarehouseError
from roadscan.inventory.explain.replay import Looks
from roadscan.inventory.query import query_release, quoted
from roadscan.inventory.tiles.partition import MARGIN_DEG, TILE_DEG
from roadscan.warehouse import Release, Warehouse

NEAREST_IDS = 3
OBSERVATION_COLUMNS = [
    "observation_id", "image_uri", "captured_at", "camera_lon", "camera_lat", "class", "score", "bearing_deg",
    "range_m", "range_sigma_m", "near_bearing_deg", "near_range_m",
]  # fmt: skip
FRAME_COLUMNS = [
    "frame_id", "image_uri", "captured_at", "camera_lon", "camera_lat", "heading_deg", "fov_deg", "status",
]  # fmt: skip

Row = dict[str, Any]


@dataclass(frozen=True)
class Records:
    """What a release holds of an asset.

    Attributes:
        release: its number.
        asked: the id that was asked for.
        alias: the row of `schemas.ASSET_ALIAS` of that id; None where it is the asset's own.
        asset: of `schemas.ASSETS`.
        history: of `schemas.ASSET_HISTORY`, in the order in which the drives ended.
        changes: of `schemas.ASSET_CHANGES`, in their order.
        reviews: of `schemas.REVIEWS` that name it, in their order.
        others: what drives that saw them told of assets of its class in its tile; of a line, of all lines.
        observations: of each drive of the history, near the asset, by drive.
        frames: the same of each drive that missed it.
    """

    release: int
    asked: str
    alias: Row | None
    asset: Row
    history: list[Row]
    changes: list[Row]
    reviews: list[Row]
    others: Looks
    observations: Mapping[str, pa.Table]
    frames: Mapping[str, pa.Table]


def read_records(uri: str, asset_id: str, as_of: datetime | None = None) -> Records:
    """All that one release holds of an asset.

    Args:
        uri: the warehouse's root.
        asset_id: of the asset, or an id of before that is an alias of it now.
        as_of: the release that was current then; None for the current one.

    Raises:
        WarehouseError: the register has no such asset; the ids most like it. Or nothing was published by then.
    """
    files = Warehouse(uri)
    release = files.published() if as_of is None else files.as_of(as_of)

    def rows(sql: str) -> list[Row]:
        found: list[Row] = query_release(files, release, sql).to_pylist()
        return found

    def first(sql: str) -> Row | None:
        return next(iter(rows(sql)), None)

    one, alias = quoted(asset_id), None
    asset = first(f"FROM assets WHERE asset_id = {one}")
    if asset is None and (alias := first(f"FROM asset_alias WHERE alias_id = {one}")):
        one = quoted(alias["asset_id"])
        asset = first(f"FROM assets WHERE asset_id = {one}")
    if asset is None:
        likeness = f"jaro_winkler_similarity(id, {quoted(asset_id)})"
        nearest = rows(f"SELECT id FROM asset_ids ORDER BY {likeness} DESC, id LIMIT {NEAREST_IDS}")  # noqa: S608
        raise WarehouseError(_unknown(uri, asset_id, [row["id"] for row in nearest]))
    names = f"SELECT {one} UNION ALL SELECT alias_id FROM asset_alias WHERE asset_id = {one}"  # noqa: S608
    history = rows(
        f"FROM asset_history WHERE asset_id IN ({names}) QUALIFY row_number() OVER "
        f"(PARTITION BY drive_id ORDER BY asset_id = {one} DESC) = 1 ORDER BY looked_at, drive_id"
    )
    drives = [row["drive_id"] for row in history]
    missed = [row["drive_id"] for row in history if not row["seen"]]
    return Records(
        release=release.number,
        asked=asset_id,
        alias=alias,
        asset=asset,
        history=history,
        changes=rows(f"FROM asset_changes WHERE asset_id = {one} ORDER BY changed_at, change"),
        reviews=rows(f"FROM reviews WHERE asset_id IN ({names}) OR target_id IN ({names}) ORDER BY reviewed_at"),
        others=_others(query_release(files, release, _others_sql(asset)), line=asset["length_m"] is not None),
        observations={d: _near(files, release, "observations", d, OBSERVATION_COLUMNS, asset) for d in drives},
        frames={d: _near(files, release, "frames", d, FRAME_COLUMNS, asset) for d in missed},
    )


def _unknown(uri: str, asset_id: str, nearest: list[str]) -> str:
    if not nearest:
        return (
            f"asset_id: got {asset_id!r}; {uri} has no assets; run roadscan inventory --set warehouse={uri}, or, if it "
            "was there once, ask with --as-of"
        )
    return (
        f"asset_id: got {asset_id!r}, which the register does not have; most like it: {', '.join(nearest)}; for those "
        f"that there are run: roadscan query {uri} 'FROM assets'. A candidate that drives refuted leaves the register: "
        "ask for it with --as-of"
    )


def _others_sql(asset: Row) -> str:
    """What drives that saw them told of assets like one, in the tile that it was built in."""
    tile = [asset[name] // TILE_DEG * TILE_DEG for name in ("lon", "lat")]
    (west, east), (south, north) = ((low - MARGIN_DEG, low + TILE_DEG + MARGIN_DEG) for low in tile)
    alike = "a.length_m IS NOT NULL" if asset["length_m"] is not None else f"a.class = {quoted(asset['class'])}"
    return f"""
        SELECT h.hits, h.covering FROM asset_history AS h JOIN assets AS a USING (asset_id)
        WHERE h.seen AND {alike} AND asset_id <> {quoted(asset["asset_id"])}
        AND a.lon BETWEEN {west} AND {east} AND a.lat BETWEEN {south} AND {north}"""  # noqa: S608


def _others(table: pa.Table, *, line: bool) -> Looks:
    hits, opportunities = (table[name].to_numpy() for name in ("hits", "covering"))
    return Looks.of(hits, opportunities, line=line)


def _near(files: Warehouse, release: Release, table: str, drive_id: str, columns: list[str], asset: Row) -> pa.Table:
    """A drive's rows within the cameras' reach of an asset."""
    rows = files.read(release, table, drive_id=drive_id, columns=columns)
    west, south, east, north = shapely.from_wkb(asset["geometry"]).bounds
    lon, lat = rows["camera_lon"], rows["camera_lat"]
    inside = pc.and_(pc.greater_equal(lon, west - MARGIN_DEG), pc.less_equal(lon, east + MARGIN_DEG))
    inside = pc.and_(inside, pc.greater_equal(lat, south - MARGIN_DEG))
    return rows.filter(pc.and_(inside, pc.less_equal(lat, north + MARGIN_DEG)))
