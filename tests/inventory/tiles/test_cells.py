"""The index of cells, as nights write it: it names every cell with rows of an asset, of the files that it is of."""

from __future__ import annotations

import pytest
from support.world import World, commit, drive, make_world

from roadscan.inventory import InventoryConfig, query, update_inventory
from roadscan.inventory.tiles.cells import cell_of, cells_file
from roadscan.inventory.tiles.kept import SAID
from roadscan.warehouse import Change, Warehouse
from roadscan.warehouse.upkeep import restore

pytestmark = pytest.mark.slow

MATCHING = {"window_drives": 2}


def road(seed: int, east_m: float) -> World:
    world = make_world(seed=seed, length_m=300.0)
    world.move(east_m)
    return world


@pytest.fixture(scope="module")
def uri(tmp_path_factory) -> str:
    """Two roads that are 70 km apart, and two more nights on one of them, whose first drive is settled then."""
    warehouse = Warehouse(str(tmp_path_factory.mktemp("nights")))
    commit(warehouse, drive(road(4, 74_000.0), 0, drive_id="elsewhere"))
    for night in range(3):
        commit(warehouse, drive(road(3, 4000.0), night))
        update_inventory(InventoryConfig(warehouse=warehouse.store.uri, matching=MATCHING))
    return warehouse.store.uri


def said(warehouse: Warehouse) -> set[tuple[str, str]]:
    """Each asset and cell that a file of what drives said has rows of."""
    release = warehouse.current()
    return {
        (asset_id, cell_of(file.path))
        for table in SAID
        for file in warehouse.files(release, table)
        for asset_id in warehouse.read_files([file], table)["asset_id"].to_pylist()
    }


def indexed(warehouse: Warehouse) -> set[tuple[str, str]]:
    rows = warehouse.read(warehouse.current(), "asset_cells").to_pylist()
    return {(row["said_as"] or row["asset_id"], row["cell"]) for row in rows}


def test_every_cell_with_rows_of_an_asset_is_named(uri):
    warehouse = Warehouse(uri)
    assert len({cell for _, cell in said(warehouse)}) == 2
    assert said(warehouse) <= indexed(warehouse)
    assert cells_file(warehouse, warehouse.current())


def test_each_asset_is_asked_for_and_answered_as_if_all_were_read(uri):
    whole = query(uri, "FROM asset_timeline").to_pylist()
    some = sorted({row["asset_id"] for row in whole})[::8]
    for asset_id in some:
        rows = query(uri, f"FROM asset_timeline WHERE asset_id = '{asset_id}'").to_pylist()
        assert rows == [row for row in whole if row["asset_id"] == asset_id]


def test_running_again_publishes_nothing(uri):
    assert not update_inventory(InventoryConfig(warehouse=uri, matching=MATCHING)).published


def test_an_index_of_other_files_is_none(uri):
    """As a version that knows no index would leave it, and a restore of a release that such a version made."""
    warehouse = Warehouse(uri)
    release = warehouse.current()
    older = next(one for one in warehouse.history() if one.version("asset_history") != release.version("asset_history"))
    other = warehouse.files(older, "asset_history")
    stale = warehouse.publish(lambda now: warehouse.replacement(now, other, "by another version"))
    asked = "SELECT count(*) AS n FROM asset_history WHERE asset_id >= '0'"
    assert cells_file(warehouse, stale) is None
    assert query(uri, asked)["n"].to_pylist() == [stale.rows("asset_history")]
    gone = warehouse.files(stale, "asset_cells")
    emptied = warehouse.publish(lambda _: Change("without", (), tuple(gone)))
    assert cells_file(warehouse, emptied) is None
    assert cells_file(warehouse, restore(warehouse, release.number))
