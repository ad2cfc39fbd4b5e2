"""What the next night of a national register costs: four million assets, 75,600 drives, then 200 more.

    python tests/benchmarks/bench_national.py                            # 200 cells of 360 km: about 15 GB of disk
    python tests/benchmarks/bench_national.py --cells 3 --roads 4 --drives 12
    python tests/benchmarks/bench_national.py --scattered                # its drives all over the country

One cell of half a degree is built for real: roads of 20 km that drives of `support.highway` survey on 21 nights, the
last one brought in by itself, with a linear reference. The country is that cell again and again, half a degree further
east each time, under ids, drives and routes of its own: the tables of the register, what is kept from night to night,
`runs` and `frames`. Metres of a tile are about its own middle, and those further east are as wide, so what is kept
holds there. What the night cannot read is left out, as the disk is small: the rows of `observations`, what drives said
alone in tiles where it does not drive, and `asset_observations` of such cells. Then its drives are committed, and
`update_inventory` runs in a process of its own: wall and processor time up to the end of each step, and the largest sum
of what it and its workers held.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.highway import Highway, drive
from support.watching import watched
from support.world import commit

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.inventory.reference import reference_digest
from roadscan.inventory.tiles.kept import OF_TILES, Settings, drive_digests
from roadscan.inventory.views import stored_views
from roadscan.packing import packed, unpacked
from roadscan.schemas import TABLES
from roadscan.warehouse import DataFile, Release, Warehouse

NIGHTS = 21
ROAD_M = 20_000.0
CELL_DEG, CELL_TILES = 0.5, 5
WEST, SOUTH = 60.0, 14.0
INSIDE_DEG = 0.02  # roads keep from the cell's border
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
NAMES = ("drive_id", "last_drive_id", "last_drive", "frame_id", "observation_id")
IDS = ("asset_id", "alias_id", "to_id")
DEGREES = ("lon", "camera_lon", "to_lon")
VIEWED = ("assets", "asset_changes", "asset_alias", "coverage")
Column = Callable[[pa.ChunkedArray], pa.Array]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--roads", type=int, default=18, help="in a cell")
    parser.add_argument("--drives", type=int, default=200, help="of the night that is measured")
    parser.add_argument("--scattered", action="store_true", help="they are all over the country, not cell by cell")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", help="keep the cell and the country here; a cell that is there is used again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-national-") as scratch:
        folder = Path(arguments.folder or scratch)
        _cell(folder / "cell", arguments.roads)
        every = range(arguments.cells * arguments.roads)
        step = len(every) // arguments.drives if arguments.scattered else 1
        night = Night([divmod(one, arguments.roads) for one in every[::step][: arguments.drives]])
        _country(folder, arguments.cells, arguments.roads, night)
        _commit_night(str(folder / "country"), arguments.roads, night)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(_measure, str(folder / "country"), str(folder / "country.geojson"), arguments.workers).result()


@dataclass(frozen=True)
class Night:
    """The night that is measured.

    Attributes:
        drives: the cell and the number there of each road that is driven.
    """

    drives: list[tuple[int, int]]

    @property
    def cells(self) -> set[int]:
        return {cell for cell, _ in self.drives}

    def tiles(self, roads: list[Highway], registered: pa.Table) -> dict[int, set[str]]:
        """By cell, the tiles that the night's drives lie in, under their names in the first cell.

        Args:
            roads: of a cell.
            registered: `schemas.INVENTORY_DRIVES` of the cell.
        """
        of_road: dict[str, set[str]] = {}
        for row in registered.to_pylist():
            of_road.setdefault(row["drive_id"].split("-")[0], set()).update(row["tiles"])
        found: dict[int, set[str]] = {}
        for cell, road in self.drives:
            found.setdefault(cell, set()).update(of_road[f"r{roads[road].seed:04d}"])
        return found


# One cell


def _roads(count: int, cell: int = 0) -> list[Highway]:
    """The roads of a cell: the first that stay inside of those that chance gives."""
    rng, roads, seed = np.random.default_rng(5), [], 0
    while len(roads) < count:
        seed += 1
        lon, lat = rng.uniform([WEST, SOUTH], [WEST + CELL_DEG, SOUTH + CELL_DEG]).tolist()
        road = Highway(seed, ROAD_M, lon=lon, lat=lat, nights=NIGHTS)
        if (np.abs(_line(road) - [WEST + CELL_DEG / 2, SOUTH + CELL_DEG / 2]) < CELL_DEG / 2 - INSIDE_DEG).all():
            roads.append(Highway(seed, ROAD_M, lon=lon + cell * CELL_DEG, lat=lat, nights=NIGHTS))
    return roads


def _line(road: Highway) -> np.ndarray:
    s = np.linspace(0, road.length_m, 400)
    return np.stack(road.home.to_lonlat(*road.xy(s, np.zeros(400)).T), axis=1)


def _cell(folder: Path, count: int) -> None:
    """Build a cell's register: of all its nights but one, then of the last."""
    if (folder / "current.json").exists():
        return
    roads = _roads(count)
    _write_reference(Path(f"{folder}.geojson"), [_centreline(_line(road), f"{n:04d}") for n, road in enumerate(roads)])
    warehouse, config = Warehouse(str(folder)), _config(str(folder), f"{folder}.geojson")
    for nights in (range(1, NIGHTS), range(NIGHTS, NIGHTS + 1)):
        for night in nights:
            commit(warehouse, *(drive(road, night) for road in roads))
        started = time.process_time()
        summary = update_inventory(config)
        assets = sum(sum(states.values()) for states in summary.assets.values())
        print(
            f"cell: {summary.drives} drives, {assets} assets, {time.process_time() - started:.0f} CPU s without workers"
        )


def _config(warehouse: str, reference: str, workers: int = 2) -> InventoryConfig:
    return InventoryConfig(
        warehouse=warehouse, reference={"uri": reference, "code_digits": 0}, execution={"workers": workers}
    )


def _centreline(line: np.ndarray, route: str) -> dict:
    properties = {"route_code": route, "section_code": "0100", "km_start": 0, "km_end": ROAD_M / 1000}
    geometry = {"type": "LineString", "coordinates": line.round(7).tolist()}
    return {"type": "Feature", "geometry": geometry, "properties": properties | {"district": "one"}}


def _write_reference(path: Path, features: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


# The country of such cells


def _country(folder: Path, cells: int, roads: int, night: Night) -> None:
    """Leave in a warehouse what nights of a whole country leave."""
    shutil.rmtree(folder / "country", ignore_errors=True)
    reference = folder / "country.geojson"
    highways = _roads(roads)
    lines = [_line(road) for road in highways]
    _write_reference(
        reference,
        [
            _centreline(line + np.array([cell * CELL_DEG, 0.0]), f"{cell:03d}{n:04d}")
            for cell in range(cells)
            for n, line in enumerate(lines)
        ],
    )
    source, warehouse = Warehouse(str(folder / "cell")), Warehouse(str(folder / "country"))
    release = source.current()
    copies = [Copy(number) for number in range(cells)]
    files = [_whole(warehouse, source, release, "runs", copies)]
    warehouse.publish(lambda base: warehouse.replacement(base, files, "runs"))
    config = _config(str(folder / "country"), str(reference))
    keys = Keys(config, drive_digests(warehouse, warehouse.current()))
    registered = source.read(release, "inventory_drives")
    files.append(_drives(warehouse, registered, copies, keys, reference_digest(config.reference)))
    files += _kept(warehouse, source, release, copies, keys, night.tiles(highways, registered))
    files += [_whole(warehouse, source, release, name, copies) for name in VIEWED]
    files += _file_by_file(warehouse, source, release, "asset_history", copies)
    files += _file_by_file(warehouse, source, release, "frames", copies)
    driven = [copy for copy in copies if copy.number in night.cells]
    files += _file_by_file(warehouse, source, release, "asset_observations", driven)
    tables = {name: warehouse.read_files([file for file in files if file.table == name], name) for name in VIEWED}
    files += [warehouse.write(name, table) for name, table in stored_views(tables).items()]
    warehouse.publish(lambda base: warehouse.replacement(base, files, "the country"))
    sizes = {name: sum(file.bytes for file in files if file.table == name) / 1e6 for name in TABLES}
    print(f"country: {tables['assets'].num_rows:,} assets; MB { ({k: round(v) for k, v in sizes.items() if v > 1}) }")


class Copy:
    """A cell's tables as those of the cell that lies `number` cells further east."""

    def __init__(self, number: int) -> None:
        self.number, self.east = number, number * CELL_DEG
        self._letters = CROCKFORD[number // 32] + CROCKFORD[number % 32]

    def table(self, rows: pa.Table) -> pa.Table:
        """The rows under names of their own, and where they are."""
        for name in rows.column_names:
            if (change := self._column(name, rows.schema.field(name).type)) is not None:
                field = rows.schema.field(name)
                rows = rows.set_column(rows.schema.get_field_index(name), field, change(rows[name]).cast(field.type))
        return rows

    def drive_id(self, name: str) -> str:
        return f"c{self.number:03d}-{name}"

    def tile(self, name: str) -> str:
        column, row = name.split(",")
        return f"{int(column) + self.number * CELL_TILES},{row}"

    def _column(self, name: str, type_: pa.DataType) -> Column | None:
        if name in IDS:
            return self._ids
        if name in NAMES:
            return lambda column: pc.binary_join_element_wise(f"c{self.number:03d}", column, "-")
        if name == "drive_ids":
            return lambda column: pa.array([[self.drive_id(one) for one in row] for row in column.to_pylist()])
        if name in DEGREES:
            return lambda column: pc.add(column, self.east)
        if name == "route_code":
            return lambda column: pc.binary_join_element_wise(f"{self.number:03d}", column, "")
        if name == "geometry":
            return self._shapes
        if name == "bbox":
            return self._boxes
        if name == "tile":
            return self._tiles
        return self._packed if type_ == pa.binary() else None

    def _ids(self, column: pa.ChunkedArray) -> pa.Array:
        """The 11th and 12th letter of a ULID are chance, and the same for all that were made in one millisecond."""
        return pc.utf8_replace_slice(column, 10, 12, self._letters)

    def _shapes(self, column: pa.ChunkedArray) -> pa.Array:
        shapes = shapely.from_wkb(column.to_numpy(zero_copy_only=False))
        return pa.array(
            shapely.to_wkb(shapely.transform(shapes, lambda xy: xy + np.array([self.east, 0.0]))), pa.binary()
        )

    def _boxes(self, column: pa.ChunkedArray) -> pa.Array:
        column = column.combine_chunks()
        arrays = [column.field(n) for n in range(column.type.num_fields)]
        names = [column.type.field(n).name for n in range(column.type.num_fields)]
        moved = [pc.add(a, self.east) if name.startswith("x") else a for a, name in zip(arrays, names, strict=True)]
        return pa.StructArray.from_arrays(moved, names)

    def _tiles(self, column: pa.ChunkedArray) -> pa.Array:
        encoded = column.combine_chunks().dictionary_encode()
        names = pa.array([self.tile(one) for one in encoded.dictionary.to_pylist()], pa.string())
        return pa.DictionaryArray.from_arrays(encoded.indices, names).cast(pa.string())

    def _packed(self, column: pa.ChunkedArray) -> pa.Array:
        """Tables in tables; their metres stay."""
        return pa.array([None if one is None else packed(self.table(unpacked(one))) for one in column.to_pylist()])


class Keys:
    """The keys of what is kept, for the drives of a country.

    Args:
        config: of the inventory.
        digests: of its drives, in their order.
    """

    def __init__(self, config: InventoryConfig, digests: dict[str, str]) -> None:
        self.settings, self.digests = Settings.of(config), digests
        self.drives_in: dict[str, list[str]] = {}
        self._order = {name: number for number, name in enumerate(digests)}

    def of(self, table: str, tile: str, rows: pa.Table) -> list[str]:
        """The key of each row of one of `OF_TILES`."""
        if table == "drive_estimates":
            return [self.settings.estimates_key(self.digests[one]) for one in rows["drive_id"].to_pylist()]
        if table == "tile_priors":
            return [self._together(names) for names in rows["drive_ids"].to_pylist()]
        return [self._together(sorted(self.drives_in[tile], key=self._order.__getitem__))]

    def _together(self, names: list[str]) -> str:
        return self.settings.tile_key([(name, self.digests[name]) for name in names])


def _drives(warehouse: Warehouse, registered: pa.Table, copies: list[Copy], keys: Keys, reference: str) -> DataFile:
    """Which drives the register is made of; notes in the keys which lie in each tile."""
    rows = []
    for copy in copies:
        for row in registered.to_pylist():
            name, tiles = copy.drive_id(row["drive_id"]), [copy.tile(tile) for tile in row["tiles"]]
            rows.append({"drive_id": name, "digest": keys.digests[name], "tiles": tiles, "reference": reference})
            for tile in tiles:
                keys.drives_in.setdefault(tile, []).append(name)
    return warehouse.write("inventory_drives", pa.Table.from_pylist(rows, schema=TABLES["inventory_drives"]))


def _kept(
    warehouse: Warehouse,
    source: Warehouse,
    release: Release,
    copies: list[Copy],
    keys: Keys,
    driven: dict[int, set[str]],
) -> Iterator[DataFile]:
    """What is kept of each tile from night to night, with the keys of now; of some what drives said alone."""
    for table in OF_TILES:
        for file in source.files(release, table):
            rows = source.read_files([file], table)
            name = rows["tile"][0].as_py()
            for copy in copies:
                if table != "drive_estimates" or name in driven.get(copy.number, ()):
                    tile = copy.tile(name)
                    moved = copy.table(rows)
                    new = pa.array(keys.of(table, tile, moved))
                    moved = moved.set_column(moved.column_names.index("key"), "key", new)
                    yield warehouse.write(table, moved, folder=f"tile={tile.replace(',', '_')}")


def _whole(warehouse: Warehouse, source: Warehouse, release: Release, name: str, copies: list[Copy]) -> DataFile:
    """A table that lies in one file."""
    rows = source.read(release, name)
    return warehouse.write(name, pa.concat_tables([copy.table(rows) for copy in copies]))


def _file_by_file(
    warehouse: Warehouse, source: Warehouse, release: Release, name: str, copies: list[Copy]
) -> Iterator[DataFile]:
    """A table that lies by cells, or by dates: each file, in the folder of each copy."""
    for file in source.files(release, name):
        rows = source.read_files([file], name)
        folder = "/".join(file.path.split("/")[1:-1])
        for copy in copies:
            where = folder
            if folder.startswith("cell="):
                cell, _, part = folder.removeprefix("cell=").partition("/")
                column, row = map(int, cell.split("_"))
                where = f"cell={column + copy.number}_{row}/{part}"
            yield warehouse.write(name, copy.table(rows), folder=where)


# The night


def _commit_night(folder: str, roads: int, night: Night) -> None:
    """Commit the drives of the night."""
    highways = {cell: _roads(roads, cell) for cell in night.cells}
    drives = [_renamed(drive(highways[cell][road], NIGHTS + 1), Copy(cell)) for cell, road in night.drives]
    commit(Warehouse(folder), *drives)
    print(f"night: {len(drives)} drives of {len(night.cells)} cells, {sum(len(one.frames) for one in drives):,} frames")


def _renamed(tables, copy: Copy):
    """A drive under the names of its cell; it was drawn where it is."""
    named = Copy(copy.number)
    named.east = 0.0
    return type(tables)(copy.drive_id(tables.drive_id), named.table(tables.frames), named.table(tables.observations))


def _measure(folder: str, reference: str, workers: int) -> None:
    """Print what the next run costs, step by step."""
    ends: dict[str, tuple[float, float, float, int]] = {}
    started = time.monotonic()
    with watched() as cost:

        def note(step: str) -> None:
            cost.look()
            count = ends[step][3] if step in ends else 0
            ends[step] = (time.monotonic() - started, cost.cpu_s, cost.peak_gb, count + 1)

        summary = update_inventory(_config(folder, reference, workers), lambda done, total, unit: note(unit))
        note("published")
    table = Table("up to", "how many", "wall s", "CPU s", "memory GB")
    for step, (wall, used, memory, count) in ends.items():
        table.add_row(step, f"{count:,}", f"{wall:.0f}", f"{used:.0f}", f"{memory:.1f}")
    Console().print(table)
    assets = sum(sum(states.values()) for states in summary.assets.values())
    print(
        f"{assets:,} assets of {summary.drives:,} drives, {summary.drives_read} read, {summary.tiles_built} tiles built"
    )


if __name__ == "__main__":
    main()
