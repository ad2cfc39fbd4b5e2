"""Filters and lists against the same conditions in SQL."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest
from support.viewed import map_register, warehouse_of

from roadscan.errors import ConfigError
from roadscan.view.filters import Filter, read_filter
from roadscan.view.lists import csv_lines, geojson, read_box, rows_passing, table, worst_first
from roadscan.view.register import MapRegister, load_register

CLASSES, STATES, SIDES = (
    ("Warning Sign", "Bus Stop", "<b>"),
    ("confirmed", "missing", "suspect"),
    ("left", "right", None),
)


def assets(count: int = 400) -> list[dict]:
    rng = np.random.default_rng(5)
    rows = []
    for n in range(count):
        km = None if n % 7 == 0 else int(rng.integers(0, 30_000))
        seen = datetime.fromtimestamp(1_790_000_000 + int(rng.integers(0, 90 * 86_400)), UTC)
        rows.append(
            {"asset_id": f"id{n:04d}", "lon": 100 + rng.uniform(0, 1), "lat": 13 + rng.uniform(0, 1)}
            | {"class": CLASSES[n % 3], "state": STATES[n // 3 % 3], "side": SIDES[n // 9 % 3]}
            | {"route_code": None if km is None else f"000{1 + n % 2}", "km_m": km, "score": float(rng.uniform())}
            | {
                "km_end_m": None if km is None or n % 4 else km + 800,
                "last_seen": seen,
                "existence": float(rng.uniform()),
            }
        )
    return rows


@pytest.fixture(scope="module")
def register(tmp_path_factory: pytest.TempPathFactory) -> MapRegister:
    warehouse = warehouse_of(tmp_path_factory.mktemp("filtered"), *assets())
    return load_register(warehouse, warehouse.current())


@pytest.mark.parametrize(
    ("asked", "sql"),
    [
        ({}, "true"),
        ({"class": ["Bus Stop"]}, "class = 'Bus Stop'"),
        ({"class": ["Bus Stop", "<b>"], "state": ["missing"]}, "class IN ('Bus Stop', '<b>') AND state = 'missing'"),
        ({"side": ["left"]}, "side = 'left'"),
        ({"route": ["2"]}, "route_code = '0002'"),
        ({"route": ["9"]}, "false"),
        ({"km": ["10-12+500"]}, "km_m <= 12500 AND coalesce(km_end_m, km_m) >= 10000"),
        ({"km": ["7"], "route": ["0001"]}, "km_m <= 7999 AND coalesce(km_end_m, km_m) >= 7000 AND route_code = '0001'"),
        ({"since": ["2026-10-20"]}, "last_seen >= TIMESTAMPTZ '2026-10-20 00:00:00+07'"),
        ({"until": ["2026-10"]}, "last_seen < TIMESTAMPTZ '2026-11-01 00:00:00+07'"),
        ({"score": ["0.75"], "state": ["suspect", ""]}, "score >= 0.75 AND state = 'suspect'"),
    ],
)
def test_what_passes_is_what_sql_chooses(register: MapRegister, asked: dict, sql: str) -> None:
    import pyarrow as pa

    known = pa.Table.from_pylist(assets())
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("assets", known)
    expected = connection.sql(f"SELECT asset_id FROM assets WHERE {sql} ORDER BY asset_id").fetchall()
    rows = rows_passing(register, read_filter(asked, "Asia/Bangkok"))
    assert sorted(register.asset_id.take(rows).to_pylist()) == [one for (one,) in expected]


@pytest.mark.parametrize(
    "field", [{"km": ["ten"]}, {"since": ["2026-13-01"]}, {"until": ["x"]}, {"score": ["2"]}, {"score": ["nan"]}]
)
def test_a_field_that_is_wrong_is_named(field: dict) -> None:
    (name,) = field
    with pytest.raises(ConfigError, match=f"{name}: got"):
        read_filter(field)


def test_only_what_lies_in_the_box_is_listed(register: MapRegister) -> None:
    box = read_box("100.2,13.1,100.6,13.8")
    rows = rows_passing(register, Filter(), box)
    expected = [one["asset_id"] for one in assets() if 100.2 <= one["lon"] <= 100.6 and 13.1 <= one["lat"] <= 13.8]
    assert sorted(register.asset_id.take(rows).to_pylist()) == sorted(expected)
    for text in ("1,2,3", "a,b,c,d", "5,0,1,1", "nan,0,1,1", "0,0,0,91"):
        with pytest.raises(ConfigError, match="bbox: got"):
            read_box(text)


def test_the_worst_come_first_suspects_then_missing_then_the_rest_and_of_each_the_doubtful(
    register: MapRegister,
) -> None:
    shown = table(register, worst_first(register, rows_passing(register, Filter()), 500)).to_pylist()
    order = [
        STATES[::-1].index("suspect") if one["state"] == "suspect" else 1 if one["state"] == "missing" else 2
        for one in shown
    ]
    assert order == sorted(order)
    suspects = [abs(one["existence"] - 0.5) for one in shown if one["state"] == "suspect"]
    assert suspects == pytest.approx(sorted(suspects), abs=1e-3)  # existence is shown with three digits
    assert len(shown) == len(assets())


def test_the_files_have_every_row_and_text_stays_text(register: MapRegister) -> None:
    rows = rows_passing(register, Filter())
    read = list(csv.DictReader(io.StringIO("".join(csv_lines(register, rows)))))
    assert {one["asset_id"]: (one["class"], one["state"]) for one in read} == {
        one["asset_id"]: (one["class"], one["state"]) for one in assets()
    }
    features = json.loads("".join(geojson(register, rows)))["features"]
    place = {one["properties"]["asset_id"]: one["geometry"]["coordinates"] for one in features}
    for one in assets():
        assert place[one["asset_id"]] == pytest.approx([one["lon"], one["lat"]], abs=2e-7)


def test_a_text_that_a_spreadsheet_would_run_is_marked_and_a_line_is_a_line(tmp_path: Path) -> None:
    line = [(100.0, 13.0), (100.001, 13.001), (100.002, 13.001)]
    register = map_register(tmp_path, {"asset_id": "=cmd()", "line": line})
    rows = np.arange(1)
    assert "'=cmd()" in "".join(csv_lines(register, rows))
    (feature,) = json.loads("".join(geojson(register, rows)))["features"]
    assert feature["geometry"]["type"] == "LineString"
    assert np.ravel(feature["geometry"]["coordinates"]) == pytest.approx(np.ravel(line), abs=2e-7)
    assert "".join(csv_lines(register, rows[:0])).count("\n") == 1
