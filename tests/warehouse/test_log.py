"""The logs of tables: what a writer that died left in them, and what other engines see."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from support.engines import engine_options
from support.tables import named_runs
from support.world import commit, drive, make_world

from roadscan.demo.server import s3_server
from roadscan.errors import AccessDenied, Unreachable, WarehouseError
from roadscan.storage import Store
from roadscan.warehouse import Change, DataFile, Release, Warehouse
from roadscan.warehouse.log import CHECKPOINT_EVERY


def add(warehouse: Warehouse, *names: str) -> Release:
    files = [warehouse.write("runs", named_runs(name)) for name in names]
    return warehouse.publish(lambda _: Change("more", tuple(files)))


def names(warehouse: Warehouse, release: Release) -> list[str]:
    return sorted(warehouse.read(release, "runs")["drive_id"].to_pylist())


def newest(warehouse: Warehouse) -> list[str]:
    """What an engine reads that opens the table and knows nothing of releases."""
    address = warehouse.store.uri_of("runs")
    return sorted(
        DeltaTable(address, storage_options=engine_options(address)).to_pyarrow_table()["drive_id"].to_pylist()
    )


def left_behind(warehouse: Warehouse, base: Release, name: str) -> DataFile:
    """A commit of a publisher that died before its release."""
    file = warehouse.write("runs", named_runs(name))
    warehouse.log("runs").commit(base.tables.get("runs"), [file], [], "died")
    return file


def test_what_a_dead_publisher_committed_is_in_no_release(warehouse: Warehouse) -> None:
    base = add(warehouse, "a")
    left_behind(warehouse, base, "dead")
    assert names(warehouse, warehouse.current()) == ["a"]
    release = add(warehouse, "b")
    assert names(warehouse, release) == newest(warehouse) == ["a", "b"]
    assert names(warehouse, base) == ["a"]
    assert (release.rows("runs"), len(warehouse.files(release, "runs"))) == (2, 2)


def test_a_dead_publisher_of_the_first_release_is_undone(warehouse: Warehouse) -> None:
    left_behind(warehouse, Release(), "dead")
    assert names(warehouse, add(warehouse, "b")) == newest(warehouse) == ["b"]


def test_a_publish_of_other_tables_takes_away_what_a_dead_one_left(warehouse: Warehouse) -> None:
    left_behind(warehouse, add(warehouse, "a"), "dead")
    assert newest(warehouse) == ["a", "dead"]
    warehouse.publish(lambda _: Change("a night"))
    assert newest(warehouse) == ["a"]


def test_a_publisher_that_settles_late_leaves_the_newest_release(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one publishes after its pointer has moved and before it has looked at the logs."""
    other, swap = Warehouse(warehouse.store.uri), type(warehouse.store).swap
    add(warehouse, "a")

    def then_another(store: Store, key: str, data: bytes, *, tag: str) -> str:
        answer = swap(store, key, data, tag=tag)
        monkeypatch.setattr(type(warehouse.store), "swap", swap)
        add(other, "c")
        return answer

    monkeypatch.setattr(type(warehouse.store), "swap", then_another)
    add(warehouse, "b")
    assert names(warehouse, warehouse.current()) == newest(warehouse) == ["a", "b", "c"]


def test_the_log_promises_no_range_where_a_value_is_no_number(warehouse: Warehouse) -> None:
    one = drive(make_world(seed=3, length_m=100.0), 0)
    index = one.frames.schema.get_field_index("camera_lon")
    lons = pa.array([*one.frames["camera_lon"].to_pylist()[:-1], float("nan")])
    commit(warehouse, replace(one, frames=one.frames.set_column(index, one.frames.schema.field(index), lons)))
    (file,) = warehouse.files(warehouse.current(), "frames")
    told = json.loads(file.stats)
    assert "camera_lat" in told["minValues"]
    assert "camera_lon" not in told["minValues"].keys() | told["maxValues"].keys()


def test_a_file_that_was_removed_may_come_again(warehouse: Warehouse) -> None:
    first = add(warehouse, "a", "b")
    (a, _) = warehouse.files(first, "runs")
    second = warehouse.publish(lambda _: Change("less", remove=(a,)))
    third = warehouse.publish(lambda _: Change("more", add=(a,)))
    assert [names(warehouse, one) for one in (first, second, third)][::2] == [["a", "b"]] * 2
    assert (second.rows("runs"), third.rows("runs")) == (1, 2)
    assert newest(warehouse) == ["a", "b"]


def test_a_change_without_a_difference_is_no_commit(warehouse: Warehouse) -> None:
    release = add(warehouse, "a")
    files = tuple(warehouse.files(release, "runs"))
    again = warehouse.publish(lambda _: Change("the same", files, files))
    assert (again.number, again.version("runs")) == (release.number + 1, release.version("runs"))


def test_rows_that_are_written_again_are_no_commit(warehouse: Warehouse) -> None:
    release = add(warehouse, "a", "b")
    again = [warehouse.write("runs", named_runs(name)) for name in "ab"]
    change = warehouse.replacement(release, again, "the same")
    assert not change.differs
    assert warehouse.publish(lambda _: change).version("runs") == release.version("runs")


def test_every_version_stays_readable_over_checkpoints(warehouse: Warehouse) -> None:
    releases = [add(warehouse, f"{number:03d}") for number in range(CHECKPOINT_EVERY + 3)]
    logs = list(warehouse.store.keys("runs/_delta_log/"))
    assert any("checkpoint" in key for key in logs)
    reader = Warehouse(warehouse.store.uri)
    for count, release in enumerate(releases, 1):
        assert len(names(reader, release)) == count
    assert len(newest(warehouse)) == len(releases)


def test_without_a_checkpoint_or_with_a_damaged_one_the_commits_are_read(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    releases = [add(warehouse, f"{number:03d}") for number in range(2 * CHECKPOINT_EVERY + 1)]
    first, second = sorted((tmp_path / "runs" / "_delta_log").glob("*.checkpoint.parquet"))
    whole = names(Warehouse(warehouse.store.uri), releases[-1])
    second.write_bytes(b"PAR1")
    assert names(Warehouse(warehouse.store.uri), releases[-1]) == whole
    for path in (first, second):
        path.unlink()
    assert names(Warehouse(warehouse.store.uri), releases[-1]) == whole
    assert len(whole) == len(releases)


def test_a_checkpoint_is_written_once(tmp_path: Path) -> None:
    """A table may rest at a version that has one, while others are published."""
    warehouse = Warehouse(str(tmp_path))
    for number in range(CHECKPOINT_EVERY):
        add(warehouse, f"{number:03d}")
    (checkpoint,) = (tmp_path / "runs" / "_delta_log").glob("*.checkpoint.parquet")
    written = checkpoint.stat().st_mtime_ns
    warehouse.publish(lambda _: Change("a night"))
    assert checkpoint.stat().st_mtime_ns == written


def test_only_files_that_may_have_a_drive_are_opened(warehouse: Warehouse) -> None:
    release = add(warehouse, "a", "b", "c")
    (file,) = warehouse.files(release, "runs", drive_id="b")
    assert warehouse.read_files([file], "runs")["drive_id"].to_pylist() == ["b"]
    assert warehouse.files(release, "runs", drive_id="bb") == []


def cut_short(log: Path, commit: Path) -> None:
    commit.write_text(commit.read_text().rpartition("\n")[0])


def emptied(log: Path, commit: Path) -> None:
    commit.write_text("")


def of_another_table(log: Path, commit: Path) -> None:
    commit.write_text(commit.read_text().replace(".parquet", "0.parquet"))


@pytest.mark.parametrize("damage", [cut_short, emptied, of_another_table])
def test_a_log_that_no_longer_says_what_was_released_is_an_error(
    tmp_path: Path, damage: Callable[[Path, Path], None]
) -> None:
    warehouse = Warehouse(str(tmp_path))
    before, *_, release = [add(warehouse, f"{number}a", f"{number}b") for number in range(3)]
    log = tmp_path / "runs" / "_delta_log"
    damage(log, log / f"{1:020d}.json")
    reader = Warehouse(str(tmp_path))
    with pytest.raises(WarehouseError, match=r"runs: version 2 .* expected the 6 that were released.*restore it"):
        reader.read(release, "runs")
    assert names(reader, before) == ["0a", "0b"]


def test_a_release_of_before_there_were_digests_stays_readable_and_the_next_one_has_one(warehouse: Warehouse) -> None:
    release = add(warehouse, "a", "b")
    older = replace(release, tables={"runs": replace(release.tables["runs"], digest="")})
    assert names(Warehouse(warehouse.store.uri), older) == ["a", "b"]
    more = [warehouse.write("runs", named_runs("c"))]
    made = warehouse.log("runs").commit(older.tables["runs"], more, [], "more")
    assert made == warehouse.log("runs").commit(release.tables["runs"], more, [], "more")
    assert made.digest


def test_a_log_whose_files_are_gone_is_named(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    release = add(warehouse, "a")
    (tmp_path / "runs" / "_delta_log" / f"{0:020d}.json").unlink()
    with pytest.raises(WarehouseError, match=r"version 0 of its log cannot be read.*restore"):
        Warehouse(str(tmp_path)).read(release, "runs")


@pytest.mark.s3
@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_credentials_that_end_before_a_log_is_read_are_called_by_their_name(
    s3: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    warehouse = Warehouse(f"s3://warehouse/{tmp_path.name}")
    release = add(warehouse, "a")
    reader = Warehouse(warehouse.store.uri)
    assert reader.current() == release
    with monkeypatch.context() as patched:
        patched.setenv(name, "no longer valid")
        with pytest.raises(AccessDenied, match=r"refused the credentials.*check AWS_ACCESS_KEY_ID"):
            reader.files(release, "runs")
    assert names(reader, release) == ["a"]


@pytest.mark.s3
@pytest.mark.slow
def test_a_store_that_is_gone_before_a_log_is_read_is_called_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_server(tmp_path, ("warehouse",)) as server:
        warehouse = Warehouse("s3://warehouse/gone")
        release = add(warehouse, "a")
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Unreachable, match=r"does not answer.*check AWS_ENDPOINT_URL_S3 and the network"):
        Warehouse(warehouse.store.uri).files(release, "runs")
