"""What drives said of assets, settled once they are left out: what a night writes of it, and reads."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from support.world import World, commit, drive, make_world

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.inventory.tiles.history import SMALL_ROWS, files_to_merge
from roadscan.inventory.tiles.kept import SAID
from roadscan.warehouse import DataFile, Release, Warehouse

NIGHTS, WINDOW = 13, 2


@pytest.mark.parametrize("a_night", [60, 700, 5_000])
def test_three_years_of_nights_are_few_files_and_each_row_is_written_few_times(a_night):
    files: list[int] = []
    written, most, small = 0, 0, 0
    for _ in range(1095):
        merged = files_to_merge(files, a_night)
        whole = a_night + sum(files[place] for place in merged)
        files = [rows for place, rows in enumerate(files) if place not in merged] + [whole]
        written += whole
        most = max(most, len(files))
        small = max(small, sum(rows < SMALL_ROWS for rows in files))
    total = 1095 * a_night
    assert sum(files) == total
    assert small <= 6
    assert most <= small + total / SMALL_ROWS
    assert written <= 20 * total  # one file for all: 550 times at 60 rows, 140 times at 700


def test_of_no_files_none_is_merged_and_a_full_one_never():
    assert files_to_merge([], 5) == []
    assert files_to_merge([SMALL_ROWS], 10 * SMALL_ROWS) == []
    assert files_to_merge([SMALL_ROWS - 1], SMALL_ROWS) == [0]


@pytest.fixture(scope="module")
def world() -> World:
    """A short road in the middle of a tile."""
    return make_world(seed=3, length_m=400.0)


@pytest.fixture(scope="module")
def nightly(world, tmp_path_factory) -> Warehouse:
    warehouse = Warehouse(str(tmp_path_factory.mktemp("nightly")))
    for night in range(NIGHTS):
        another_night(warehouse, world, night)
    return warehouse


def another_night(warehouse: Warehouse, world: World, night: int) -> None:
    commit(warehouse, drive(world, night))
    update_inventory(InventoryConfig(warehouse=warehouse.store.uri, matching={"window_drives": WINDOW}))


def settled(warehouse: Warehouse, release: Release, table: str) -> list[DataFile]:
    return [file for file in warehouse.files(release, table) if "/settled/" in file.path]


@pytest.mark.slow
@pytest.mark.parametrize("table", SAID)
def test_a_night_leaves_most_of_what_is_settled_as_it_is(nightly, table):
    states = [settled(nightly, release, table) for release in nightly.history()][::-1]
    written = sum(file.rows for before, after in itertools.pairwise(states) for file in set(after) - {*before})
    total = sum(file.rows for file in states[-1])
    assert total > 100
    assert written < 5 * total  # one file for all would be written (1 + 2 + … + 11) / 11 = 6 times
    assert all(len(files) <= 3 for files in states)
    assert any(set(after) & set(before) for before, after in itertools.pairwise(states) if before != after)


@pytest.mark.slow
def test_a_night_reads_nothing_of_much_that_was_settled_before(world, tmp_path):
    """Its files may be away for the night."""
    warehouse, nights = Warehouse(str(tmp_path / "warehouse")), 12
    commit(warehouse, *(drive(world, night) for night in range(nights - 1)))
    another_night(warehouse, world, nights - 1)
    old = [
        Path(warehouse.store.uri, file.path) for name in SAID for file in settled(warehouse, warehouse.current(), name)
    ]
    assert len(old) == len(SAID)
    for path in old:
        path.rename(path.with_suffix(".away"))
    another_night(warehouse, world, nights)
    for path in old:
        path.with_suffix(".away").rename(path)
    for name in SAID:
        rows = warehouse.read(warehouse.current(), name)
        assert len(set(rows["drive_id"].to_pylist())) == nights + 1
        assert len(settled(warehouse, warehouse.current(), name)) == 2
