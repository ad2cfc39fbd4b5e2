from __future__ import annotations

from pathlib import Path

import pytest
from support.world import World, commit, drive, make_world

from roadscan.warehouse import Warehouse


@pytest.fixture
def world() -> World:
    return make_world(seed=3, length_m=900.0)


@pytest.fixture
def warehouse(tmp_path: Path, world: World) -> Warehouse:
    """One committed drive."""
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    commit(warehouse, drive(world, 0))
    return warehouse
