"""What drives said of assets to the files of `asset_history`, tile by tile: what is settled is not written again.

A tile's folder holds the rows of the drives that its builds still weigh together, written with every build, and those
of the drives that they leave out, to which only is added. A line over a border is in several tiles; what a drive says
of it is kept by the tile that has it already, or else by the first that does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.inventory.register.identity import with_ids
from roadscan.inventory.register.rows import in_time
from roadscan.inventory.tiles.execute import BuiltTile
from roadscan.inventory.tiles.kept import folder_of
from roadscan.inventory.tiles.partition import Tile
from roadscan.warehouse import DataFile, Release, Warehouse

SETTLED = "settled"
SMALL_ROWS = 20_000  # a file of settled rows with fewer is written again with the next ones
Said = tuple[str, str]  # an asset, and the drive that said something of it


@dataclass(frozen=True)
class TileHistory:
    """What drives said of the assets of a tile that was built.

    Attributes:
        tile: which one.
        rows: `schemas.ASSET_HISTORY`, of the drives that were weighed together.
        left_out: the drives that the next build leaves out.
        anew: whether it was built from all its drives.
    """

    tile: Tile
    rows: pa.Table
    left_out: frozenset[str]
    anew: bool

    @staticmethod
    def of(made: BuiltTile) -> TileHistory:
        """Of a tile as it was built."""
        return TileHistory(made.tile, made.built.history, frozenset(made.prior["drive_ids"]), made.anew)


def write_history(
    warehouse: Warehouse,
    release: Release,
    made: Collection[TileHistory],
    stitched: Mapping[str, str],
    carried: Collection[Tile],
) -> list[DataFile]:
    """Write what drives said of the assets of tiles that were built; all files of these, which no release names yet.

    Args:
        warehouse: where to.
        release: what was published before.
        made: the tiles.
        stitched: from ids that tiles gave to those that are published.
        carried: the tiles that are as they were.
    """
    over_borders = set(stitched.values())
    beside = {tile for one in made for tile in _beside(one.tile)} & set(carried)
    taken = _said_there(warehouse, release, beside, over_borders)
    files = []
    for one in sorted(made, key=lambda one: one.tile):
        rows = with_ids(one.rows, dict(stitched))
        said = list(zip(rows["asset_id"].to_pylist(), rows["drive_id"].to_pylist(), strict=True))
        rows = rows.filter(pa.array([pair not in taken for pair in said], pa.bool_()))
        taken |= {pair for pair in said if pair[0] in over_borders}
        files += _files(warehouse, release, one, rows)
    return files


def _files(warehouse: Warehouse, release: Release, made: TileHistory, rows: pa.Table) -> list[DataFile]:
    """The files of one tile, of which `rows` says what the drives said that it was built from."""
    left_out = pc.is_in(rows["drive_id"], pa.array(sorted(made.left_out), pa.string()))
    fresh, folder = rows.filter(left_out), f"{folder_of(made.tile)}/{SETTLED}"
    settled = [] if made.anew else warehouse.files(release, "asset_history", folder=folder)
    small = [file for file in settled if file.rows < SMALL_ROWS] if fresh.num_rows else []
    files = [file for file in settled if file not in small]
    if fresh.num_rows:
        fresh = pa.concat_tables([warehouse.read_files(small, "asset_history"), fresh])
        files.append(warehouse.write("asset_history", in_time(fresh, "looked_at"), folder=folder))
    open_rows = in_time(rows.filter(pc.invert(left_out)), "looked_at")
    return [*files, warehouse.write("asset_history", open_rows, folder=f"{folder_of(made.tile)}/open")]


def _said_there(
    warehouse: Warehouse, release: Release, tiles: Collection[Tile], asset_ids: Collection[str]
) -> set[Said]:
    """What tiles have already of some assets."""
    if not asset_ids:
        return set()
    files = [file for tile in tiles for file in warehouse.files(release, "asset_history", folder=folder_of(tile))]
    rows = warehouse.read_files(files, "asset_history", ["asset_id", "drive_id"])
    rows = rows.filter(pc.is_in(rows["asset_id"], pa.array(sorted(asset_ids), pa.string())))
    return set(zip(rows["asset_id"].to_pylist(), rows["drive_id"].to_pylist(), strict=True))


def _beside(tile: Tile) -> set[Tile]:
    """The tiles around one."""
    return {(tile[0] + i, tile[1] + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} - {tile}
