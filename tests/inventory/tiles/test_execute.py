"""Tiles give the same register wherever they are built: in this process, in several, on a Ray cluster."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support.commands import roadscan, sets
from support.world import commit, drive

from roadscan.config import load_config
from roadscan.errors import ConfigError, RoadscanError
from roadscan.inventory import InventoryConfig, run_tile, update_inventory
from roadscan.inventory.build import DriveTables
from roadscan.inventory.config import ExecutionConfig
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
    return sorted(warehouse.read(warehouse.current(), "runs")["drive_id"].to_pylist())


@pytest.mark.slow
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


@pytest.fixture
def poisoned(world, tmp_path: Path) -> Warehouse:
    """Two roads; on the one at 101.05 degrees all ranges have 300 digits, whose squares no tile can be built of."""
    far = elsewhere(drive(world, 0), 0.55)
    observations = far.observations
    for name in ("range_m", "range_sigma_m"):
        index = observations.schema.get_field_index(name)
        values = pa.array(np.full(observations.num_rows, 1e300))
        observations = observations.set_column(index, observations.schema.field(index), values)
    warehouse = Warehouse(str(tmp_path / "poisoned"))
    commit(warehouse, drive(world, 0), DriveTables(far.drive_id, far.frames, observations))
    return warehouse


def printed_command(message: str) -> list[str]:
    """The arguments of the command in the last line of a message."""
    program, *arguments = shlex.split(message.splitlines()[-1])
    assert program == "roadscan"
    return arguments


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the squares
@pytest.mark.parametrize("workers", [1, 2])
def test_a_tile_that_fails_is_named_with_its_cause_and_the_command_that_builds_it_alone(poisoned, monkeypatch, workers):
    monkeypatch.setattr(execute, "WORKER_ROWS", 1)
    before = poisoned.current()
    config = InventoryConfig(warehouse=poisoned.store.uri, matching={"gate_m": 8}, execution={"workers": workers})
    with pytest.raises(RoadscanError, match=r"ValueError: Encountering floating point overflow") as raised:
        update_inventory(config)
    message = str(raised.value)
    assert message.startswith("tile 1010,137 (north-east of longitude 101.0, latitude 13.7): ValueError")
    assert poisoned.current() == before

    command = printed_command(message)
    assert command[-1] == "--tile=1010,137"
    given = [word for word in command if "=" in word and not word.startswith("--")]
    assert load_config(InventoryConfig, None, given) == config.model_copy(update={"execution": ExecutionConfig()})

    again = roadscan(*command)
    assert again.returncode == 1
    assert "error: tile 1010,137" in again.stderr
    assert "Traceback" in again.stderr  # which -v asks for
    assert poisoned.current() == before


def test_a_tile_alone_is_built_and_told_and_not_published(here, poisoned):
    before = poisoned.current()
    done = here("inventory", *sets(warehouse=poisoned.store.uri), "--tile", "1005,137")
    assert done.returncode == 0, done.stderr
    facts = dict(line.rstrip().split(maxsplit=1) for line in done.stdout.splitlines() if "/" not in line)
    assert (facts["tile"], facts["drives"]) == ("1005,137", "1")
    assert "Warning Sign: {'confirmed': " in done.stdout
    assert poisoned.current() == before


def test_a_tile_alone_is_what_the_register_has_there(roads):
    config = InventoryConfig(warehouse=roads.store.uri)
    update_inventory(config)
    made = run_tile(config, "1015,137")
    lon = roads.read(roads.current(), "assets")["lon"].to_numpy()
    assert sum(sum(states.values()) for states in made.assets.values()) == (lon >= 101.5).sum() > 10
    assert made.drives == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("1005", "tile: got '1005'; expected COLUMN,ROW, such as 1005,137"),
        ("a,b", "tile: got 'a,b'; expected COLUMN,ROW"),
        ("7,7", "tile: got 7,7, in which no drive has frames; expected one of 1005,137 1010,137 1015,137"),
    ],
)
def test_a_tile_that_there_is_not_is_named_with_those_that_there_are(roads, name, message):
    with pytest.raises(ConfigError, match=message):
        run_tile(InventoryConfig(warehouse=roads.store.uri), name)


@pytest.mark.ray
@pytest.mark.slow
def test_a_tile_that_fails_on_a_cluster_is_named_too(poisoned):
    done = roadscan("inventory", *sets(warehouse=poisoned.store.uri, **{"execution.on_ray": "true"}))
    assert done.returncode == 1
    assert "error: tile 1010,137 (north-east of longitude 101.0, latitude 13.7): ValueError" in done.stderr
    assert printed_command(done.stderr.rstrip())[-1] == "--tile=1010,137"
