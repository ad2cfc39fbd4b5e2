"""The register's files at an address that does not change, as another program opens them."""

from __future__ import annotations

import json
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.deaths import Dying, Killed
from support.registers import register
from support.world import commit, drive, make_world

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.parsing import arrow_file
from roadscan.storage import Store
from roadscan.warehouse import Release, Warehouse

NAMES = ("assets", "points", "lines")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = Warehouse(str(tmp_path_factory.mktemp("latest")))
    commit(warehouse, drive(make_world(seed=3), 0))
    update_inventory(InventoryConfig(warehouse=warehouse.store.uri))
    return warehouse


def opened(warehouse: Warehouse) -> dict[str, geopandas.GeoDataFrame]:
    return {name: geopandas.read_parquet(Path(warehouse.store.uri) / "latest" / f"{name}.parquet") for name in NAMES}


def test_points_and_lines_are_the_assets_of_the_release(warehouse: Warehouse) -> None:
    files = opened(warehouse)
    ids = warehouse.read(warehouse.current(), "assets")["asset_id"].to_pylist()
    assert sorted(files["assets"]["asset_id"]) == sorted(ids)
    assert sorted([*files["points"]["asset_id"], *files["lines"]["asset_id"]]) == sorted(ids)
    assert set(files["points"].geom_type) == {"Point"}
    assert set(files["lines"].geom_type) == {"LineString"}
    assert {file.crs.to_string() for file in files.values()} == {"OGC:CRS84"}


def test_they_follow_the_next_release_and_what_was_lost_comes_back(warehouse: Warehouse) -> None:
    commit(warehouse, drive(make_world(seed=3), 1))
    update_inventory(InventoryConfig(warehouse=warehouse.store.uri))
    now = warehouse.read(warehouse.current(), "assets")
    assert sorted(opened(warehouse)["assets"]["n_nights"]) == sorted(now["n_nights"].to_pylist())
    for path in (Path(warehouse.store.uri) / "latest").iterdir():
        path.unlink()
    assert not update_inventory(InventoryConfig(warehouse=warehouse.store.uri)).published
    assert len(opened(warehouse)["assets"]) == len(now)


def assets(count: int) -> pa.Table:
    """A register of so many points and one line."""
    points = [{"lon": 100.0 + 0.001 * number, "lat": 14.0} for number in range(count)]
    return register({"line": [(100.0, 14.0), (100.001, 14.0)]}, *points).assets


def put(warehouse: Warehouse, count: int) -> Release:
    file = warehouse.write("assets", assets(count))
    return warehouse.publish(lambda release: warehouse.replacement(release, [file], f"{count} assets"))


def found(warehouse: Warehouse) -> list[int]:
    """The versions that the three files are of."""
    footers = [pq.read_schema(arrow_file(warehouse.store.read(f"latest/{name}.parquet"))) for name in NAMES]
    return [int(footer.metadata[b"assets_version"]) for footer in footers]


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.s3)])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Warehouse:
    if request.param == "disk":
        return Warehouse(str(tmp_path))
    request.getfixturevalue("s3")
    return Warehouse(f"s3://warehouse/{tmp_path.name}")


class Overtaken(Dying):
    """Another publisher is whole before one of the writes to ``latest/``, and the program dies at the one after it."""

    def __init__(self, store: Store, place: int) -> None:
        super().__init__(store, writes=100)
        self.place = place

    def _late(self, key: str) -> None:
        if key.startswith("latest/"):
            if self.place == 0:
                put(Warehouse(self.uri), 4)
            elif self.place < 0:
                raise Killed
            self.place -= 1

    def write(self, key: str, data: bytes) -> None:
        self._late(key)
        super().write(key, data)

    def swap(self, key: str, data: bytes, *, tag: str) -> str:
        self._late(key)
        return super().swap(key, data, tag=tag)


@pytest.mark.parametrize("place", range(4))
def test_a_publisher_that_is_overtaken_and_dies_leaves_the_files_of_the_newest_release(
    small: Warehouse, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    put(small, 2)
    slow = Warehouse(small.store.uri)
    monkeypatch.setattr(slow, "store", Overtaken(small.store, place))
    with suppress(Killed):
        put(slow, 3)
    assert small.current().rows("assets") == 5
    assert found(small) == [small.current().version("assets")] * 3


def test_what_a_publisher_that_died_left_of_them_is_made_whole_by_the_next(
    small: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(small, 2)
    dying, copies = Dying(small.store, writes=6), Warehouse(small.store.uri)
    monkeypatch.setattr(copies, "store", dying)
    with pytest.raises(Killed):
        put(copies, 3)
    small.publish(lambda _: None)
    assert found(small) == [small.current().version("assets")] * 3


@pytest.mark.slow
def test_two_processes_that_bring_their_releases_leave_one_release_whole(small: Warehouse) -> None:
    context = get_context("spawn")
    pair = [context.Process(target=put_many, args=(small.store.uri, first)) for first in (1, 100)]
    for process in pair:
        process.start()
    for process in pair:
        process.join()
        assert process.exitcode == 0
    release = small.current()
    assert release.number == 2 * ROUNDS
    assert found(small) == [release.version("assets")] * 3
    told = json.loads(small.store.read("latest/release.json"))
    assert told == {"release": release.number, "assets": release.version("assets")}


ROUNDS = 10


def put_many(uri: str, first: int) -> None:
    for count in range(first, first + ROUNDS):
        put(Warehouse(uri), count)
