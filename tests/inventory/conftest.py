from __future__ import annotations

import pytest
from support.world import World, commit, drive, make_world

from roadscan.inventory import InventoryConfig
from roadscan.warehouse import Warehouse


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
