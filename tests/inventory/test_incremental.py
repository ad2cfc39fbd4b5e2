"""A register that is brought up to date night after night is the one that is built of all drives at once."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from support.world import AWAY_M, LINE, START, Known, World, drive, make_world

from roadscan.errors import StorageError, WarehouseError
from roadscan.inventory import InventoryConfig, InventorySummary, run_audit, update_inventory
from roadscan.inventory.build import DriveTables
from roadscan.warehouse import Warehouse
from roadscan.warehouse.drives import StagedDrive, publish_drives

TABLES = ("assets", "asset_changes", "asset_history")
_SCANS = itertools.count()


@pytest.fixture
def world() -> World:
    """A road over the border of two tiles, at 100.5 degrees."""
    world = make_world(seed=3, length_m=500.0)
    world.move(-AWAY_M)
    return world


def scan(warehouse: Warehouse, tables: DriveTables) -> None:
    """What a scan leaves; one that scans a drive again finishes later."""
    rows = {"frames": tables.frames, "observations": tables.observations}
    files = tuple(warehouse.stage(name, part, f"{tables.drive_id}/{name}") for name, part in rows.items())
    counts = {"frames": len(tables.frames), "frames_ok": len(tables.frames), "observations": len(tables.observations)}
    run = counts | {"frames_quarantined": 0, "frames_failed": 0, "drive_id": tables.drive_id}
    run |= {"finished_at": START + timedelta(seconds=next(_SCANS))}
    run |= dict.fromkeys(("drive_uri", "drive_sha256", "run_key", "model_sha256", "code_version"), "simulated")
    publish_drives(warehouse, [StagedDrive(run, files)], lambda release: [tables.drive_id], "scan")


def elsewhere(tables: DriveTables, degrees: float) -> DriveTables:
    """The same drive so many degrees further east."""
    name = f"{tables.drive_id}-{degrees}"
    parts = []
    for table in (tables.frames, tables.observations):
        lon = pa.array(table["camera_lon"].to_numpy() + degrees)
        table = table.set_column(table.schema.get_field_index("camera_lon"), "camera_lon", lon)
        ids = pa.array([name] * table.num_rows, pa.string())
        parts.append(table.set_column(table.schema.get_field_index("drive_id"), "drive_id", ids))
    return DriveTables(name, *parts)


def update(warehouse: Warehouse, **settings: object) -> InventorySummary:
    return update_inventory(InventoryConfig(warehouse=warehouse.store.uri, **settings))


def rows(warehouse: Warehouse) -> dict[str, list[dict]]:
    """The register without its ids, which are drawn by chance; of assets and their drives in one order."""
    release = warehouse.current()
    tables = {name: warehouse.read(release, name).to_pylist() for name in TABLES}
    name_of = {row["asset_id"]: (row["class"], row["lon"], row["lat"]) for row in tables["assets"]}
    assert len(name_of) > 10
    return {
        name: sorted((row | {"asset_id": name_of[row["asset_id"]]} for row in table), key=repr)
        for name, table in tables.items()
    }


def at_once(folder: Path, *drives: DriveTables, **settings: object) -> dict[str, list[dict]]:
    """The register of drives that come in their order, built once."""
    warehouse = Warehouse(str(folder))
    for one in drives:
        scan(warehouse, one)
    assert update(warehouse, **settings).drives_read == len(drives)
    return rows(warehouse)


def registered(folder: Path, *drives: DriveTables) -> Warehouse:
    """A warehouse whose register is of these drives."""
    warehouse = Warehouse(str(folder))
    for one in drives:
        scan(warehouse, one)
    update(warehouse)
    return warehouse


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_drives_that_come_one_a_night_in_any_order_give_what_they_give_at_once(tmp_path, world, order):
    drives = [drive(world, night) for night in range(3)]
    warehouse = Warehouse(str(tmp_path / "nightly"))
    for night in order:
        scan(warehouse, drives[night])
        summary = update(warehouse)
        assert (summary.drives_read, summary.tiles_built) == (1, 2)
    assert rows(warehouse) == at_once(tmp_path / "at-once", *drives)


@pytest.mark.slow
def test_a_night_reads_new_drives_and_builds_only_the_tiles_they_lie_in(tmp_path, world):
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    drives = [elsewhere(drive(world, night), degrees) for degrees in (0.0, 0.5) for night in (0, 1)]
    for one in drives:
        scan(warehouse, one)
    first = update(warehouse)
    assert (first.drives_read, first.tiles_built) == (4, 4)
    before = {row["asset_id"]: row for row in warehouse.read(warehouse.current(), "assets").to_pylist()}
    late = elsewhere(drive(world, 2), 0.5)
    scan(warehouse, late)
    second = update(warehouse)
    assert (second.drives, second.drives_read, second.tiles_built) == (5, 1, 2)
    after = {row["asset_id"]: row for row in warehouse.read(warehouse.current(), "assets").to_pylist()}
    west = [asset_id for asset_id, row in before.items() if row["lon"] < 100.7]
    assert len(west) > 10
    assert all(after[asset_id] == before[asset_id] for asset_id in west)
    assert rows(warehouse) == at_once(tmp_path / "at-once", *drives, late)
    third = update(warehouse)
    assert (third.published, third.drives_read, third.tiles_built) == (False, 0, 0)


def test_a_drive_that_is_scanned_again_takes_its_old_evidence_away(tmp_path, world):
    drives = [drive(world, night) for night in range(3)]
    warehouse = registered(tmp_path / "warehouse", *drives)
    blank = DriveTables(drives[1].drive_id, drives[1].frames, drives[1].observations.slice(0, 40))
    scan(warehouse, blank)
    summary = update(warehouse)
    assert (summary.drives, summary.drives_read) == (3, 1)
    assert rows(warehouse) == at_once(tmp_path / "at-once", drives[0], blank, drives[2])


def test_a_line_over_a_border_keeps_its_id_when_only_one_of_its_tiles_is_built(tmp_path):
    """Built at once, each side of a long guardrail gets an id of its own; the whole has that of the side seen first."""
    world = World(seed=3, length_m=3200.0, assets=[Known("rail", LINE, 100.0, 5.0, 3100.0)])
    calm = {"recall": 1.0, "bias_m": 0.0, "yaw_deg": 0.0, "false_per_frame": 0.0}
    east = elsewhere(drive(world, 0, start_s=2400.0, **calm), -0.004)  # beyond the halo of the western tile
    both = elsewhere(drive(world, 1, **calm), -0.004)
    warehouse = registered(tmp_path / "warehouse", east, both)
    before = warehouse.read(warehouse.current(), "assets")["asset_id"].to_pylist()
    assert len(before) == 1
    scan(warehouse, DriveTables(east.drive_id, east.frames, east.observations.slice(0, 0)))
    assert update(warehouse).drives_read == 1
    assert warehouse.read(warehouse.current(), "assets")["asset_id"].to_pylist() == before


def test_a_setting_of_all_drives_builds_every_tile_and_reads_no_drive(tmp_path, world):
    drives = [drive(world, night) for night in range(2)]
    warehouse = registered(tmp_path / "warehouse", *drives)
    wide = {"matching": {"gate_m": 9.0}}
    summary = update(warehouse, **wide)
    assert (summary.drives_read, summary.tiles_built) == (0, 2)
    assert rows(warehouse) == at_once(tmp_path / "at-once", *drives, **wide)


def test_a_setting_of_one_drive_reads_every_drive_again(tmp_path, world):
    drives = [drive(world, night) for night in range(2)]
    warehouse = registered(tmp_path / "warehouse", *drives)
    strict = {"tracking": {"min_score": 0.5}}
    assert update(warehouse, **strict).drives_read == 2
    assert rows(warehouse) == at_once(tmp_path / "at-once", *drives, **strict)


def test_a_death_between_writing_and_publishing_leaves_nothing_that_the_next_run_uses(tmp_path, world, monkeypatch):
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    drives = [drive(world, night) for night in range(2)]
    scan(warehouse, drives[0])
    update(warehouse)
    before = rows(warehouse)
    scan(warehouse, drives[1])

    def die(self, change):
        raise StorageError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(Warehouse, "publish", die)
        with pytest.raises(StorageError):
            update(warehouse)
    assert rows(warehouse) == before
    assert update(warehouse).drives_read == 1
    assert rows(warehouse) == at_once(tmp_path / "at-once", *drives)


def test_an_audit_finds_nothing_where_nights_were_right_and_names_what_was_wrong(tmp_path, world):
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    config = InventoryConfig(warehouse=warehouse.store.uri)
    for night in range(2):
        scan(warehouse, drive(world, night))
        update(warehouse)
    right = warehouse.current()
    audit = run_audit(config)
    assert (audit.drives, audit.differing, audit.differences, audit.published) == (2, 0, {}, False)
    assert warehouse.current() == right

    assets = warehouse.read(right, "assets")
    wrong = assets.slice(1)  # without the first asset …
    states = pa.array(["missing", *wrong["state"].to_pylist()[1:]], pa.string())  # … and with another state of the next
    wrong = wrong.set_column(wrong.schema.get_field_index("state"), wrong.schema.field("state"), states)
    wrong = wrong.replace_schema_metadata(assets.schema.metadata)
    file = warehouse.write("assets", wrong)
    warehouse.publish(lambda release: warehouse.replacement(release, [file], "a mistake"))
    audit = run_audit(config, publish=True)
    assert (audit.differences, audit.differing, audit.published) == ({"added": 1, "state": 1}, 2, True)
    assert audit.named["state"] == [wrong["asset_id"][0].as_py()]
    assert run_audit(config).differing == 0


def test_an_audit_of_a_register_that_lacks_a_drive_says_what_to_run_first(tmp_path, world):
    warehouse = Warehouse(str(tmp_path / "warehouse"))
    scan(warehouse, drive(world, 0))
    with pytest.raises(WarehouseError, match="run roadscan inventory"):
        run_audit(InventoryConfig(warehouse=warehouse.store.uri))
