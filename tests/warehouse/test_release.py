"""The way back in time: which release was current at a moment, and how many reads it takes to know."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roadscan.errors import WarehouseError
from roadscan.storage import DiskStore
from roadscan.warehouse import Release, Warehouse
from roadscan.warehouse.release import encode, successor


def years_of_nights(root: Path, nights: int, start: datetime) -> list[Release]:
    """Two releases a night, without tables."""
    store, release, entry, made = DiskStore(root), Release(), None, []
    for number in range(2 * nights):
        release = successor(release, entry, start + timedelta(hours=12 * number))
        data, entry = encode(release)
        store.write(entry.path, data)
        made.append(release)
    assert entry
    pointer = {"release": release.number, "path": entry.path, "sha256": entry.sha256}
    store.write("current.json", json.dumps(pointer).encode())
    return made


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Release]]:
    root = tmp_path_factory.mktemp("years")
    return root, years_of_nights(root, 3 * 365, datetime(2026, 1, 15, 2, tzinfo=UTC))


def test_any_moment_of_three_years_is_found_with_two_reads_more(
    years: tuple[Path, list[Release]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, releases = years
    read, reads = DiskStore.read, []
    monkeypatch.setattr(DiskStore, "read", lambda *args, **kwargs: reads.append(args[1]) or read(*args, **kwargs))
    warehouse = Warehouse(str(root))
    warehouse.current()
    to_know_the_current_one = len(reads)
    most = 0
    for release in (*releases[:70], *releases[70::37], *releases[-70:]):
        for later in (timedelta(0), timedelta(hours=11, minutes=59)):
            reads.clear()
            found = warehouse.as_of(datetime.fromisoformat(release.created_at) + later)
            assert found.number == release.number
            most = max(most, len(reads))
    assert most - to_know_the_current_one == 2


def test_before_the_first_release_there_is_nothing(years: tuple[Path, list[Release]]) -> None:
    root, releases = years
    with pytest.raises(WarehouseError, match="nothing was published by"):
        Warehouse(str(root)).as_of(datetime.fromisoformat(releases[0].created_at) - timedelta(seconds=1))


def test_the_history_is_every_release(years: tuple[Path, list[Release]]) -> None:
    root, releases = years
    assert [one.number for one in Warehouse(str(root)).history()] == [one.number for one in releases[::-1]]
    assert (root / "releases").stat().st_size  # written
    largest = max(path.stat().st_size for path in (root / "releases").iterdir())
    assert largest < 40_000  # bytes: a month's entries and one for each month before


def test_a_clock_that_was_put_back_makes_no_release_before_the_one_before() -> None:
    ahead = datetime(2026, 12, 1, tzinfo=UTC)
    first = successor(Release(), None, ahead)
    second = successor(first, encode(first)[1], ahead - timedelta(days=30))
    assert second.created_at == (ahead + timedelta(microseconds=1)).isoformat()
    assert [entry.created_at for entry in second.month] == [first.created_at]
