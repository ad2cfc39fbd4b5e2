from __future__ import annotations

import csv
import json
import re
from datetime import date
from pathlib import Path

import pytest
from support.located import CAME, GONE, GONE_RAIL, km_m, located_world, make_located
from support.once import made_once

from roadscan.errors import ConfigError, WarehouseError
from roadscan.inventory import update_inventory
from roadscan.inventory.query.changes import Stretch, find_changes, read_days, read_km

NEAR_M = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return made_once(tmp_path_factory, "located", make_located)


@pytest.fixture
def uri(folder) -> str:
    return str(folder / "w")


def places(uri: str, **asked: object) -> dict[str, list[int]]:
    """Of each kind of change where it was."""
    found: dict[str, list[int]] = {}
    for row in find_changes(uri, Stretch(**asked)).rows.to_pylist():
        found.setdefault(row["change"], []).append(row["km_m"])
    return found


def test_what_came_and_what_went_is_found_where_it_stood(uri):
    world, found = located_world(), places(uri, route="2")
    assert any(abs(at - km_m(world, GONE)) < NEAR_M for at in found["missing"])
    assert any(abs(at - km_m(world, CAME)) < NEAR_M for at in found["new"])


@pytest.mark.parametrize("written", ["2", "02", "0002"])
def test_zeros_before_a_route_do_not_matter(uri, written):
    assert find_changes(uri, Stretch(written)).asked.route == "0002"


def test_a_stretch_has_what_stands_in_it_alone(uri):
    at = round(km_m(located_world(), GONE))
    assert "missing" in places(uri, from_m=at - NEAR_M, to_m=at + NEAR_M)
    assert "missing" not in places(uri, from_m=at + NEAR_M, to_m=at + 100)
    assert "missing" not in places(uri, from_m=0, to_m=at - NEAR_M)


def test_days_are_of_the_warehouses_zone(uri):
    """The third drive ends after 20:00 UTC on the 3rd of March, which is the 4th in Bangkok."""
    rows = find_changes(uri, Stretch(since=date(2026, 3, 4), until=date(2026, 3, 4))).rows.to_pylist()
    assert {row["drive_id"] for row in rows} == {"night-03"}
    assert not find_changes(uri, Stretch(until=date(2026, 3, 3))).rows.num_rows


def test_a_line_is_on_every_kilometre_that_it_runs_along(uri):
    """A guardrail's chainage is that of its smaller end; 40 m behind that end one still stands beside it."""
    begin = round(km_m(located_world(), GONE_RAIL))
    rows = find_changes(uri, Stretch(from_m=begin + 40, to_m=begin + 50)).rows.to_pylist()
    assert ("Concrete Guardrail", "missing") in {(row["class"], row["change"]) for row in rows}
    assert all(row["km_m"] < begin + 40 for row in rows if row["class"] == "Concrete Guardrail")


def test_a_route_that_there_is_not_is_named_with_those_that_there_are(uri):
    with pytest.raises(WarehouseError, match=r"route: got '3'; the register has 0002 \(km 10\+\d{3} to 11\+\d{3}\)"):
        find_changes(uri, Stretch("3"))


def test_without_centrelines_a_route_says_what_to_do(warehouse, config):
    update_inventory(config)
    with pytest.raises(WarehouseError, match=r"route: got '2'.*--set reference.uri"):
        find_changes(config.warehouse, Stretch("2"))
    assert (
        find_changes(config.warehouse, Stretch())
        .heading()
        .startswith("no changes in the register; the register has none")
    )


def test_where_nothing_changed_what_there_is_is_said(uri):
    said = find_changes(uri, Stretch("2", since=date(2030, 1, 1))).heading()
    assert re.search(
        r"no changes on route 0002 since 2030-01-01; the register has \d+, from 2026-03-0\d to 2026-03-0\d", said
    )
    assert "on routes 0002 (km 10+" in said


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("10-20", (10_000, 20_000)),
        ("10+500-12+250", (10_500, 12_250)),
        ("10.5-12", (10_500, 12_000)),
        ("10+500", (10_500, 10_500)),
        ("7", (7_000, 7_999)),
    ],
)
def test_kilometres_are_read_as_people_write_them(text, metres):
    assert read_km(text) == metres


@pytest.mark.parametrize("text", ["", "ten", "20-10", "10+5", "-3", "10-20-30"])
def test_what_is_no_kilometre_is_refused(text):
    with pytest.raises(ConfigError, match=r"km: got .*expected a kilometre or a range"):
        read_km(text)


@pytest.mark.parametrize("text", ["Nov", "2026-13", "2026-02-30", "26-11", "2026-1"])
def test_what_is_no_date_is_refused(text):
    with pytest.raises(ConfigError, match=r"since: got .*expected a day, a month or a year"):
        read_days("since", text)


@pytest.mark.slow
def test_the_command_prints_a_table_that_fits_and_writes_all_of_it(here, uri, tmp_path):
    out = tmp_path / "new folder" / "changes.csv"
    words = ["changes", uri, "--route", "2", "--km", "10-11.5", "--since", "2026-03", "--out", str(out)]
    done = here(*words, COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"\d+ changes on route 0002 from km 10\+000 to 11\+500 since 2026-03-01\n", done.stdout)
    assert max(map(len, done.stdout.splitlines()[1:])) <= 80
    assert "days in Asia/Bangkok" in done.stdout
    written = list(csv.DictReader(out.open()))
    assert all(row["asset_id"] in done.stdout for row in written)
    told = json.loads(here(*words[:-2], "--json").stdout)
    assert [row["asset_id"] for row in told["changes"]] == [row["asset_id"] for row in written]
    assert told["asked"]["since"] == "2026-03-01"


def test_a_misspelt_warehouse_is_an_error(here, tmp_path):
    done = here("changes", str(tmp_path / "nope"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "no warehouse here" in done.stderr
