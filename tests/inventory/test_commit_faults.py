"""A run that dies at any write to the warehouse: readers see what was before or what comes next, and nothing else.

Of a run with n writes a disk gets none, one, two … and then the program dies: a killed program knows no other
moments, since a write is one rename or one PUT, and to die after one is to die before the next. After each death the
warehouse is read as a reader would, every file of it, and the run is started again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from support.deaths import copy, deaths
from support.world import World, commit, drive, make_world

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.inventory.build import DriveTables
from roadscan.inventory.tiles.kept import KEPT
from roadscan.inventory.update import TABLES as REGISTER
from roadscan.scan import ledger
from roadscan.schemas import DRIVE_FRAMES
from roadscan.storage import sha256_hex
from roadscan.survey.drive import Drive
from roadscan.warehouse import Release, Warehouse

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Places:
    """Where warehouses lie, and whether a program dies at few of its writes: on S3, where disks have tried them all."""

    root: str
    few: bool

    def __call__(self, name: str) -> str:
        return f"{self.root}/{name}"


@pytest.fixture(params=["disk", pytest.param("s3", marks=[pytest.mark.s3, pytest.mark.slow])])
def places(request: pytest.FixtureRequest, tmp_path) -> Places:
    if request.param == "disk":
        return Places(str(tmp_path), few=False)
    request.getfixturevalue("s3")
    return Places(f"s3://warehouse/{tmp_path.name}", few=True)


def checked(warehouse: Warehouse) -> Release:
    """The current release, of which every file is whole and every manifest before it can be read."""
    release = warehouse.current()
    for file in (file for table in release.tables for file in warehouse.files(release, table)):
        data = warehouse.store.read(file.path)
        assert sha256_hex(data).startswith(file.digest)
        assert len(data) == file.bytes
        assert pq.read_metadata(pa.BufferReader(data)).num_rows == file.rows
    assert [older.number for older in warehouse.history()] == list(range(release.number, 0, -1))
    return release


# The register ---------------------------------------------------------------------------------------------------------


def register(warehouse: Warehouse, release: Release) -> dict[str, list[dict[str, Any]]]:
    """Every table of the register, with a new asset named by what it is instead of by its random id.

    Assets without a row would stay named by their ids, so changes or history of another release are different.
    """
    tables = {name: warehouse.read(release, name).to_pylist() for name in REGISTER if name not in KEPT}
    names = {row["asset_id"]: f"{row['class']} {row['lon']} {row['lat']}" for row in tables["assets"]}
    for rows in tables.values():
        for row in rows:
            row.update({key: names.get(row[key], row[key]) for key in ("asset_id",) if key in row})
    return {name: sorted(rows, key=repr) for name, rows in tables.items()}


def ids(warehouse: Warehouse) -> set[str]:
    return set(warehouse.read(warehouse.current(), "assets")["asset_id"].to_pylist())


def latest(warehouse: Warehouse) -> set[str]:
    data = warehouse.store.read("latest/assets.parquet")
    return set(pq.read_table(pa.BufferReader(data), columns=["asset_id"])["asset_id"].to_pylist())


@pytest.fixture
def world() -> World:
    return make_world(seed=3, length_m=250.0)


def test_an_inventory_that_dies_at_any_write(places, world, monkeypatch):
    """The register of one drive is brought up to date with a second one."""
    start, calm = places("start"), places("calm")
    update(places("start"), commit_of=drive(world, 0))
    commit(Warehouse(start), drive(world, 1))
    copy(start, calm)
    update(calm)
    before, after = (register(w, checked(w)) for w in (Warehouse(start), Warehouse(calm)))
    assert before != after
    kept = ids(Warehouse(start)) & ids(Warehouse(calm))
    assert kept
    seen = []
    for left in deaths(start, places, update, monkeypatch, few=places.few):
        found, release = register(left, checked(left)), left.current()
        assert found in (before, after)
        seen.append(found == after)
        summary = update(left.store.uri)
        assert summary.published == (found == before)
        assert register(left, checked(left)) == after
        assert ids(left) >= kept
        assert left.current().number == release.number + summary.published
        assert latest(left) == ids(left)
    # Files and logs of five tables or more, the release and the pointer, which alone moves readers on; after it come
    # the four files of latest/.
    last = 1 if places.few else 4
    assert seen == [False] * (len(seen) - last) + [True] * last
    assert len(seen) >= (2 * 3 if places.few else 2 * 5 + 2 + 4)


@pytest.mark.parametrize("places", ["disk"], indirect=True)  # on S3: the first scan, and an inventory after others
def test_the_first_inventory_that_dies_at_any_write(places, world, monkeypatch):
    """Nothing was published before but a scan: readers see an empty register or the whole one."""
    start, calm = places("start"), places("calm")
    commit(Warehouse(start), drive(world, 0))
    copy(start, calm)
    update(calm)
    after = register(Warehouse(calm), checked(Warehouse(calm)))
    for left in deaths(start, places, update, monkeypatch, few=places.few):
        found = register(left, checked(left))
        assert found == after or not any(found.values())
        update(left.store.uri)
        assert register(left, checked(left)) == after


def update(uri: str, commit_of: DriveTables | None = None):
    if commit_of is not None:
        commit(Warehouse(uri), commit_of)
    return update_inventory(InventoryConfig(warehouse=uri))


# A scan ---------------------------------------------------------------------------------------------------------------


def scan(uri: str, tables: DriveTables, key: str) -> None:
    """What `roadscan.scan` commits of a drive, without a model: what is done is not done again."""
    warehouse = Warehouse(uri)
    manifest = pa.table(
        {f.name: tables.frames[f.name] if f.name in tables.frames.column_names else pa.nulls(len(tables.frames), f.type)
         for f in DRIVE_FRAMES}
    )  # fmt: skip
    whole = Drive(tables.drive_id, "drives/d", "drives/d", {}, manifest, "d" * 64)
    shards = ledger.plan(whole, key, shard_frames=32)
    done = ledger.commits(warehouse, key)
    for shard in shards:
        if shard.index not in done:
            frames = tables.frames.slice(shard.start, shard.stop - shard.start)
            mine = pc.is_in(tables.observations["frame_id"], frames["frame_id"].combine_chunks())
            ledger.commit(warehouse, shard, tables.observations.filter(mine), frames)
    if key not in warehouse.read(warehouse.current(), "runs")["run_key"].to_pylist():
        ledger.publish(warehouse, [ledger.collect(warehouse, whole, shards, "m" * 64)])


def scanned(warehouse: Warehouse, release: Release) -> dict[str, list[dict[str, Any]]]:
    """Every row of the scans, but for when they were made."""
    tables = {name: warehouse.read(release, name).to_pylist() for name in ("frames", "observations", "runs")}
    for row in tables["runs"]:
        row["finished_at"] = None
    return {name: sorted(rows, key=repr) for name, rows in tables.items()}


@pytest.mark.parametrize("scanned_before", [False, True], ids=["new drive", "drive scanned again"])
def test_a_scan_that_dies_at_any_write(places, scanned_before, monkeypatch):
    """Three shards of a drive: none was there, or those of another model."""
    world = make_world(seed=3, length_m=660.0)
    old, new = drive(world, 0, recall=0.3, drive_id="d"), drive(world, 0, drive_id="d")
    start, calm = places("start"), places("calm")
    scan(start, drive(world, 1), "other")  # another drive, which must stay
    if scanned_before:
        scan(start, old, "old")
    copy(start, calm)

    def run(uri: str) -> None:
        scan(uri, new, "new")

    run(calm)
    before, after = (scanned(w, checked(w)) for w in (Warehouse(start), Warehouse(calm)))
    assert before != after
    assert {row["drive_id"] for row in before["frames"]} == {"night-02", *(["d"] if scanned_before else [])}
    deadly = 0
    for left in deaths(start, places, run, monkeypatch, few=places.few):
        assert scanned(left, checked(left)) == before  # the pointer is the last
        deadly += 1
        run(left.store.uri)
        assert scanned(left, checked(left)) == after
        assert left.current().number == Warehouse(calm).current().number
    # Of three shards the observations, the frames and the commit; the three tables' files and logs; the release and the
    # pointer; of few the first and the last of those that are written, made and moved, which is the pointer alone.
    assert deadly == (5 if places.few else 17)


def test_the_first_scan_of_a_warehouse_that_dies_at_any_write(places, monkeypatch):
    """The pointer is made, not moved."""
    tables = drive(make_world(seed=3, length_m=200.0), 0)
    start, calm = places("start"), places("calm")

    def run(uri: str) -> None:
        scan(uri, tables, "new")

    run(calm)
    after = scanned(Warehouse(calm), checked(Warehouse(calm)))
    for left in deaths(start, places, run, monkeypatch, few=places.few):
        assert checked(left) == Release()
        run(left.store.uri)
        assert scanned(left, checked(left)) == after
