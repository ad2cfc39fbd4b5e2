"""A warehouse of roadscan 0.1 becomes one of today."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.commands import Command
from support.old_warehouse import OldWarehouse
from support.tables import named_runs
from support.world import drive, make_world

from roadscan.errors import WarehouseError
from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.inventory.tiles.kept import drive_digests
from roadscan.schemas import RUNS
from roadscan.warehouse import Warehouse
from roadscan.warehouse.migrate import Migrated, migrate

FIRST = datetime(2026, 1, 30, 20, tzinfo=UTC)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Three nights in two months; the second drive was driven before the first."""
    world, root = make_world(seed=3, length_m=250.0), tmp_path / "warehouse"
    warehouse = OldWarehouse(root)
    runs_of_then = named_runs("x").drop_columns(["started_at", "ended_at", "bbox"]).schema
    for number, night in enumerate((2, 0, 1)):
        name = f"drive {number} 100%"
        one = drive(world, night, drive_id=name)
        for table in ("frames", "observations"):
            warehouse.write(table, getattr(one, table), name, name, "survey_month=2026-03")
        warehouse.write("runs", named_runs(name).select(runs_of_then.names), name, name)
        warehouse.publish(f"scan of {name}", FIRST + number * timedelta(days=1))
    return root


def test_rows_releases_and_times_are_those_of_before(old: Path) -> None:
    names = sorted(old.glob("frames/*/*.parquet"))
    assert migrate(str(old)) == Migrated(3, 9)
    warehouse = Warehouse(str(old))
    assert sorted(old.glob("frames/*/*.parquet")) == names
    assert [one.number for one in warehouse.history()] == [3, 2, 1]
    for number in range(3):
        release = warehouse.as_of(FIRST + timedelta(days=number, hours=1))
        assert (release.number, release.rows("runs")) == (number + 1, number + 1)
        assert len(warehouse.read(release, "runs")) == number + 1
        frames = warehouse.read(release, "frames", drive_id=f"drive {number} 100%")
        assert len(frames) == 25


def test_the_register_takes_drives_in_the_order_they_were_driven(old: Path) -> None:
    migrate(str(old))
    warehouse = Warehouse(str(old))
    assert list(drive_digests(warehouse, warehouse.current())) == ["drive 1 100%", "drive 2 100%", "drive 0 100%"]
    assert warehouse.read(warehouse.current(), "runs").schema == RUNS
    assert update_inventory(InventoryConfig(warehouse=str(old))).published


def test_a_migration_that_died_is_run_again(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pointer = (old / "current.json").read_bytes()
    assert migrate(str(old)).releases == 3
    (old / "current.json").write_bytes(pointer)  # all but the last write was done
    with pytest.raises(WarehouseError, match="roadscan migrate"):
        Warehouse(str(old)).current()
    assert migrate(str(old)).releases == 3
    warehouse = Warehouse(str(old))
    assert [one.rows("runs") for one in warehouse.history()] == [3, 2, 1]
    assert [len(warehouse.read(one, "frames")) for one in warehouse.history()] == [75, 50, 25]


@pytest.mark.slow
def test_the_command_tells_what_to_do_and_does_it(here: Command, old: Path) -> None:
    refused = here("query", str(old), "FROM runs")
    assert refused.returncode == 1
    assert f"roadscan migrate {old}" in refused.stderr
    done = here("migrate", str(old))
    assert "3 releases with 9 files migrated" in done.stdout
    assert "nothing to do" in here("migrate", str(old)).stdout
    assert here("query", str(old), "SELECT count(*) AS n FROM frames", "--format", "csv").stdout == "n\n75\n"


def test_no_warehouse_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="no warehouse here"):
        migrate(str(tmp_path))
