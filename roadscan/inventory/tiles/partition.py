"""A country to tiles: the rows of each drive that a tile's build needs, and what of its result the tile owns.

Tiles are squares of `TILE_DEG` degrees. A tile's build sees every drive's frames within its borders and in a halo of
`MARGIN_DEG` around it, so that what stands at a border is built from the same rows on both sides; each side then keeps
what stands on its own. Lines are cut at the border and stitched together again (`roadscan.inventory.tiles.stitch`).

Legend: n places, m pairs of a place and a tile. Degrees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from roadscan.arrays import Floats, Ints
from roadscan.errors import ConfigError
from roadscan.inventory.build import Built, DriveTables
from roadscan.inventory.register.geoparquet import CORNERS, geometry_columns
from roadscan.survey.geodesy import WGS84, LocalFrame

Tile: TypeAlias = tuple[int, int]

TILE_DEG = 0.1  # 11 km
MARGIN_DEG = 0.006  # 650 m: what bears on an asset is within the camera's reach and its drive's bias nearby
STRIP_DEG = 2e-5  # 2 m: an asset this near to a border may have been placed on either side of it


def tile_name(tile: Tile) -> str:
    """A tile as people write it: its column and its row, of `TILE_DEG` degrees each, from longitude and latitude 0.

    >>> tile_name((1005, 137))
    '1005,137'
    """
    return f"{tile[0]},{tile[1]}"


def read_tile(name: str) -> Tile:
    """The tile of a name.

    Raises:
        ConfigError: it is none.

    >>> read_tile("1005,137")
    (1005, 137)
    """
    column, comma, row = name.partition(",")
    try:
        if comma:
            return int(column), int(row)
    except ValueError:
        pass
    raise ConfigError(
        f"tile: got {name!r}; expected COLUMN,ROW, such as 1005,137 for what is east of 100.5 degrees and north of 13.7"
    )


def tile_at(lon: float, lat: float) -> Tile:
    """The tile that a place lies in; the north pole lies in the northernmost.

    >>> tile_at(100.55, 13.72), tile_at(0, 90)
    ((1005, 137), (0, 899))
    """
    return int(np.floor(lon / TILE_DEG)), min(int(np.floor(lat / TILE_DEG)), round(90 / TILE_DEG) - 1)


def tiles_of(boxes: Iterable[Mapping[str, float]]) -> set[Tile]:
    """The tiles that boxes (`bbox` of `schemas.ASSETS`) lie in.

    >>> sorted(tiles_of([{"xmin": 100.55, "ymin": 13.72, "xmax": 100.61, "ymax": 13.73}]))
    [(1005, 137), (1006, 137)]
    """
    corners = [(tile_at(box["xmin"], box["ymin"]), tile_at(box["xmax"], box["ymax"])) for box in boxes]
    return {
        (column, row)
        for (west, south), (east, north) in corners
        for column in range(west, east + 1)
        for row in range(south, north + 1)
    }


def tile_frame(tile: Tile) -> LocalFrame:
    """The metres that a tile is built in, about its middle: those of all its drives, whichever came first."""
    return LocalFrame(*((number + 0.5) * TILE_DEG for number in tile))


def partition(tables: DriveTables) -> Iterator[tuple[Tile, DriveTables]]:
    """The rows of a drive for each tile that they are needed in; frames without a position are needed in none."""
    lon, lat = (tables.frames[name].to_numpy() for name in ("camera_lon", "camera_lat"))
    placed = np.flatnonzero(np.isfinite(np.asarray(lon, float)) & np.isfinite(np.asarray(lat, float)))
    rows, tiles = _tiles(np.asarray(lon, float)[placed], np.asarray(lat, float)[placed])
    frame_of = pc.fill_null(pc.index_in(tables.observations["frame_id"], tables.frames["frame_id"]), -1).to_numpy()
    for tile in np.unique(tiles, axis=0).tolist():
        mine = placed[np.unique(rows[(tiles == tile).all(axis=1)])]
        wanted = np.zeros(tables.frames.num_rows + 1, bool)  # the last stands for observations without a frame
        wanted[mine] = True
        chosen = np.flatnonzero(wanted[frame_of])
        part = DriveTables(tables.drive_id, tables.frames.take(mine), tables.observations.take(chosen))
        yield (tile[0], tile[1]), part


def _tiles(lon: Floats, lat: Floats) -> tuple[Ints, Ints]:
    """Pairs of a place and a tile that it is in, or in the halo of: (m,) and (m, 2)."""
    corners = [(i, j) for i in (-MARGIN_DEG, MARGIN_DEG) for j in (-MARGIN_DEG, MARGIN_DEG)]
    tiles = [np.floor(np.stack([lon + i, lat + j], axis=1) / TILE_DEG).astype(np.int64) for i, j in corners]
    return np.tile(np.arange(len(lon)), len(corners)), np.concatenate(tiles)


def halo(table: pa.Table, tile: Tile, margin_deg: float = MARGIN_DEG) -> pa.Table:
    """The assets of a tile and of its halo."""
    west, south = tile[0] * TILE_DEG - margin_deg, tile[1] * TILE_DEG - margin_deg
    east, north = west + TILE_DEG + 2 * margin_deg, south + TILE_DEG + 2 * margin_deg
    box = {corner: pc.struct_field(table["bbox"], corner) for corner in CORNERS}
    inside = pc.and_(pc.less_equal(box["xmin"], east), pc.greater_equal(box["xmax"], west))
    inside = pc.and_(inside, pc.and_(pc.less_equal(box["ymin"], north), pc.greater_equal(box["ymax"], south)))
    return table.filter(inside)


def around(points: pa.Table, tile: Tile) -> pa.Table:
    """The rows with a place (`lon`, `lat`) in a tile or in its halo."""
    place = [points[name].to_numpy() / TILE_DEG for name in ("lon", "lat")]
    margin = MARGIN_DEG / TILE_DEG
    inside = [(one >= edge - margin) & (one < edge + 1 + margin) for one, edge in zip(place, tile, strict=True)]
    return points.filter(pa.array(inside[0] & inside[1]))


def owned(built: Built, tile: Tile, mint: Callable[[], str]) -> Built:
    """What stands in a tile itself, of a build of the tile and its halo; lines are cut at its border."""
    west, south = tile[0] * TILE_DEG, tile[1] * TILE_DEG
    lon, lat = built.assets["lon"].to_numpy(), built.assets["lat"].to_numpy()
    is_line = built.assets["length_m"].is_valid().to_numpy()
    inside = (lon >= west - STRIP_DEG) & (lon < west + TILE_DEG + STRIP_DEG)
    inside &= (lat >= south - STRIP_DEG) & (lat < south + TILE_DEG + STRIP_DEG)
    points = built.assets.filter(pa.array(inside & ~is_line))
    border = shapely.box(west, south, west + TILE_DEG, south + TILE_DEG)
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
    lines = reshaped(built.assets.take(pa.array(rows, pa.int64())), shapes, ids)
    assets = pa.concat_tables([points, lines])
    changes, history, observations = (
        table.filter(pc.is_in(table["asset_id"], assets["asset_id"]))
        for table in (built.changes, built.history, built.observations)
    )
    return Built(assets, changes, history, built.aliases, observations)


def reshaped(table: pa.Table, shapes: list[shapely.Geometry], ids: list[str]) -> pa.Table:
    """Line assets (`schemas.ASSETS`) with other shapes in degrees, and their ids."""
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
