"""Questions about some assets read what drives said of these alone, and answer as if they had read everything."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadscan.errors import RoadscanError
from roadscan.inventory import query
from roadscan.inventory.query.asked import MOST_ASKED, READERS, Asked, find_asked
from roadscan.inventory.tiles.cells import index_cells
from roadscan.inventory.tiles.kept import SAID
from roadscan.inventory.views import VIEWS, stored_views
from roadscan.schemas import TABLES
from roadscan.warehouse import Warehouse

START = datetime(2026, 3, 1, 20, tzinfo=UTC)
CELLS = ("200_27", "200_28", "201_27", "201_28", "-1_-1", "")
PER_CELL = 6
COUNT = PER_CELL * len(CELLS)
BOX = dict.fromkeys(("xmin", "ymin", "xmax", "ymax"), 0.0)
ZEROS = {"string": "", "double": 0.0, "float": 0.0, "int32": 0, "bool": True, "binary": b"", "timestamp": START} | {
    "struct": BOX,
    "fixed_size_list": [0.0] * 4,
    "list": [],
}


def rows_of(table: str, rows: list[dict]) -> pa.Table:
    """Rows with what they do not say as null, or as zero where a table has no nulls."""
    schema = TABLES[table]
    columns = []
    for field in schema:
        absent = None if field.nullable else ZEROS[str(field.type).partition("<")[0].partition("[")[0]]
        columns.append(pa.array([row.get(field.name, absent) for row in rows], field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def lon_of(number: int) -> float:
    return 100.0 + 0.01 * number


def said_rows(table: str, rng: np.random.Generator) -> dict[str, list[dict]]:
    """Of each cell: of its own assets, of one of the next cell, of an id that is another's now, and of one unknown."""
    told = {}
    for number, cell in enumerate(CELLS):
        mine = [f"A{number * PER_CELL + k:02d}" for k in range(PER_CELL)]
        mine += [f"A{(number + 1) * PER_CELL % COUNT:02d}", f"OLD{number}", "GONE" if number % 2 else f"LOST{number}"]
        told[cell] = [
            {
                "asset_id": one,
                "class": "Bus Stop",
                "drive_id": f"d{night}",
                "frame_id": f"{number:02d}",
                "observation_id": f"{one}-{night}",
                "seen": bool(rng.integers(2)),
                "hits": int(rng.integers(9)),
                "looked_at": START + timedelta(days=night),
                "captured_at": START + timedelta(days=night),
            }
            for one in mine
            for night in range(3)
        ]
    return told


def publish(warehouse: Warehouse, *, indexed: bool) -> None:
    """Assets of routes that cross cells, some without one; ids that went to assets of other cells, or to none."""
    assets = [
        {
            "asset_id": f"A{k:02d}",
            "class": "Bus Stop",
            "state": "confirmed",
            "route_code": None if k % 5 == 0 else f"000{k % 4}",
            "section_code": None if k % 5 == 0 else f"010{k % 2}",
            "km_m": None if k % 5 == 0 else 1000 * k,
        }
        for k in range(COUNT)
    ]
    aliases = [
        {"alias_id": f"OLD{k}", "asset_id": f"A{(k * 11 + 4) % COUNT:02d}", "since": START, "reason": "merged"}
        for k in range(len(CELLS))
    ] + [{"alias_id": "LOST0", "asset_id": "NOWHERE", "since": START, "reason": "merged"}]
    changes = [
        {"asset_id": one, "change": change, "drive_id": f"d{k % 3}", "changed_at": START, "lon": lon_of(k), "lat": 14.0}
        for k, one, change in (*((k, f"A{k:02d}", "new") for k in range(COUNT)), (40, "OLD1", "suspect"))
    ]
    nights = [{"drive_id": f"d{night}", "started_at": START + timedelta(days=night)} for night in range(3)]
    frames = [
        {
            "drive_id": f"d{night}",
            "frame_id": f"{k:02d}",
            "image_uri": f"d{night}/{k}.jpg",
            "captured_at": START + timedelta(days=night, seconds=k),
            "camera_lon": lon_of(k),
            "camera_lat": 14.0 - 0.0002,  # 22 m south of it, looking north
            "heading_deg": 0.0,
            "fov_deg": 60.0,
            "status": "ok",
        }
        for night in range(3)
        for k in range(45)
    ]
    tables = {
        "assets": rows_of("assets", assets),
        "asset_alias": rows_of("asset_alias", aliases),
        "asset_changes": rows_of("asset_changes", changes),
        "coverage": TABLES["coverage"].empty_table(),
    }
    driven = {"runs": rows_of("runs", nights), "frames": rows_of("frames", frames)}
    files = [warehouse.write(name, table) for name, table in (tables | stored_views(tables) | driven).items()]
    for table in SAID:
        for cell, rows in said_rows(table, np.random.default_rng(1)).items():
            half = len(rows) // 2
            for part, some in (("open", rows[:half]), ("settled", rows[half:])):
                files.append(warehouse.write(table, rows_of(table, some), folder=f"cell={cell}/{part}" if cell else ""))
    if indexed:
        files.append(index_cells(warehouse, warehouse.current(), tables, files))
    warehouse.publish(lambda release: warehouse.replacement(release, files, "a register"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> str:
    """A register without an index, of which everything is read."""
    warehouse = Warehouse(str(tmp_path_factory.mktemp("whole")))
    publish(warehouse, indexed=False)
    return warehouse.store.uri


@pytest.fixture(scope="module")
def indexed(tmp_path_factory) -> str:
    warehouse = Warehouse(str(tmp_path_factory.mktemp("indexed")))
    publish(warehouse, indexed=True)
    return warehouse.store.uri


@pytest.fixture(scope="module")
def beheaded(tmp_path_factory) -> str:
    """An indexed register of which only the files of cell 201_27, and those outside of any cell, are still there."""
    warehouse = Warehouse(str(tmp_path_factory.mktemp("beheaded")))
    publish(warehouse, indexed=True)
    for table in SAID:
        for file in warehouse.files(warehouse.current(), table):
            if "/cell=" in file.path and "/cell=201_27/" not in file.path:
                warehouse.store.delete(file.path)
    return warehouse.store.uri


def answer(uri: str, sql: str) -> Counter:
    return Counter(map(repr, query(uri, sql).to_pylist()))


#: Of `A14`, and what is asked of it, everything lies in cell 201_27.
NARROWED = [
    "FROM asset_timeline WHERE asset_id = 'A14'",
    "SELECT * FROM Asset_Timeline t WHERE T.Asset_ID = 'A14' AND seen AND looked_at > TIMESTAMPTZ '2026-03-02'",
    "SELECT * FROM asset_timeline WHERE asset_id IN ('A13', 'A14') AND drive_id LIKE 'd%'",
    "SELECT max(hits) FROM asset_history WHERE 'A14' = asset_id",
    "SELECT * FROM asset_observations WHERE asset_id LIKE 'A14%' ORDER BY captured_at LIMIT 2",
    "WITH t AS (SELECT * FROM asset_timeline WHERE asset_id = 'A14') SELECT * FROM t a JOIN t b USING (drive_id)",
    "SELECT * FROM (SELECT * FROM asset_history WHERE asset_id = 'A14') h JOIN assets a USING (asset_id)",
    "SELECT (SELECT count(*) FROM asset_timeline WHERE asset_id = 'A13') FROM asset_history WHERE asset_id = 'A14'",
    "SELECT * FROM asset_timeline WHERE route_code = '0002' AND section_code = '0100' AND km_m BETWEEN 14000 AND 14500",
    "SELECT 'A01' AS asset_id, drive_id FROM asset_timeline WHERE asset_id = 'A14'",
    "SELECT drive_id FROM asset_timeline WHERE asset_id = 'A14' QUALIFY row_number() OVER (ORDER BY drive_id) = 1",
    "SELECT * FROM asset_timeline WHERE asset_id = 'A14' AND km_m::VARCHAR NOT IN ('0') AND route_code IS NOT NULL",
    "SELECT drive_id, count(*) FROM asset_timeline WHERE asset_id = 'A14' GROUP BY ALL HAVING count(*) > 0",
    "SELECT drive_id FROM asset_history WHERE asset_id = 'A14' EXCEPT FROM (SELECT 'd1')",
    "SELECT * FROM change_photographs WHERE asset_id = 'A14'",
]
#: A name of its own, of which the real table is no part.
WITHOUT_ROWS = "WITH asset_history AS (SELECT 'A01' AS asset_id) SELECT * FROM asset_history WHERE asset_id = 'A14'"
#: What has to look elsewhere, too, whatever it looks like.
NASTY = [
    "FROM asset_timeline",
    "FROM asset_timeline WHERE asset_id = 'A14' OR drive_id = 'd1'",
    "FROM asset_timeline WHERE NOT asset_id = 'A14'",
    "FROM asset_timeline WHERE asset_id = 'A14' OR route_code = '0003'",
    "FROM asset_timeline WHERE route_code IS NULL",
    "FROM asset_timeline WHERE route_code IS DISTINCT FROM '0002' AND asset_id < 'A20'",
    "FROM asset_timeline WHERE asset_id = 'OLD1' OR asset_id = 'GONE' OR asset_id = 'NOWHERE'",
    "FROM asset_history WHERE asset_id IN ('OLD1', 'LOST0', 'GONE')",
    "FROM asset_timeline WHERE asset_id IN (SELECT asset_id FROM assets WHERE km_m > 20000)",
    "FROM asset_timeline WHERE coalesce(route_code, 'none') = 'none' AND asset_id > 'A05'",
    "FROM asset_timeline WHERE upper(asset_id) = 'A02'",
    "SELECT * FROM asset_timeline t JOIN asset_timeline u USING (drive_id) WHERE t.asset_id = 'A14'",
    "SELECT a.asset_id, t.drive_id FROM assets a LEFT JOIN asset_timeline t ON t.asset_id = a.asset_id "
    "WHERE t.asset_id = 'A14' OR t.asset_id IS NULL",
    "SELECT count(*) FROM asset_history h, (FROM asset_history WHERE asset_id = 'A14') o WHERE h.drive_id = o.drive_id",
    "SELECT * FROM asset_timeline t(route_code) WHERE route_code = 'A14'",
    "SELECT asset_id, (SELECT count(*) FROM asset_history WHERE asset_id = a.asset_id) FROM assets a",
    "SELECT asset_id, (SELECT count(*) FROM asset_history h WHERE h.asset_id = a.asset_id AND 'A14' = a.asset_id) "
    "FROM assets a",
    "SELECT * FROM asset_history WHERE asset_id = 'A14' UNION ALL SELECT * FROM asset_history WHERE drive_id = 'd2'",
    "WITH asset_history AS (SELECT asset_id AS tile, 'A14' AS asset_id FROM main.asset_history) "
    "SELECT * FROM asset_history WHERE asset_id = 'A14'",
    WITHOUT_ROWS,
    "SELECT count(*) FROM (SUMMARIZE asset_history), (SELECT * FROM asset_history WHERE asset_id = 'A14')",
    "SELECT * FROM (FROM asset_timeline) WHERE asset_id = 'A14'",
    "FROM asset_timeline WHERE EXISTS (FROM asset_history h WHERE h.asset_id = 'A14')",
    "SELECT asset_id FROM asset_timeline WHERE asset_id = 'A14' AND (SELECT count(*) FROM asset_history) > 100",
    "SELECT * FROM (SELECT asset_id FROM asset_timeline WHERE asset_id = 'A14') FULL JOIN "
    "(SELECT asset_id FROM asset_history) USING (asset_id)",
    "SELECT t.changes, c.* FROM asset_timeline t, changes_since c WHERE t.asset_id = 'A14'",
    "SELECT * FROM changes WHERE asset_id NOT IN (SELECT asset_id FROM asset_timeline WHERE asset_id = 'A14')",
    "SELECT p.*, f.frame_id FROM change_photographs p, frames f WHERE p.asset_id = 'A14'",
    "SELECT p.*, (SELECT count(*) FROM quarantine) + (SELECT count(*) FROM surveyed_frames) AS n "
    "FROM change_photographs p WHERE p.asset_id = 'A14'",
    "FROM change_photographs WHERE asset_id IN ('A03', 'A26') OR asset_id = 'A15' ORDER BY asset_id",
    "FROM change_photographs WHERE asset_id > 'A10' AND change = 'new'",
    "FROM change_photographs WHERE after_uri IS NOT NULL",
    "SELECT count(*) FROM change_photographs p, (SELECT * FROM asset_timeline WHERE asset_id = 'A14')",
    "PIVOT asset_history ON drive_id IN ('d1', 'd2') USING count(*) GROUP BY asset_id",
    "SELECT count(*) FROM asset_history TABLESAMPLE 100% WHERE asset_id > 'A05'",
    "FROM asset_timeline WHERE asset_id COLLATE NOCASE = 'a14'",
    "FROM asset_timeline WHERE asset_id BETWEEN 'A14' AND 'A20' AND km_m // 1000 % 2 = 0",
    "SELECT DISTINCT ON (asset_id) asset_id FROM asset_timeline WHERE km_m > 5000 ORDER BY asset_id, drive_id",
]


@pytest.mark.parametrize("sql", [*NARROWED, *NASTY])
def test_the_answer_is_that_of_reading_everything(whole, indexed, sql):
    expected = answer(whole, sql)
    assert bool(expected) == (sql != WITHOUT_ROWS)
    assert answer(indexed, sql) == expected


def test_the_photographs_of_an_asset_are_found(indexed):
    (row,) = query(indexed, "SELECT before_uri, after_uri FROM change_photographs WHERE asset_id = 'A14'").to_pylist()
    assert row == {"before_uri": "d1/14.jpg", "after_uri": "d2/14.jpg"}


@pytest.mark.parametrize("sql", NARROWED)
def test_only_the_files_of_the_assets_cells_are_needed(beheaded, sql):
    query(beheaded, sql)


@pytest.mark.parametrize("sql", ["FROM asset_timeline", "FROM asset_timeline WHERE asset_id = 'A01'"])
def test_the_files_of_other_cells_are_missed_where_they_are_needed(beheaded, sql):
    with pytest.raises(RoadscanError):
        query(beheaded, sql)


IDS = st.sampled_from(["A00", "A03", "A14", "A29", "OLD2", "LOST0", "GONE", "x''; --"])
LEAVES = st.one_of(
    st.builds("{} {} '{}'".format, st.sampled_from(["asset_id", "t.asset_id"]), st.sampled_from(["=", "<", ">="]), IDS),
    st.builds("asset_id {} ('A03', {})".format, st.sampled_from(["IN", "NOT IN"]), st.sampled_from(["'A20'", "NULL"])),
    st.builds("route_code {}".format, st.sampled_from(["= '0001'", "IS NULL", "IN ('0002', '0003')", "> '0001'"])),
    st.builds("km_m {} {}".format, st.sampled_from(["=", "<", ">="]), st.integers(0, 40_000)),
    st.sampled_from(["seen", "hits > 4", "drive_id = 'd1'", "len(changes) > 0", "state = 'confirmed'", "NULL", "true"]),
)  # fmt: skip
CONDITIONS = st.recursive(
    LEAVES,
    lambda some: st.one_of(
        st.builds("({} AND {})".format, some, some),
        st.builds("({} OR {})".format, some, some),
        st.builds("NOT ({})".format, some),
        st.builds("(CASE WHEN {} THEN {} END)".format, some, some),
    ),
    max_leaves=5,
)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(st.lists(CONDITIONS, min_size=1, max_size=3))
def test_any_condition_is_answered_as_by_reading_everything(whole, indexed, conditions):
    sql = f"SELECT * FROM asset_timeline AS t WHERE {' AND '.join(conditions)}"
    assert answer(indexed, sql) == answer(whole, sql)


def test_a_question_about_very_many_assets_is_not_narrowed():
    with duckdb.connect(":memory:") as connection:
        for count, asked in ((MOST_ASKED, Asked(frozenset({"1_1"}), None)), (MOST_ASKED + 1, None)):
            connection.execute(
                "CREATE OR REPLACE TABLE asset_cells AS SELECT 'A' AS asset_id, NULL AS said_as, '1_1' AS cell "
                f"FROM range({count})"
            )
            connection.execute("DROP TABLE IF EXISTS assets_asked")
            assert find_asked(connection, "FROM asset_history WHERE asset_id = 'A'", changes=False) == asked


def test_every_view_of_what_drives_said_is_known():
    reads = {name for name, sql in VIEWS.items() if any(table in sql for table in SAID)}
    assert READERS.keys() == reads | set(SAID)
    assert not any(name in sql for name in reads for sql in VIEWS.values())
