"""The register's files at an address that does not change, as another program opens them."""

from __future__ import annotations

from pathlib import Path

import geopandas
import pytest
from support.world import commit, drive, make_world

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.warehouse import Warehouse

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
