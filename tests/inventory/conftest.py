from __future__ import annotations

import pytest
from inventory.world import World, drive, make_world

from roadscan.inventory import InventoryConfig
from roadscan.inventory.build import DriveTables
from roadscan.warehouse import DataFile, Warehouse


def commit(warehouse: Warehouse, *drives: DriveTables) -> None:
    """What a scan leaves in the warehouse."""
    files: list[DataFile] = []
    for d in drives:
        for table, rows in (("frames", d.frames), ("observations", d.observations)):
            files.append(
                warehouse.write(table, rows, folder="survey_month=2026-03", name=d.drive_id, drive_id=d.drive_id)
            )
    warehouse.publish(lambda release: release.replaced(lambda f: False, files, "scan"))


@pytest.fixture
def world() -> World:
    return make_world(seed=3, length_m=900.0)


@pytest.fixture
def warehouse(tmp_path, world) -> Warehouse:
    """One committed drive."""
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    commit(warehouse, drive(world, 0))
    return warehouse


@pytest.fixture
def config(warehouse) -> InventoryConfig:
    return InventoryConfig(warehouse=warehouse.store.uri)
