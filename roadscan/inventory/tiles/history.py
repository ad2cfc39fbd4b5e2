"""What drives said of assets to the files of `asset_history` and `asset_observations`, tile by tile.

A tile's folder holds the rows of the drives that its builds still weigh together, written with every build, and those
of the drives that they leave out: these are settled, are not written again, and only added to. A line over a border is
in several tiles; what a drive says of it is kept by the tile that has it already, or else by the first that does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.inventory.register.identity import with_ids
from roadscan.inventory.register.rows import by_asset, in_time
from roadscan.inventory.tiles.execute import BuiltTile
from roadscan.inventory.tiles.kept import SAID, folder_of
from roadscan.inventory.tiles.partition import Tile
from roadscan.warehouse import DataFile, Release, Warehouse

OPEN, SETTLED = "open", "settled"  # folders
SMALL_ROWS = 20_000  # a file of settled rows with fewer is written again with the next ones
#: By what a row of an asset is told from others, and the order of the rows.
_OF_ASSET: Mapping[str, tuple[str, Callable[[pa.Table], pa.Table]]] = {
    "asset_history": ("drive_id", lambda rows: in_time(rows, "looked_at")),
    "asset_observations": ("observation_id", by_asset),
}


@dataclass(frozen=True)
class TileHistory:
    """What drives said of the assets of a tile that was built.

    Attributes:
        tile: which one.
        rows: of each table of `SAID`, of the drives that were weighed together.
        left_out: the drives that the next build leaves out.
        anew: whether it was built from all its drives.
    """

    tile: Tile
    rows: Mapping[str, pa.Table]
    left_out: frozenset[str]
    anew: bool

    @staticmethod
    def of(made: BuiltTile) -> TileHistory:
        """Of a tile as it was built."""
        rows = dict(zip(SAID, (made.built.history, made.built.observations), strict=True))
        return TileHistory(made.tile, rows, frozenset(made.prior["drive_ids"]), made.anew)


def write_history(
    warehouse: Warehouse,
    release: Release,
    made: Collection[TileHistory],
    carried: Collection[Tile],
    stitched: Mapping[str, str],
    renamed: Collection[Tile],
) -> list[DataFile]:
    """Write what drives said of the assets of tiles that were built; all files of both tables, also of other tiles.

    Args:
        warehouse: where to.
        release: what was published before.
        made: the tiles that were built.
        carried: those that are as they were.
        stitched: from ids that tiles gave, or that were published before, to those that are published now.
        renamed: tiles with an asset that was published before under another id.
    """
    over_borders = set(stitched.values())
    beside = {tile for one in made for tile in _beside(one.tile)} & set(carried)
    files = []
    for table in SAID:
        taken = _said_there(warehouse, release, table, beside, over_borders)
        for one in sorted(made, key=lambda one: one.tile):
            rows = with_ids(one.rows[table], dict(stitched))
            said = _said(rows, table)
            rows = rows.filter(pa.array([pair not in taken for pair in said], pa.bool_()))
            taken |= {pair for pair in said if pair[0] in over_borders}
            same = stitched if one.tile in renamed else {}
            settled = [] if one.anew else _again(warehouse, release, table, _folder(one.tile, SETTLED), same)
            files += _files(warehouse, table, one, rows, settled)
        for tile in sorted(carried):
            same = stitched if tile in renamed else {}
            for part in (SETTLED, OPEN):
                files += _again(warehouse, release, table, _folder(tile, part), same)
    return files


def _again(warehouse: Warehouse, release: Release, table: str, folder: str, same: Mapping[str, str]) -> list[DataFile]:
    """The files of a folder as they were, but for ids that are other ones now."""
    files = warehouse.files(release, table, folder=folder)
    if not (files and same):
        return files
    rows = with_ids(warehouse.read_files(files, table), dict(same))
    return [warehouse.write(table, _OF_ASSET[table][1](rows), folder=folder)]


def _files(
    warehouse: Warehouse, table: str, made: TileHistory, rows: pa.Table, settled: list[DataFile]
) -> list[DataFile]:
    """The files of a table and a tile.

    Args:
        warehouse: where to.
        table: which.
        made: the tile.
        rows: what those drives said that it was built from.
        settled: files of what others said.
    """
    in_order = _OF_ASSET[table][1]
    left_out = pc.is_in(rows["drive_id"], pa.array(sorted(made.left_out), pa.string()))
    fresh = rows.filter(left_out)
    small = [file for file in settled if file.rows < SMALL_ROWS] if fresh.num_rows else []
    files = [file for file in settled if file not in small]
    if fresh.num_rows:
        fresh = pa.concat_tables([warehouse.read_files(small, table), fresh])
        files.append(warehouse.write(table, in_order(fresh), folder=_folder(made.tile, SETTLED)))
    still_open = in_order(rows.filter(pc.invert(left_out)))
    return [*files, warehouse.write(table, still_open, folder=_folder(made.tile, OPEN))]


def _folder(tile: Tile, part: str) -> str:
    return f"{folder_of(tile)}/{part}"


def _said(rows: pa.Table, table: str) -> list[tuple[str, str]]:
    """Of each row the asset, and by what it is told from others of that asset."""
    return list(zip(rows["asset_id"].to_pylist(), rows[_OF_ASSET[table][0]].to_pylist(), strict=True))


def _said_there(
    warehouse: Warehouse, release: Release, table: str, tiles: Collection[Tile], asset_ids: Collection[str]
) -> set[tuple[str, str]]:
    """What tiles have already of some assets."""
    if not asset_ids:
        return set()
    files = [file for tile in tiles for file in warehouse.files(release, table, folder=folder_of(tile))]
    rows = warehouse.read_files(files, table, ["asset_id", _OF_ASSET[table][0]])
    return set(_said(rows.filter(pc.is_in(rows["asset_id"], pa.array(sorted(asset_ids), pa.string()))), table))


def _beside(tile: Tile) -> set[Tile]:
    """The tiles around one."""
    return {(tile[0] + i, tile[1] + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} - {tile}
