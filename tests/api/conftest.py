from __future__ import annotations

from pathlib import Path

import pytest
from support.world import commit, drive, make_world

import roadscan
from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.warehouse import Warehouse


@pytest.fixture(scope="session")
def surveyed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warehouse of two nights over 900 m of road: each night's detections, then its register."""
    folder = tmp_path_factory.mktemp("surveyed") / "warehouse"
    files, world = Warehouse(str(folder)), make_world(seed=3, length_m=900.0)
    for night in range(2):
        commit(files, drive(world, night))
        update_inventory(InventoryConfig(warehouse=str(folder)))
    return folder


@pytest.fixture
def warehouse(surveyed: Path) -> roadscan.Warehouse:
    return roadscan.open_warehouse(str(surveyed))
