"""Upkeep that dies at any of its writes: readers see whole releases, and the next run ends what was begun."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.deaths import copy, deaths
from support.old_warehouse import OldWarehouse
from support.tables import named_runs

from roadscan.errors import WarehouseError
from roadscan.warehouse import Release, Warehouse
from roadscan.warehouse.migrate import migrate
from roadscan.warehouse.upkeep import restore, vacuum

pytestmark = pytest.mark.slow

LATER = datetime.now(UTC) + timedelta(days=200)


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.s3)])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Where a warehouse of some name lies."""
    if request.param == "disk":
        return lambda name: str(tmp_path / name)
    request.getfixturevalue("s3")
    return lambda name: f"s3://warehouse/{tmp_path.name}/{name}"


def put(warehouse: Warehouse, *names: str) -> Release:
    file = warehouse.write("runs", named_runs(*names))
    return warehouse.publish(lambda release: warehouse.replacement(release, [file], f"runs {names}"))


def runs(warehouse: Warehouse) -> list[str]:
    return sorted(warehouse.read(warehouse.current(), "runs")["drive_id"].to_pylist())


def test_a_vacuum_that_dies(places: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    start = places("start")
    for name in "abc":
        put(Warehouse(start), name)
    died = 0
    for left in deaths(start, places, lambda uri: vacuum(Warehouse(uri), now=LATER), monkeypatch):
        died += 1
        assert runs(left) == ["c"]
        vacuum(left, now=LATER)
        assert runs(left) == ["c"]
        assert len([key for key in left.store.keys("runs/") if key.endswith(".parquet")]) == 1
        assert len(list(left.store.keys("releases/"))) == 1
    assert died == 4  # two releases, two files


def test_a_restore_that_dies(places: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    start = places("start")
    for name in "abc":
        put(Warehouse(start), name)
    for left in deaths(start, places, lambda uri: restore(Warehouse(uri), 1), monkeypatch):
        assert runs(left) == ["c"]
        restore(left, 1)
        assert runs(left) == ["a"]


def test_a_migration_that_dies(places: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = OldWarehouse(tmp_path / "old")
    for number, name in enumerate("abc"):
        old.write("runs", named_runs(name), name, name)
        old.publish(name, datetime(2026, 1, 30 + number // 2, 20 + number, tzinfo=UTC))
    start = places("start")
    copy(str(old.root), start)
    for left in deaths(start, places, migrate, monkeypatch):
        with pytest.raises(WarehouseError, match="roadscan migrate"):
            left.current()
        assert migrate(left.store.uri).releases == 3
        assert [one.rows("runs") for one in left.history()] == [3, 2, 1]
        assert runs(left) == ["a", "b", "c"]
