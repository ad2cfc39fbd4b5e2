"""What the next night of a national register costs: four million assets, 73,500 drives, then 200 more.

    python tests/benchmarks/bench_national.py                            # 100 cells of 700 km: about 12 GB of disk
    python tests/benchmarks/bench_national.py --cells 3 --roads 4 --drives 12
    python tests/benchmarks/bench_national.py --scattered                # its drives all over the country

One cell of half a degree is built for real: roads of 20 km that drives of `support.highway` survey on 21 nights, the
last one brought in by itself, with a linear reference. The country is that cell again and again, half a degree further
east each time, under ids, drives and routes of its own: the tables of the register, what is kept from night to night,
`runs` and `frames` (nothing reads the rows of `observations` again). Metres of a tile are about its own middle, and
those further east are as wide, so what is kept holds there. Then drives are committed and `update_inventory` runs in a
process of its own: wall and processor time to each step's end, and the largest sum of what it and its workers held.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.highway import Highway, drive
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
WEST, SOUTH = 98.0, 14.0
INSIDE_DEG = 0.02  # roads keep from the cell's border
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
NAMES = ("drive_id", "last_drive_id", "last_drive", "frame_id", "observation_id")
IDS = ("asset_id", "alias_id", "to_id")
DEGREES = ("lon", "camera_lon", "to_lon")
VIEWED = ("assets", "asset_changes", "asset_alias", "coverage")
Column = Callable[[pa.ChunkedArray], pa.Array]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--roads", type=int, default=35, help="in a cell")
    parser.add_argument("--drives", type=int, default=200, help="of the night that is measured")
    parser.add_argument("--scattered", action="store_true", help="they are all over the country, not cell by cell")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", help="keep the cell and the country here, and use what is there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-national-") as scratch:
        folder = Path(arguments.folder or scratch)
        _cell(folder / "cell", arguments.roads)
        _country(folder, arguments.cells, arguments.roads)
        shutil.copytree(folder / "country", Path(scratch) / "night", symlinks=True, copy_function=_linked)
        _commit_night(f"{scratch}/night", arguments)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(_measure, f"{scratch}/night", str(folder / "country.geojson"), arguments.workers).result()


def _linked(source: str, target: str) -> None:
    """A file under another name: the warehouse never writes into one that is there but for its pointer."""
    if Path(source).name == "current.json":
        shutil.copy(source, target)
    else:
        Path(target).hardlink_to(source)


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
        print(f"cell: {summary.drives} drives, {assets} assets, {time.process_time() - started:.0f} CPU s without workers")


def _config(warehouse: str, reference: str, workers: int = 2) -> InventoryConfig:
    return InventoryConfig(warehouse=warehouse, reference={"uri": reference, "code_digits": 0}, execution={"workers": workers})


def _centreline(line: np.ndarray, route: str) -> dict:
    properties = {"route_code": route, "section_code": "0100", "km_start": 0, "km_end": ROAD_M / 1000}
    geometry = {"type": "LineString", "coordinates": line.round(7).tolist()}
    return {"type": "Feature", "geometry": geometry, "properties": properties | {"district": "one"}}


def _write_reference(path: Path, features: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


# The country of such cells


def _country(folder: Path, cells: int, roads: int) -> None:
    """Leave in a warehouse what nights of a whole country leave."""
    if (folder / "country" / "current.json").exists():
        return
    reference = folder / "country.geojson"
    lines = [_line(road) for road in _roads(roads)]
    _write_reference(
        reference,
        [
            _centreline(line + [cell * CELL_DEG, 0], f"{cell:03d}{n:04d}")
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
    files += _kept(warehouse, source, release, copies, keys, reference_digest(config.reference))
    for name in (*VIEWED, "asset_history", "asset_observations", "frames"):
        if name in VIEWED:
            files.append(_whole(warehouse, source, release, name, copies))
        else:
            files += _file_by_file(warehouse, source, release, name, copies)
    tables = {name: warehouse.read_files([file for file in files if file.table == name], name) for name in VIEWED}
    files += [warehouse.write(name, table) for name, table in stored_views(tables).items()]
    warehouse.publish(lambda base: warehouse.replacement(base, files, "the country"))
    sizes = {name: sum(file.bytes for file in files if file.table == name) / 1e6 for name in TABLES}
    print(f"country: {tables['assets'].num_rows:,} assets; MB {({k: round(v) for k, v in sizes.items() if v > 1})}")


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
        return pa.array(shapely.to_wkb(shapely.transform(shapes, lambda xy: xy + [self.east, 0])), pa.binary())

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
        self._order = {name: number for number, name in enumerate(digests)}

    def together(self, drive_ids: list[str], *, sort: bool) -> str:
        names = sorted(drive_ids, key=self._order.__getitem__) if sort else drive_ids
        return self.settings.tile_key([(name, self.digests[name]) for name in names])


def _kept(
    warehouse: Warehouse, source: Warehouse, release: Release, copies: list[Copy], keys: Keys, reference: str
) -> Iterator[DataFile]:
    """What is kept from night to night, with the keys of now."""
    drives = source.read(release, "inventory_drives")
    rows, drives_in = [], {}
    for copy in copies:
        for row in drives.to_pylist():
            name, tiles = copy.drive_id(row["drive_id"]), [copy.tile(tile) for tile in row["tiles"]]
            rows.append({"drive_id": name, "digest": keys.digests[name], "tiles": tiles, "reference": reference})
            for tile in tiles:
                drives_in.setdefault(tile, []).append(name)
    yield warehouse.write("inventory_drives", pa.Table.from_pylist(rows, schema=TABLES["inventory_drives"]))
    for table in OF_TILES:
        for file in source.files(release, table):
            rows = source.read_files([file], table)
            for copy in copies:
                moved = copy.table(rows)
                tile = moved["tile"][0].as_py()
                if table == "drive_estimates":
                    new = [keys.settings.estimates_key(keys.digests[one]) for one in moved["drive_id"].to_pylist()]
                elif table == "tile_priors":
                    new = [keys.together(one, sort=False) for one in moved["drive_ids"].to_pylist()]
                else:
                    new = [keys.together(drives_in[tile], sort=True)]
                moved = moved.set_column(moved.column_names.index("key"), "key", pa.array(new))
                yield warehouse.write(table, moved, folder=f"tile={tile.replace(',', '_')}")


def _whole(warehouse: Warehouse, source: Warehouse, release: Release, name: str, copies: list[Copy]) -> DataFile:
    """A table that lies in one file."""
    rows = source.read(release, name)
    if name == "assets":
        rows = source.read_files(source.files(release, name), name)
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


def _commit_night(folder: str, arguments: argparse.Namespace) -> None:
    """Commit one more night's drives: whole cells one after the other, or all over the country."""
    every = arguments.cells * arguments.roads
    chosen = np.linspace(0, every - 1, arguments.drives).astype(int) if arguments.scattered else range(arguments.drives)
    warehouse, drives = Warehouse(folder), []
    for cell in sorted({number // arguments.roads for number in chosen}):
        roads = _roads(arguments.roads, cell)
        for number in (number for number in chosen if number // arguments.roads == cell):
            drives.append(_renamed(drive(roads[number % arguments.roads], NIGHTS + 1), Copy(cell)))
    commit(warehouse, *drives)
    frames = sum(len(one.frames) for one in drives)
    print(f"night: {len(drives)} drives of {len({one.drive_id[:4] for one in drives})} cells, {frames:,} frames")


def _renamed(tables, copy: Copy):
    """A drive under the names of its cell; it was drawn where it is."""
    named = Copy(copy.number)
    named.east = 0.0
    return type(tables)(copy.drive_id(tables.drive_id), named.table(tables.frames), named.table(tables.observations))


def _measure(folder: str, reference: str, workers: int) -> None:
    """Print what the next run costs, step by step."""
    me = psutil.Process()
    peak, cpu, ends, done = [0.0], {}, {}, threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            try:
                everyone = [me, *me.children(recursive=True)]
                peak[0] = max(peak[0], sum(process.memory_info().rss for process in everyone) / 1e9)
                cpu.update({p.pid: sum(p.cpu_times()[:2]) for p in everyone})
            except psutil.NoSuchProcess:
                continue

    def note(step: str) -> None:
        ends[step] = (time.monotonic() - started, sum(cpu.values()), peak[0], ends.get(step, (0, 0, 0, 0))[3] + 1)

    threading.Thread(target=watch, daemon=True).start()
    started = time.monotonic()
    summary = update_inventory(_config(folder, reference, workers), lambda done, total, unit: note(unit))
    cpu[me.pid] = sum(me.cpu_times()[:2])
    note("published")
    done.set()
    table = Table("up to", "how many", "wall s", "CPU s", "memory GB")
    for step, (wall, used, memory, count) in ends.items():
        table.add_row(step, f"{count:,}", f"{wall:.0f}", f"{used:.0f}", f"{memory:.1f}")
    Console().print(table)
    assets = sum(sum(states.values()) for states in summary.assets.values())
    print(f"release {summary.release}: {assets:,} assets of {summary.drives:,} drives, {summary.tiles_built} tiles built")


if __name__ == "__main__":
    main()
