"""Staged drives to a release: the same rows in few files, each drive in place of its older rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from support.tables import named_runs
from support.world import World, commit, drive, make_world

from roadscan.inventory.build import DriveTables
from roadscan.warehouse import Release, Warehouse
from roadscan.warehouse import drives as module
from roadscan.warehouse.drives import StagedDrive, publish_drives, put_together


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(seed=3, length_m=300.0)


def rows(table: pa.Table) -> list[str]:
    """Rows in an order of their own."""
    return sorted(map(repr, table.to_pylist()))


def nights(world: World, *ids: str, night: int = 0) -> list[DriveTables]:
    return [drive(world, night, drive_id=name) for name in ids]


def released(warehouse: Warehouse, release: Release, table: str, drive_id: str) -> list[str]:
    return rows(warehouse.read(release, table, drive_id=drive_id))


def test_the_drives_of_a_night_are_one_file_a_table(warehouse: Warehouse, world: World) -> None:
    made = nights(world, "a", "b", "c")
    commit(warehouse, *made)
    release = warehouse.current()
    assert (release.number, release.rows("runs")) == (1, 3)
    for table in ("frames", "observations"):
        (file,) = warehouse.files(release, table)
        assert "/survey_date=2026-03-01/" in file.path
        for one in made:
            assert released(warehouse, release, table, one.drive_id) == rows(getattr(one, table))


def test_a_drive_that_comes_again_replaces_its_own_rows_only(warehouse: Warehouse, world: World) -> None:
    first = nights(world, "a", "b", "c")
    commit(warehouse, *first)
    before = warehouse.current()
    (again,) = nights(world, "b", night=1)
    commit(warehouse, again)
    after = warehouse.current()
    for table in ("frames", "observations"):
        expected = {one.drive_id: rows(getattr(one, table)) for one in first}
        assert {name: released(warehouse, before, table, name) for name in "abc"} == expected
        expected["b"] = rows(getattr(again, table))
        assert {name: released(warehouse, after, table, name) for name in "abc"} == expected
        assert after.rows(table) == sum(map(len, expected.values()))
    assert after.rows("runs") == 3


def test_runs_stay_few_files_over_many_releases(warehouse: Warehouse, world: World) -> None:
    for number in range(6):
        commit(warehouse, drive(world, number, end_s=50.0))
    release = warehouse.current()
    assert (len(warehouse.files(release, "runs")), release.rows("runs")) == (1, 6)


def test_drives_that_are_published_one_by_one_are_few_files(
    warehouse: Warehouse, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small files of a date are written again with the next drive's rows; large ones and other dates' stay."""
    made = nights(world, *"abcd")
    for one in made[:3]:
        commit(warehouse, one)
    commit(warehouse, drive(world, 1, drive_id="e"))
    release = warehouse.current()
    assert len(warehouse.files(release, "frames")) == 2
    monkeypatch.setattr(module, "SMALL_BYTES", 0)
    commit(warehouse, made[3])
    release = warehouse.current()
    assert len(warehouse.files(release, "frames")) == 3
    for one in made:
        assert released(warehouse, release, "observations", one.drive_id) == rows(one.observations)


def test_a_drive_that_comes_again_leaves_files_of_runs_alone_that_do_not_have_it(
    warehouse: Warehouse, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are large from their first row on; the ids of each lie between those of the others."""
    monkeypatch.setattr(module, "RUNS_BYTES", 0)
    for pair in ("ad", "be", "cf"):
        commit(warehouse, *nights(world, *pair))
    before = {file.path for file in warehouse.files(warehouse.current(), "runs")}
    commit(warehouse, *nights(world, "b", night=1))
    release = warehouse.current()
    after = {file.path: file for file in warehouse.files(release, "runs")}
    new = [after[path] for path in after.keys() - before]
    assert (len(before), len(before & after.keys()), len(new)) == (3, 2, 2)
    ids = [warehouse.read_files([file], "runs")["drive_id"].to_pylist() for file in new]
    assert sorted(ids) == [["b"], ["e"]]
    assert sorted(warehouse.read(release, "runs")["drive_id"].to_pylist()) == list("abcdef")


def test_runs_tell_when_and_where_a_drive_was(warehouse: Warehouse, world: World) -> None:
    (one,) = nights(world, "a")
    commit(warehouse, one)
    (run,) = warehouse.read(warehouse.current(), "runs").to_pylist()
    times, lons, lats = (one.frames[name].to_pylist() for name in ("captured_at", "camera_lon", "camera_lat"))
    assert (run["started_at"], run["ended_at"]) == (min(times), max(times))
    assert run["bbox"] == {"xmin": min(lons), "ymin": min(lats), "xmax": max(lons), "ymax": max(lats)}


def test_a_drive_is_looked_for_on_its_day_only(warehouse: Warehouse, world: World) -> None:
    """Ids that lie between others would be in every file's range."""
    for number, names in enumerate((("a", "z"), ("b", "y"), ("c", "x"))):
        commit(warehouse, *nights(world, *names, night=number))
    release = warehouse.current()
    for name in "abcxyz":
        assert len(warehouse.files(release, "frames", drive_id=name)) == 1
        assert released(warehouse, release, "frames", name)


def test_frames_without_time_or_place_are_kept(warehouse: Warehouse, world: World) -> None:
    one = drive(world, 0, end_s=100.0)
    nothing = {name: pa.nulls(len(one.frames), one.frames[name].type) for name in ("captured_at", "camera_lon")}
    frames = one.frames
    for name, column in nothing.items():
        frames = frames.set_column(frames.schema.get_field_index(name), frames.schema.field(name), column)
    commit(warehouse, DriveTables("lost", _named(frames, "lost"), one.observations.slice(0, 0)), one)
    release = warehouse.current()
    assert released(warehouse, release, "frames", "lost") == rows(_named(frames, "lost"))
    assert released(warehouse, release, "frames", one.drive_id) == rows(one.frames)


def test_frames_without_a_place_lie_with_another_drive_and_are_found(
    warehouse: Warehouse, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tunnel: a file of a drive far away has the rows, and its range says nothing of this drive."""
    one, far = drive(world, 0, drive_id="a").frames, drive(world, 0, drive_id="b").frames
    placed = _with(one.slice(0, 10), camera_lat=pc.add(one["camera_lat"].slice(0, 10), 5.0))
    nowhere = {name: pa.nulls(5, pa.float64()) for name in ("camera_lon", "camera_lat")}
    lost = _with(one.slice(10, 5), **nowhere)
    parts = [warehouse.stage("frames", part, f"k/{number}") for number, part in enumerate((placed, lost, far))]
    monkeypatch.setattr(module, "FILE_BYTES", parts[1].bytes + parts[2].bytes + 10)
    of_drive = {"a": tuple(parts[:2]), "b": tuple(parts[2:])}
    staged = [StagedDrive(run, of_drive[run["drive_id"]]) for run in named_runs("a", "b").to_pylist()]
    publish_drives(warehouse, staged, lambda _: ["a", "b"], "scan")
    release = warehouse.current()
    assert len(warehouse.files(release, "frames")) == 2
    assert released(warehouse, release, "frames", "a") == rows(pa.concat_tables([placed, lost]))
    assert released(warehouse, release, "frames", "b") == rows(far)
    assert len(warehouse.files(release, "frames", drive_id="b")) == 1


def test_a_large_night_is_several_files_each_of_its_own_place(
    warehouse: Warehouse, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = []
    for number in range(4):
        one = drive(world, 0, drive_id=f"d{number}").frames
        moved = pc.add(one["camera_lat"], 0.2 * number)
        one = one.set_column(one.schema.get_field_index("camera_lat"), one.schema.field("camera_lat"), moved)
        parts.append(warehouse.stage("frames", one, f"k/{number}"))
    monkeypatch.setattr(module, "FILE_BYTES", 2 * parts[0].bytes + 100)
    files = put_together(warehouse, "frames", parts[::-1], [], [])
    assert [file.rows for file in files] == [parts[0].rows * 2] * 2
    tables = [warehouse.read_files([file], "frames") for file in files]
    assert [pc.unique(table["drive_id"]).to_pylist() for table in tables] == [["d0", "d1"], ["d2", "d3"]]
    assert rows(pa.concat_tables(tables)) == rows(warehouse.read_files(parts, "frames"))


def test_a_night_over_midnight_lies_where_it_began(warehouse: Warehouse, world: World) -> None:
    one = drive(world, 0)
    late = pc.add(one.frames["captured_at"], pa.scalar(timedelta(hours=4) - timedelta(seconds=5)))
    index = one.frames.schema.get_field_index("captured_at")
    frames = one.frames.set_column(index, one.frames.schema.field(index), late)
    commit(warehouse, replace(one, frames=frames))
    (file,) = warehouse.files(warehouse.current(), "frames")
    assert "/survey_date=2026-03-01/" in file.path
    assert released(warehouse, warehouse.current(), "frames", one.drive_id) == rows(frames)


def _with(table: pa.Table, **columns: pa.Array) -> pa.Table:
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), column)
    return table


def _named(frames: pa.Table, drive_id: str) -> pa.Table:
    index = frames.schema.get_field_index("drive_id")
    return frames.set_column(index, frames.schema.field(index), pa.array([drive_id] * len(frames)))
