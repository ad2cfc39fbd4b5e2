"""What drives said of assets to the files of `asset_history` and `asset_observations`, cell by cell of half a degree.

A cell's folder holds the rows of the drives that its tiles' builds still weigh together, written whenever one of these
is built, and those of the drives that they leave out: these are settled, and only added to. A night writes about what
it adds, however much is settled: that lies in several files, each more than `GROWTH` times as large as all smaller ones
together, and what is in them is known by the log's statistics.

A line over a border is in several tiles; what a drive says of it is kept by the tile that has it already, or else by
the first that does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.inventory.register.identity import with_ids
from roadscan.inventory.tiles.execute import BuiltTile
from roadscan.inventory.tiles.kept import SAID, read_prior, tile_of
from roadscan.inventory.tiles.partition import Tile, tile_name
from roadscan.schemas import TABLES
from roadscan.warehouse import DataFile, Release, Warehouse

CELL_TILES = 5  # on a side: so a country is some hundred files, and not some for each of its thousands of tiles
OPEN, SETTLED = "open", "settled"  # folders
SMALL_ROWS = 200_000  # a file of settled rows with fewer is written again, once those after it have grown …
GROWTH = 4  # … to this part of it
ONE_DRIVE = timedelta(days=7)  # within which what two tiles say of one drive lies
#: By what a row of an asset is told from others, and the time of it.
_OF_ASSET = {"asset_history": ("drive_id", "looked_at"), "asset_observations": ("observation_id", "captured_at")}


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
    shared: Collection[str],
    renamed: Collection[Tile],
) -> list[DataFile]:
    """Write what drives said of the assets of tiles that were built; all files of both tables, also of other tiles.

    Args:
        warehouse: where to.
        release: what was published before.
        made: the tiles that were built.
        carried: those that are as they were.
        stitched: from ids that tiles gave, or that were published before, to those that are published now.
        shared: the ids of now that more than one tile has.
        renamed: tiles with an asset that was published before under another id.
    """
    before = {tile_of(file) for file in warehouse.files(release, "tile_priors")}
    gone = before - {one.tile for one in made} - set(carried)
    touched = {cell_of(tile) for tile in (*(one.tile for one in made), *renamed, *gone)}
    anew = {one.tile for one in made if one.anew}
    stale = {cell_of(tile) for tile in gone | {one for one in anew & before if _has_settled(warehouse, release, one)}}
    by_cell: dict[Tile, list[TileHistory]] = {}
    for one in sorted(made, key=lambda one: one.tile):
        by_cell.setdefault(cell_of(one.tile), []).append(one)
    files = []
    for table in SAID:
        taken = _said_before(warehouse, release, table, made, carried, shared)
        for cell in sorted({cell_of(tile) for tile in before} | touched):
            if cell not in touched:
                files += warehouse.files(release, table, folder=_folder(cell))
                continue
            fresh = [_own_rows(one, table, stitched, shared, taken) for one in by_cell.get(cell, [])]
            one_cell = _Cell(warehouse, release, table, cell, stitched if cell in _cells(renamed) else {})
            files += one_cell.files(fresh, by_cell.get(cell, []), set(carried), stale=cell in stale)
    return files


def files_to_merge(file_rows: Sequence[int], added: int) -> list[int]:
    """Which files are written again together with rows that are added: the smallest ones, as far as that is worth it.

    A row is so written again a few times for each time that its file grows fivefold, and there are never more than some
    five files of fewer than `SMALL_ROWS` rows.

    Args:
        file_rows: of each file.
        added: rows; at least one.

    Returns:
        Their places in `file_rows`, the smallest first.

    >>> files_to_merge([250_000, 9_000, 500, 40], added=20), files_to_merge([9_000, 2_000, 500], added=20)
    ([3], [])
    """
    chosen, rows = [], added
    for place in sorted(range(len(file_rows)), key=lambda place: file_rows[place]):
        if file_rows[place] >= SMALL_ROWS or file_rows[place] > GROWTH * rows:
            break
        chosen.append(place)
        rows += file_rows[place]
    return chosen


def cell_of(tile: Tile) -> Tile:
    """The cell of a tile.

    >>> cell_of((1004, -1))
    (200, -1)
    """
    return tile[0] // CELL_TILES, tile[1] // CELL_TILES


@dataclass(frozen=True)
class _Cell:
    """The files of one table and cell; `same` as of `with_ids`, for rows that were published before."""

    warehouse: Warehouse
    release: Release
    table: str
    cell: Tile
    same: Mapping[str, str]

    def files(
        self, fresh: list[pa.Table], made: list[TileHistory], carried: set[Tile], *, stale: bool
    ) -> list[DataFile]:
        """The files of now: `fresh` has the rows of each tile that was built, `stale` is as of `_settled`."""
        settled = [one.filter(_by(one, tile.left_out)) for one, tile in zip(fresh, made, strict=True)]
        still_open = [one.filter(pc.invert(_by(one, tile.left_out))) for one, tile in zip(fresh, made, strict=True)]
        old = self._of_tiles(self._old(OPEN), carried)
        return [
            *self._settled(settled, carried | {one.tile for one in made if not one.anew}, stale=stale),
            self._write(OPEN, [self._renamed(old), *still_open]),
        ]

    def _settled(self, added: list[pa.Table], still: set[Tile], *, stale: bool) -> list[DataFile]:
        """The settled files, with rows added; `stale` where some are of tiles that are not `still` as they were."""
        files = self._old(SETTLED)
        if self.same or stale:
            rows = [self._renamed(self._of_tiles(files, still)), *added]
            return [self._write(SETTLED, rows)] if any(one.num_rows for one in rows) else []
        if not any(one.num_rows for one in added):
            return files
        small = [files[k] for k in files_to_merge([file.rows for file in files], sum(one.num_rows for one in added))]
        rows = [self.warehouse.read_files(small, self.table), *added]
        return [*(file for file in files if file not in small), self._write(SETTLED, rows)]

    def _old(self, part: str) -> list[DataFile]:
        return self.warehouse.files(self.release, self.table, folder=f"{_folder(self.cell)}/{part}")

    def _of_tiles(self, files: list[DataFile], tiles: Iterable[Tile]) -> pa.Table:
        return _in_tiles(self.warehouse.read_files(files, self.table), tiles)

    def _renamed(self, rows: pa.Table) -> pa.Table:
        return with_ids(rows, dict(self.same)) if self.same else rows

    def _write(self, part: str, rows: list[pa.Table]) -> DataFile:
        order = [(name, "ascending") for name in ("asset_id", _OF_ASSET[self.table][1], _OF_ASSET[self.table][0])]
        together = pa.concat_tables([TABLES[self.table].empty_table(), *(one.cast(TABLES[self.table]) for one in rows)])
        return self.warehouse.write(self.table, together.sort_by(order), folder=f"{_folder(self.cell)}/{part}")


def _own_rows(
    made: TileHistory,
    table: str,
    stitched: Mapping[str, str],
    shared: Collection[str],
    taken: set[tuple[str, str]],
) -> pa.Table:
    """The rows of a tile under the ids of now, without those in `taken`, to which those of `shared` assets go."""
    rows = with_ids(made.rows[table], dict(stitched))
    said = _said(rows, table)
    rows = rows.filter(pa.array([pair not in taken for pair in said], pa.bool_()))
    taken |= {pair for pair in said if pair[0] in shared}
    tile = pa.array([tile_name(made.tile)] * rows.num_rows, pa.string())
    return rows.set_column(rows.schema.get_field_index("tile"), "tile", tile)


def _in_tiles(rows: pa.Table, tiles: Iterable[Tile]) -> pa.Table:
    return rows.filter(pc.is_in(rows["tile"], pa.array(sorted(map(tile_name, tiles)), pa.string())))


def _by(rows: pa.Table, drive_ids: Collection[str]) -> pa.ChunkedArray:
    """Which rows are of these drives."""
    return pc.is_in(rows["drive_id"], pa.array(sorted(drive_ids), pa.string()))


def _said(rows: pa.Table, table: str) -> list[tuple[str, str]]:
    """Of each row the asset, and by what it is told from others of that asset."""
    return list(zip(rows["asset_id"].to_pylist(), rows[_OF_ASSET[table][0]].to_pylist(), strict=True))


def _said_before(
    warehouse: Warehouse,
    release: Release,
    table: str,
    made: Collection[TileHistory],
    carried: Collection[Tile],
    asset_ids: Collection[str],
) -> set[tuple[str, str]]:
    """What is there already of some assets: all that carried tiles have beside those made, and what these settled.

    Only of about the time of what the tiles say now, as of no other is anything said twice.
    """
    times = [one.rows[table][_OF_ASSET[table][1]] for one in made if one.rows[table].num_rows]
    if not asset_ids or not times:
        return set()
    ends = pc.min_max(pa.chunked_array([chunk for column in times for chunk in column.chunks])).as_py()
    between = (_OF_ASSET[table][1], ends["min"] - ONE_DRIVE, ends["max"] + ONE_DRIVE)
    around = {(one.tile[0] + i, one.tile[1] + j) for one in made for i in (-1, 0, 1) for j in (-1, 0, 1)}
    found: set[tuple[str, str]] = set()
    for part, tiles in (("", around & set(carried)), (f"/{SETTLED}", {one.tile for one in made if not one.anew})):
        folders = [_folder(cell) + part for cell in _cells(tiles)]
        files = [file for one in folders for file in warehouse.files(release, table, folder=one, between=between)]
        rows = _in_tiles(warehouse.read_files(files, table, ["asset_id", "tile", _OF_ASSET[table][0]]), tiles)
        found |= set(_said(rows.filter(pc.is_in(rows["asset_id"], pa.array(sorted(asset_ids), pa.string()))), table))
    return found


def _has_settled(warehouse: Warehouse, release: Release, tile: Tile) -> bool:
    """Whether drives of a tile were left out, so that what they said is settled."""
    return any(read_prior(warehouse, release, tile)["drive_ids"].to_pylist())


def _cells(tiles: Iterable[Tile]) -> set[Tile]:
    return {cell_of(tile) for tile in tiles}


def _folder(cell: Tile) -> str:
    return f"cell={cell[0]}_{cell[1]}"
