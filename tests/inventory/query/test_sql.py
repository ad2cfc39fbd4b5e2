from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from rich.console import Console
from support.world import commit, drive, make_world

from roadscan.errors import WarehouseError
from roadscan.inventory import InventoryConfig, query, render, update_inventory
from roadscan.inventory.views import VIEWS
from roadscan.schemas import TABLES
from roadscan.warehouse import Change, Warehouse


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A register of one drive, which is only asked."""
    warehouse = Warehouse(str(tmp_path_factory.mktemp("asked") / "warehouse"))
    commit(warehouse, drive(make_world(seed=3, length_m=900.0), 0))
    update_inventory(InventoryConfig(warehouse=warehouse.store.uri))
    return warehouse.store.uri


@pytest.mark.parametrize("name", [*TABLES, *VIEWS])
def test_every_table_and_view_can_be_read(uri, name):
    assert query(uri, f"SELECT * FROM {name}").num_columns > 0


@pytest.mark.parametrize("name", [*TABLES, *VIEWS])
def test_in_an_empty_release_they_are_empty(tmp_path, name):
    Warehouse(str(tmp_path)).publish(lambda _: Change("nothing yet"))
    assert query(str(tmp_path), f"SELECT * FROM {name}").num_rows == 0


def test_where_nothing_was_published_there_is_nothing_to_ask(tmp_path):
    with pytest.raises(WarehouseError, match=f"{tmp_path}: no warehouse here, current.json is missing"):
        query(str(tmp_path), "FROM assets")


def test_views_agree_with_the_tables(uri):
    warehouse = Warehouse(uri)
    assets = warehouse.read(warehouse.current(), "assets")
    per_class = query(uri, "SELECT * FROM assets_per_class").to_pylist()
    assert sum(row["assets"] for row in per_class) == assets.num_rows
    (row,) = query(uri, "SELECT sum(length_km) AS km FROM guardrail_km").to_pylist()
    assert 0.2 < row["km"] < 0.6  # the world has 160 + 60 + 170 m
    (row,) = query(uri, "SELECT * FROM drive_coverage").to_pylist()
    assert (row["drive_id"], row["frames"], row["frames_ok"]) == ("night-01", 90, 90)


def test_a_query_is_joined_from_several_tables(uri):
    sql = "SELECT count(*) AS n FROM observations o JOIN frames f USING (drive_id, frame_id)"
    assert query(uri, sql)["n"][0].as_py() == query(uri, "SELECT * FROM observations").num_rows


def test_as_of_shows_an_older_state(warehouse, world):
    uri = warehouse.store.uri
    moment = datetime.now(UTC)
    before = query(uri, "SELECT * FROM frames").num_rows
    commit(warehouse, drive(world, 1))
    assert query(uri, "SELECT * FROM frames").num_rows == 2 * before
    assert query(uri, "SELECT * FROM frames", as_of=moment).num_rows == before
    with pytest.raises(WarehouseError, match="nothing was published by 2001"):
        query(uri, "SELECT 1", as_of=datetime(2001, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT nonsense FROM assets", "nonsense"),
        ("SELECT * FROM asets", "asets"),
        ("SELEC 1", "syntax error"),
        ("", "got nothing; expected one SELECT"),
        ("SELECT 1; SELECT 2", "expected one SELECT"),
        ("DROP VIEW assets", "got DROP; expected one SELECT"),
        ("INSTALL spatial", "expected one SELECT"),
    ],
)
def test_a_wrong_query_says_what_is_wrong_and_what_there_is(uri, sql, message):
    with pytest.raises(WarehouseError) as error:
        query(uri, sql)
    assert message in str(error.value)
    assert "tables: observations, frames" in str(error.value)
    assert "assets_per_class" in str(error.value)


def test_a_query_reaches_nothing_but_the_release(uri, tmp_path):
    warehouse = Warehouse(uri)
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    (path,) = warehouse.local_files(warehouse.files(warehouse.current(), "assets"))
    before = path.read_bytes()
    with pytest.raises(WarehouseError, match=r"[Pp]ermission"):
        query(uri, f"SELECT * FROM read_csv('{secret}')")
    with pytest.raises(WarehouseError, match="expected one SELECT"):
        query(uri, f"COPY (SELECT 1) TO '{path}'")
    with pytest.raises(WarehouseError, match="expected one SELECT"):
        query(uri, "SET enable_external_access=true")
    assert path.read_bytes() == before


def test_an_explain_that_runs_a_copy_is_refused(uri):
    warehouse = Warehouse(uri)
    (file,) = warehouse.files(warehouse.current(), "assets")
    path = warehouse.store.path(file.path)
    before = path.read_bytes()
    for verb in ("EXPLAIN ANALYZE", "EXPLAIN"):
        with pytest.raises(WarehouseError, match="expected one SELECT"):
            query(uri, f"{verb} COPY (SELECT 1 AS x FROM assets) TO '{path}' (FORMAT parquet, USE_TMP_FILE false)")
    assert path.read_bytes() == before


def test_two_columns_of_one_name_are_both_printed(uri):
    for kind in ("csv", "json"):
        console = Console(file=io.StringIO())
        render(query(uri, "SELECT 1 AS a, 2 AS b, 3 AS a"), kind, console)
        assert [word in console.file.getvalue() for word in ("a_1", "3")] == [True, True]


def test_numbers_are_numbers_in_json(uri):
    console = Console(file=io.StringIO())
    render(query(uri, "SELECT 1.50 AS d, 2::HUGEINT AS h, 'nan'::DOUBLE AS n"), "json", console)
    assert json.loads(console.file.getvalue()) == [{"d": 1.5, "h": 2, "n": None}]


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM query_table('as' || 'sets')", "SELECT * FROM query('FROM fr' || 'ames')"]
)
def test_a_table_whose_name_is_put_together_is_an_error_and_not_empty(uri, sql):
    with pytest.raises(WarehouseError, match="does not exist"):
        query(uri, sql)


def test_show_tables_shows_them_all(uri):
    assert {*TABLES, *VIEWS} <= set(query(uri, "SHOW TABLES")["name"].to_pylist())


def test_times_are_of_the_warehouses_zone_whatever_the_machines_is(tmp_path, world, monkeypatch):
    """The drive begins at 20:00 UTC on the 1st, which is 03:00 on the 2nd in Bangkok."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        days = {}
        for zone in (None, "Asia/Bangkok"):
            warehouse = Warehouse(str(tmp_path / str(zone).replace("/", "-")))
            commit(warehouse, drive(world, 0))
            update_inventory(InventoryConfig(warehouse=warehouse.store.uri, time_zone=zone))
            sql = "SELECT strftime(min(captured_at), '%Y-%m-%d %H:%M') AS began FROM frames"
            days[zone] = query(warehouse.store.uri, sql)["began"][0].as_py()
        assert days == {None: "2026-03-01 20:00", "Asia/Bangkok": "2026-03-02 03:00"}
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_zone_that_was_set_is_kept_by_a_run_that_says_none(warehouse, config):
    update_inventory(config.model_copy(update={"time_zone": "Asia/Bangkok"}))
    update_inventory(config)
    assert query(config.warehouse, "SELECT current_setting('TimeZone') AS zone")["zone"][0].as_py() == "Asia/Bangkok"


def test_sums_of_views_are_plain_numbers(uri):
    assert query(uri, "SELECT detections FROM drive_coverage").schema.field("detections").type == pa.int64()
