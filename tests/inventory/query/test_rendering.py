from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from rich.console import Console

from roadscan.errors import ConfigError
from roadscan.inventory import render
from roadscan.schemas import ASSETS


@pytest.fixture
def rows():
    return pa.table(
        {"n": [1, None], "word": ["[red]ปั๊ม", "a,b"], "wkb": [b"\x01", b""], "at": [datetime(2026, 1, 2)] * 2}
    )


def shown(table, kind, **console) -> str:
    out = io.StringIO()
    render(table, kind, Console(file=out, **console))
    return out.getvalue()


def test_json_is_an_array_of_objects(rows):
    parsed = json.loads(shown(rows, "json", width=10))
    assert parsed[0] == {"n": 1, "word": "[red]ปั๊ม", "wkb": "01", "at": "2026-01-02T00:00:00"}
    assert parsed[1]["n"] is None


def test_csv_has_a_header_and_quotes(rows):
    parsed = list(csv.reader(io.StringIO(shown(rows, "csv", width=10))))
    assert parsed == [
        ["n", "word", "wkb", "at"],
        ["1", "[red]ปั๊ม", "01", "2026-01-02T00:00:00"],
        ["", "a,b", "", "2026-01-02T00:00:00"],
    ]


def test_the_table_shows_every_cell_as_it_is(rows):
    text = shown(rows, "table", width=100)
    assert all(word in text for word in ("word", "[red]ปั๊ม", "a,b"))


@pytest.mark.parametrize("kind", ["table", "record", "json", "csv"])
def test_no_rows(rows, kind):
    assert shown(rows.slice(0, 0), kind, width=80).strip()


def test_an_unknown_format_is_refused(rows):
    with pytest.raises(ConfigError, match="got 'xml'; expected one of table, record, json, csv"):
        shown(rows, "xml")


def test_equal_names_never_become_another_columns_name():
    text = shown(pa.table([[1], [2], [3]], names=["a", "a_1", "a"]), "json")
    assert json.loads(text) == [{"a": 1, "a_1": 2, "a_2": 3}]


@pytest.mark.parametrize("width", [20, 40, 80, 120, 400])
def test_a_table_fits_the_terminal_and_names_what_it_leaves_out(width):
    asset = dict.fromkeys(ASSETS.names) | {
        "asset_id": "01KQ0000000000000000000000", "class": "Information Sign", "geometry": bytes(21),
        "lon": 100.5306184123, "lat": 13.75, "state": "confirmed", "first_seen": datetime(2026, 3, 1, 20, tzinfo=UTC),
    }  # fmt: skip
    text = shown(pa.Table.from_pylist([asset], schema=ASSETS), "table", width=width)
    head = text.splitlines()[1].split()
    assert max(map(len, text.splitlines())) <= width
    said = " ".join(text.split())
    left_out = said.partition("shows the others: ")[2].removesuffix(" times in UTC").split(", ")
    if width >= 80:
        assert sorted([*head, *left_out]) == sorted(ASSETS.names)
        assert f"{len(head)} of {len(ASSETS.names)} columns fit" in said
        assert {"asset_id", "class"} <= set(head)
    assert "Information" in text or width < 80


def test_shapes_give_way_to_words(rows):
    text = shown(rows.select(["wkb", "word", "n"]), "table", width=15)
    assert "word" in text.splitlines()[1]
    assert "--record shows the others: wkb" in " ".join(text.split())


def test_a_record_shows_every_column_and_value_on_a_line_of_its_own():
    asset = pa.table({name: pa.array([f"value of {name}"]) for name in ASSETS.names})
    lines = shown(asset, "record", width=80).splitlines()
    assert lines[0] == "record 1 of 1"
    assert [line.rstrip().split(maxsplit=1) for line in lines[1:]] == [
        [name, f"value of {name}"] for name in ASSETS.names
    ]


def test_the_zone_of_times_is_said_once():
    at = pa.array([datetime(2026, 3, 1, 20, tzinfo=UTC)], pa.timestamp("us", "Asia/Bangkok"))
    text = shown(pa.table({"at": at}), "table", width=80)
    assert "2026-03-02 03:00:00" in text
    assert "times in Asia/Bangkok" in text
