"""Tiles give the same register wherever they are built: in this process, in several, on a Ray cluster."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from support.commands import roadscan, sets
from support.world import commit, drive

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.inventory.build import DriveTables
from roadscan.inventory.tiles import execute
from roadscan.warehouse import Warehouse


def elsewhere(tables: DriveTables, degrees: float) -> DriveTables:
    """The same drive so many degrees further east, in a tile of its own."""

    def moved(table: pa.Table) -> pa.Table:
        index = table.schema.get_field_index("camera_lon")
        column = pa.array(table["camera_lon"].to_numpy() + degrees)
        return table.set_column(index, table.schema.field(index), column)

    name = f"{tables.drive_id}-{degrees}"
    frames, observations = (
        table.set_column(table.schema.get_field_index("drive_id"), "drive_id", pa.array([name] * table.num_rows))
        for table in (moved(tables.frames), moved(tables.observations))
    )
    return DriveTables(name, frames, observations)


@pytest.fixture
def roads(tmp_path: Path, world) -> Warehouse:
    """Two nights over one road in each of three tiles."""
    warehouse = Warehouse(str(tmp_path / "roads"))
    commit(warehouse, *(elsewhere(drive(world, night), degrees) for degrees in (0.0, 0.5, 1.0) for night in (0, 1)))
    return warehouse


def without_ids(warehouse: Warehouse) -> list[dict]:
    """The assets in their order; ids are drawn by chance."""
    assets = warehouse.read(warehouse.current(), "assets").drop_columns(["asset_id"])
    assert assets.num_rows > 30
    return assets.to_pylist()


def built_alone(roads: Warehouse, folder: Path) -> list[dict]:
    twin = Warehouse(str(folder))
    commit(twin, *(DriveTables(name, *(roads.read(roads.current(), table, drive_id=name)
           for table in ("frames", "observations"))) for name in drives(roads)))  # fmt: skip
    update_inventory(InventoryConfig(warehouse=twin.store.uri))
    return without_ids(twin)


def drives(warehouse: Warehouse) -> list[str]:
    return sorted({file.drive_id for file in warehouse.current().of("frames") if file.drive_id})


def test_processes_give_what_one_gives(roads, tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "WORKER_ROWS", 1)
    update_inventory(InventoryConfig(warehouse=roads.store.uri, execution={"workers": 2}))
    assert without_ids(roads) == built_alone(roads, tmp_path / "alone")


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_gives_what_one_process_gives(roads, tmp_path):
    done = roadscan("inventory", *sets(warehouse=roads.store.uri, **{"execution.on_ray": "true"}))
    assert done.returncode == 0, done.stderr
    assert without_ids(roads) == built_alone(roads, tmp_path / "alone")
