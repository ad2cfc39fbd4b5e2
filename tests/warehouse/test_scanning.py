"""Questions that read only what they need: which files, and that nothing is lost."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from support.requests_counted import counted_requests
from support.world import commit, drive, make_world

from roadscan.errors import AccessDenied, StorageError, WarehouseError
from roadscan.inventory.query import query
from roadscan.inventory.query.sql import query_release
from roadscan.warehouse import Warehouse

NIGHTS = 6
CARS = 3


def name_of(car: int, night: int) -> str:
    """Ids that do not begin with the date: each night's lie between those of any other."""
    return f"car-{car}-night-{night}"


def fill(warehouse: Warehouse) -> None:
    for night in range(NIGHTS):
        world = make_world(night, 400.0)
        commit(warehouse, *(drive(world, night, drive_id=name_of(car, night)) for car in range(CARS)))


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = Warehouse(str(tmp_path_factory.mktemp("nights")))
    fill(warehouse)
    return warehouse


@pytest.fixture(scope="module")
def on_s3(s3: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    folder = tmp_path_factory.mktemp("scanning")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(folder))
        warehouse = Warehouse(f"s3://warehouse/{folder.name}")
        fill(warehouse)
        yield warehouse


def files_for(warehouse: Warehouse, question: pc.Expression) -> int:
    return len(list(warehouse.dataset(warehouse.current(), "observations").get_fragments(filter=question)))


D, CLASS = pc.field("drive_id"), pc.field("class")
ONE, TWO = name_of(1, 2), name_of(2, 4)
IN_LIST = pc.if_else(D.is_valid(), D.isin([ONE, TWO]), pa.scalar(None, pa.bool_()))  # as DuckDB writes it


@pytest.mark.parametrize(
    ("question", "files"),
    [
        (D == ONE, 1),
        ((D == ONE) | (D == TWO), 2),
        (IN_LIST, 2),
        ((D == ONE) & CLASS.is_valid(), 1),
        ((D >= ONE) & (D <= ONE), 1),
        ((D == ONE) & (D == TWO), 0),
        (D == "nobody", 0),
        (CLASS == "", 0),
        (D != ONE, NIGHTS),
        ((D == ONE) | CLASS.is_valid(), NIGHTS),
    ],
)
def test_only_files_of_drives_that_pass_are_opened(nights: Warehouse, question: pc.Expression, files: int) -> None:
    release = nights.current()
    assert files_for(nights, question) == files
    found = nights.dataset(release, "observations").to_table(["observation_id"], filter=question)
    expected = nights.read(release, "observations").filter(question)
    assert found["observation_id"].to_pylist() == expected["observation_id"].to_pylist()


def test_a_time_finds_its_night(nights: Warehouse) -> None:
    first = pc.min(nights.read(nights.current(), "observations", drive_id=ONE)["captured_at"])
    assert files_for(nights, pc.field("captured_at") == first) == 1


@pytest.mark.parametrize("rest", ["", " AND score > 0.5", f" OR drive_id = '{TWO}'", " AND class IS NOT NULL"])
def test_sql_of_a_drive_says_what_it_says_of_all_rows(nights: Warehouse, rest: str) -> None:
    """`concat` keeps the second question from being pushed down to the files."""
    ask = (
        "SELECT count(*), min(range_m), max(range_m), count(DISTINCT frame_id) FROM observations WHERE {} = '"
        + ONE
        + "'"
        + rest
    )
    found, expected = (query(nights.store.uri, ask.format(name)) for name in ("drive_id", "concat(drive_id, '')"))
    assert found.equals(expected)
    assert found.column(0).to_pylist() > [0]


def test_each_side_of_a_join_is_narrowed_by_its_own_filter(nights: Warehouse) -> None:
    sql = (
        "SELECT count(DISTINCT a.drive_id), count(DISTINCT b.drive_id) FROM observations a, observations b "
        f"WHERE a.drive_id = '{ONE}' AND a.class = b.class"
    )
    assert query(nights.store.uri, sql).to_pylist()[0] == {
        "count(DISTINCT a.drive_id)": 1,
        "count(DISTINCT b.drive_id)": NIGHTS * CARS,
    }


@pytest.mark.s3
def test_a_drive_by_sql_takes_few_requests_beyond_the_log_and_no_head(on_s3: Warehouse) -> None:
    with counted_requests() as asked:
        found = query(on_s3.store.uri, f"SELECT * FROM observations WHERE drive_id = '{ONE}'")
    assert found.num_rows == on_s3.read(on_s3.current(), "observations", drive_id=ONE).num_rows > 0
    assert asked.count("HEAD") == 0
    assert asked.count(log=False) <= 10


@pytest.mark.s3
def test_credentials_that_end_while_a_query_runs_are_called_by_their_name(
    on_s3: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = on_s3.current()
    on_s3.files(release, "observations", drive_id=ONE)
    with monkeypatch.context() as patched:
        patched.setenv("AWS_SECRET_ACCESS_KEY", "no longer valid")
        with pytest.raises(AccessDenied, match=r"refused the credentials"):
            query_release(on_s3, release, f"SELECT * FROM observations WHERE drive_id = '{ONE}'")
        with pytest.raises(AccessDenied, match=r"refused the credentials"):
            on_s3.read(release, "observations", drive_id=ONE)


@pytest.mark.s3
def test_a_page_that_was_damaged_is_noticed_where_files_are_not_read_whole(s3: object, tmp_path: Path) -> None:
    warehouse = Warehouse(f"s3://warehouse/{tmp_path.name}")
    commit(warehouse, drive(make_world(1, 400.0), 1, drive_id=ONE))
    release = warehouse.current()
    (file,) = warehouse.files(release, "observations")
    data = bytearray(warehouse.store.read(file.path))
    data[len(data) // 3] ^= 1
    warehouse.store.write(file.path, bytes(data))
    with pytest.raises(StorageError, match="observations"):
        warehouse.read(release, "observations", drive_id=ONE)


@pytest.mark.parametrize("sql", ["SELECT count(*) FROM observations", f"FROM observations WHERE drive_id = '{ONE}'"])
def test_a_damaged_file_on_a_disk_is_told_and_gives_no_rows(tmp_path: Path, sql: str) -> None:
    """Also by who has read it before it was damaged; any byte of it, also one that no page's checksum covers."""
    warehouse = Warehouse(str(tmp_path))
    commit(warehouse, drive(make_world(0, 400.0), 0, drive_id=ONE))
    (file,) = warehouse.files(warehouse.current(), "observations")
    path = tmp_path / file.path
    whole, random_ = path.read_bytes(), random.Random(9)
    rows = query_release(warehouse, warehouse.current(), sql).num_rows
    for at in (5, len(whole) // 2, len(whole) - 20, *random_.sample(range(len(whole)), 5)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        for reader in (warehouse, Warehouse(str(tmp_path))):
            with pytest.raises((StorageError, WarehouseError), match="the object is not the one that was committed"):
                query_release(reader, reader.current(), sql)
    path.write_bytes(whole)
    assert query_release(warehouse, warehouse.current(), sql).num_rows == rows > 0


def test_a_file_on_a_disk_is_verified_once_until_it_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = Warehouse(str(tmp_path))
    commit(warehouse, drive(make_world(0, 400.0), 0, drive_id=ONE))
    (file,) = warehouse.files(warehouse.current(), "observations")
    read, really = list[str](), warehouse.store.read

    def noted(key: str, **options: Any) -> bytes:
        read.append(key)
        return really(key, **options)

    monkeypatch.setattr(warehouse.store, "read", noted)
    for times in (1, 1, 2):
        if times == 2:
            os.utime(tmp_path / file.path, ns=(0, 0))
        query_release(warehouse, warehouse.current(), "SELECT count(*) FROM observations")
        assert read.count(file.path) == times
