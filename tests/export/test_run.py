"""One file of each format, read back by other programs than the one that wrote it."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import geopandas
import pyogrio
import pytest
import shapely
from support.exported import DAY, HOSTILE, ROWS, SEEN
from support.registers import register as register_of
from support.viewed import nights, warehouse_of

from roadscan.demo.server import S3Server
from roadscan.errors import ConfigError, RoadscanError, WarehouseError
from roadscan.export import Asked, export_register
from roadscan.inventory.query import query
from roadscan.inventory.query.changes import Stretch
from roadscan.storage import open_store
from roadscan.warehouse import Warehouse

IDS = {"sign", "gone", "odd", "rail"}
ogrinfo = pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="needs ogrinfo, of Debian's gdal-bin")


def test_each_format_has_every_asset_where_the_register_has_it(register: Warehouse, tmp_path: Path) -> None:
    truth = {
        row["asset_id"]: (shapely.from_wkb(row["geometry"]), row["class"], row["state"])
        for row in query(register.store.uri, "FROM assets").to_pylist()
    }
    for ending in ("gpkg", "geojson", "geojsonl", "fgb", "csv", "shp.zip"):
        out = tmp_path / f"a.{ending}"
        made = export_register(register.store.uri, str(out), Asked(), guard=False)
        assert sum(made.features.values()) == len(ROWS) == 4
        found = read(out)
        assert found.keys() == truth.keys()
        for one, (shape, class_, state) in truth.items():
            row = found[one]
            assert row["geometry"].equals_exact(shape, 1e-7), (ending, one)  # GeoJSON of RFC 7946 has 7 decimals
            assert (row["class"], row["state"]) == (class_, state)


def read(path: Path) -> dict[str, dict]:
    """Every layer's rows by id, by GeoPandas; CSV by Python and shapely."""
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {row["asset_id"]: row | {"geometry": shapely.from_wkt(row["WKT"] or "POINT EMPTY")} for row in rows}
    if path.suffix == ".zip":
        return {row["asset_id"]: row for name in ("a", "b") for row in shapefile(path, name)}
    names = [name for name, kind in pyogrio.list_layers(path) if kind is not None]
    rows = [row for name in names for row in geopandas.read_file(path, layer=name).to_dict("records")]
    return {row["asset_id"]: row for row in rows}


def shapefile(path: Path, which: str) -> list[dict]:
    layer = {"a": "assets", "b": "assets_lines"}[which]
    return list(geopandas.read_file(f"zip://{path}!{layer}.shp").to_dict("records"))


def test_a_geopackage_keeps_types_null_and_the_instant(register: Warehouse, tmp_path: Path) -> None:
    made = export_register(register.store.uri, str(tmp_path / "a.gpkg"), Asked())
    assert made.features == {"assets": 3, "assets_lines": 1}
    assert (made.lost, made.told) == ((), ("as JSON text: evidence_box_px", "last_seen: 1 times to the millisecond"))
    with sqlite3.connect(tmp_path / "a.gpkg") as connection:
        types = {name: kind for _, name, kind, *_ in connection.execute("PRAGMA table_info(assets)")}
        contents = dict(connection.execute("SELECT table_name, data_type FROM gpkg_contents"))
        (row,) = connection.execute(
            "SELECT last_seen, km_m, length_m, evidence_box_px FROM assets WHERE asset_id = 'sign'"
        )
        problems = connection.execute("PRAGMA integrity_check").fetchall()
        keys = connection.execute("PRAGMA foreign_key_check").fetchall()
    assert {name: types[name] for name in ("asset_id", "score", "n_nights", "last_seen")} == {
        "asset_id": "TEXT", "score": "REAL", "n_nights": "MEDIUMINT", "last_seen": "DATETIME",
    }  # fmt: skip
    assert contents == {"assets": "features", "assets_lines": "features", "layer_styles": "attributes"}
    assert row == ("2026-11-01T02:03:04.123Z", 2400, None, "[1.0, 2.0, 3.0, 4.5]")
    assert problems == [("ok",)]
    assert keys == []
    assert "bbox" not in types


def test_a_geopackage_has_a_style_of_each_layer_that_qgis_takes_first(register: Warehouse, tmp_path: Path) -> None:
    export_register(register.store.uri, str(tmp_path / "a.gpkg"), Asked())
    with sqlite3.connect(tmp_path / "a.gpkg") as connection:
        rows = connection.execute(
            "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles ORDER BY 1"
        ).fetchall()
    assert [row[:3] for row in rows] == [("assets", "geom", 1), ("assets_lines", "geom", 1)]
    assert "SimpleMarker" in rows[0][3]
    assert "SimpleLine" in rows[1][3]


@ogrinfo
def test_debians_ogrinfo_opens_the_geopackage_without_a_warning(register: Warehouse, tmp_path: Path) -> None:
    export_register(register.store.uri, str(tmp_path / "a.gpkg"), Asked())
    done = subprocess.run(
        ["ogrinfo", "-ro", "-so", "-al", str(tmp_path / "a.gpkg")], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    counts = [
        line for line in done.stdout.splitlines() if line.startswith(("Layer name", "Feature Count", "Geometry:"))
    ]
    assert counts == [
        "Layer name: assets", "Geometry: Point", "Feature Count: 3",
        "Layer name: assets_lines", "Geometry: Line String", "Feature Count: 1",
        "Layer name: layer_styles", "Geometry: None", "Feature Count: 2",
    ]  # fmt: skip


def test_text_formats_keep_the_microseconds_and_json_its_lists(register: Warehouse, tmp_path: Path) -> None:
    for ending in ("geojson", "geojsonl"):
        made = export_register(register.store.uri, str(tmp_path / f"a.{ending}"), Asked())
        assert made.lost == ()
        text = (tmp_path / f"a.{ending}").read_text()
        features = json.loads(text)["features"] if ending == "geojson" else [*map(json.loads, text.splitlines())]
        of = {one["properties"]["asset_id"]: one["properties"] for one in features}
        assert of["sign"]["last_seen"] == "2026-11-01T02:03:04.123456Z"
        assert of["sign"]["evidence_box_px"] == [1.0, 2.0, 3.0, 4.5]
        assert of["sign"]["length_m"] is None
        assert of["odd"]["district"] == '{"a": [1]}'  # a text that looks like JSON is a text
        assert of["odd"]["class"] == HOSTILE


def test_csv_has_what_a_spreadsheet_would_run_as_text_unless_told(register: Warehouse, tmp_path: Path) -> None:
    export_register(register.store.uri, str(tmp_path / "a.csv"), Asked())
    export_register(register.store.uri, str(tmp_path / "b.csv"), Asked(), guard=False)
    assert read(tmp_path / "a.csv")["odd"]["control_id"] == "'=1+1"
    assert read(tmp_path / "b.csv")["odd"]["control_id"] == "=1+1"
    assert read(tmp_path / "a.csv")["rail"]["WKT"].startswith("LINESTRING (100.5 13.7,")


def test_a_shapefile_tells_the_names_that_it_has_cut(register: Warehouse, tmp_path: Path) -> None:
    made = export_register(register.store.uri, str(tmp_path / "a.shp.zip"), Asked())
    assert "evidence_uri is evidence_u" in made.told[0]
    with zipfile.ZipFile(tmp_path / "a.shp.zip") as archive:
        assert Counter(name.partition(".")[2] for name in archive.namelist()) == dict.fromkeys(
            ("shp", "shx", "dbf", "prj", "cpg"), 2
        )
        assert archive.read("assets.cpg") == b"UTF-8"
    assert shapefile(tmp_path / "a.shp.zip", "a")[0]["last_seen"] == "2026-11-01T02:03:04.123456Z"


def test_text_that_a_shapefile_has_no_room_for_is_cut_and_counted(tmp_path: Path) -> None:
    made = warehouse_of(tmp_path / "w", {"lon": 100.5, "lat": 13.7, "district": "ก" * 100}, {"lon": 1.0, "lat": 2.0})
    told = export_register(made.store.uri, str(tmp_path / "a.shp.zip"), Asked())
    assert told.lost == ("1 of district: longer than 254 bytes, so cut",)
    assert told.shortfall == "Shapefile has no room for all: 1 of district: longer than 254 bytes, so cut"
    # 254 bytes are 84 characters of 3 bytes.
    assert shapefile(tmp_path / "a.shp.zip", "a")[0]["district"] == "ก" * 84


def test_pmtiles_have_every_point_at_their_largest_zoom(register: Warehouse, tmp_path: Path) -> None:
    made = export_register(register.store.uri, str(tmp_path / "a.pmtiles"), Asked())
    assert made.lost == ()
    assert (tmp_path / "a.pmtiles").read_bytes()[:8] == b"PMTiles\x03"  # the specification's magic number, version 3
    found = geopandas.read_file(tmp_path / "a.pmtiles").to_crs(4326)
    assert set(found["asset_id"]) == IDS
    at = found.loc[found["asset_id"] == "gone"].geometry.iloc[0].centroid
    # A tile of zoom 14 has 4096 units of 360 / 2**14 / 4096 = 5.4e-6 degrees.
    assert (at.x, at.y) == (pytest.approx(100.6, abs=6e-6), pytest.approx(13.75, abs=6e-6))


def test_rows_without_a_place_are_there_where_a_format_has_room_and_else_counted(
    register: Warehouse, tmp_path: Path
) -> None:
    sql = "SELECT asset_id, CASE WHEN asset_id <> 'odd' THEN lon END AS lon, lat FROM assets"
    for ending in ("gpkg", "geojson", "geojsonl", "fgb", "csv"):
        made = export_register(register.store.uri, str(tmp_path / f"a.{ending}"), Asked(sql))
        assert made.lost == ()
        assert sum(made.features.values()) == 4
        empty = {
            one
            for one, row in read(tmp_path / f"a.{ending}").items()
            if not row["geometry"] or row["geometry"].is_empty
        }
        assert empty == {"odd"}, ending
    made = export_register(register.store.uri, str(tmp_path / "a.pmtiles"), Asked(sql))
    assert made.lost == ("1 of rows without a place, so left out",)


def test_what_is_asked_for_is_what_is_written(register: Warehouse, tmp_path: Path) -> None:
    def ids(asked: Asked) -> set[str]:
        export_register(register.store.uri, str(tmp_path / "a.geojson"), asked, overwrite=True)
        return {row["properties"]["asset_id"] for row in json.loads((tmp_path / "a.geojson").read_text())["features"]}

    assert ids(Asked()) == IDS
    assert ids(Asked(states=("missing", "suspect"))) == {"gone", "odd"}
    assert ids(Asked(classes=(HOSTILE,))) == {"odd"}
    assert ids(Asked(stretch=Stretch(route="2"))) == {"sign", "gone"}
    assert ids(Asked(stretch=Stretch(route="35", from_m=200, to_m=999))) == {"rail"}  # a line is where any of it is
    assert ids(Asked(stretch=Stretch(since=DAY, until=DAY))) == {"sign"}
    assert ids(Asked("SELECT * FROM assets WHERE km_m > 2000;")) == {"sign", "gone"}


def test_an_answer_under_hostile_names_is_written_under_them_or_under_told_ones(
    register: Warehouse, tmp_path: Path
) -> None:
    named = f"""1 AS "fid", 2 AS "a", 3 AS "A", true AS "{HOSTILE}", 'x' AS "GEOM\""""
    sql = f"SELECT lon, lat, {named} FROM assets"
    made = export_register(register.store.uri, str(tmp_path / "a.gpkg"), Asked(sql))
    assert made.told == ("renamed: fid is fid_1, A is A_1, GEOM is GEOM_1",)
    found = geopandas.read_file(tmp_path / "a.gpkg", layer="query")
    assert list(found.columns) == ["lon", "lat", "fid_1", "a", "A_1", HOSTILE, "GEOM_1", "geometry"]
    assert found[HOSTILE].dtype == bool


def test_days_and_times_without_a_zone_are_what_they_were(register: Warehouse, tmp_path: Path) -> None:
    sql = (
        "SELECT lon, lat, DATE '2026-11-01' AS day, TIMESTAMP '2026-11-01 02:03:04' AS local, "
        "TIMESTAMPTZ '2026-11-01 02:03:04+07' AS instant, 1::HUGEINT AS big, 'NaN'::DOUBLE AS nan FROM assets LIMIT 1"
    )
    made = export_register(register.store.uri, str(tmp_path / "a.gpkg"), Asked(sql))
    assert made.lost == ("1 of nan: not a finite number, so empty",)
    with sqlite3.connect(tmp_path / "a.gpkg") as connection:
        (row,) = connection.execute("SELECT day, local, instant, big, nan FROM query")
    assert row == ("2026-11-01", "2026-11-01T02:03:04.000", "2026-10-31T19:03:04.000Z", 1, None)
    export_register(register.store.uri, str(tmp_path / "a.csv"), Asked(sql))
    (row,) = csv.reader((tmp_path / "a.csv").read_text().splitlines()[1:])
    assert row[3:6] == ["2026-11-01", "2026-11-01T02:03:04", "2026-10-31T19:03:04Z"]


@pytest.mark.parametrize("ending", ["gpkg", "csv", "geojson", "fgb", "shp.zip"])
def test_any_type_and_a_name_twice_is_written_or_told_in_words(
    ending: str, register: Warehouse, tmp_path: Path
) -> None:
    sql = """SELECT lon, lat, 1 AS a, 2 AS a, {'x': 1, 'y': [TRUE]} AS record, MAP {'k': 1} AS map,
        INTERVAL 1 DAY AS span, TIME '01:02:03' AS clock, '\\x00\\xff'::BLOB AS bytes,
        18446744073709551615::UBIGINT AS large, NULL AS nothing, [1, 2] AS list, 'a'::ENUM ('a', 'b') AS enum,
        1.5::DECIMAL(10, 2) AS price FROM assets LIMIT 1"""
    made = export_register(register.store.uri, str(tmp_path / f"a.{ending}"), Asked(sql))
    assert made.lost == ()
    row = opened(tmp_path / f"a.{ending}").iloc[0]
    assert json.loads(row["record"]) == {"x": 1, "y": [True]}
    assert (row["bytes"], str(row["large"]), row["enum"], float(row["price"])) == (
        "00ff", "18446744073709551615", "a", 1.5,
    )  # fmt: skip
    later = Asked("SELECT lon, lat, 'infinity'::TIMESTAMP AS t, '10000-01-01'::TIMESTAMPTZ AS u FROM assets LIMIT 1")
    told = export_register(register.store.uri, str(tmp_path / f"b.{ending}"), later)
    assert told.lost == tuple(f"1 of {name}: not in the years 1 to 9999, so empty" for name in "tu")


def opened(path: Path) -> geopandas.GeoDataFrame:
    if path.suffix == ".zip":
        return geopandas.read_file(f"zip://{path}!query.shp")
    return geopandas.read_file(path, layer="query" if path.suffix == ".gpkg" else None)


def test_a_nul_in_a_text_ends_no_text(tmp_path: Path) -> None:
    made = warehouse_of(tmp_path / "w", {"lon": 1.0, "lat": 2.0, "district": "north\0east"})
    told = export_register(made.store.uri, str(tmp_path / "a.gpkg"), Asked())
    assert told.lost == ("1 of district: a NUL, which ends a text, written as \\x00",)
    with sqlite3.connect(tmp_path / "a.gpkg") as connection:
        assert connection.execute("SELECT district FROM assets").fetchall() == [("north\\x00east",)]


def test_changes_are_those_that_roadscan_changes_lists(tmp_path: Path) -> None:
    made = nights(tmp_path, count=2, length_m=250.0)
    told = export_register(made.store.uri, str(tmp_path / "a.gpkg"), Asked(changes=True))
    listed = query(made.store.uri, "SELECT change, asset_id FROM changes_since").to_pylist()
    found = geopandas.read_file(tmp_path / "a.gpkg", layer="changes")
    assert Counter(zip(found["change"], found["asset_id"], strict=True)) == Counter(
        (row["change"], row["asset_id"]) for row in listed
    )
    assert told.features == {"changes": len(listed)} != {"changes": 0}


def test_since_a_release_are_the_assets_that_came_changed_or_went(tmp_path: Path) -> None:
    here = {"lon": 100.5, "lat": 13.7}
    rows = [here | {"asset_id": one} for one in ("same", "moved", "merged", "gone")]
    made = warehouse_of(tmp_path / "w", *rows)
    later = [
        here | {"asset_id": "same"},
        here | {"asset_id": "moved", "lon": 100.51, "score": 0.5},
        here | {"asset_id": "new"},
    ]
    alias = [{"alias_id": "merged", "asset_id": "same", "reason": "merged", "since": SEEN}]
    built = register_of(*later, aliases=alias)
    files = [made.write("assets", built.assets), made.write("asset_alias", built.aliases)]
    made.publish(lambda release: made.replacement(release, files, "later"))
    export_register(made.store.uri, str(tmp_path / "a.csv"), Asked(since_release=1))
    found = {
        one: (row["difference"], row["differs_in"], row["now_id"]) for one, row in read(tmp_path / "a.csv").items()
    }
    assert found == {
        "moved": ("changed", "geometry,lon,score", ""),
        "new": ("added", "", ""),
        "merged": ("removed", "", "same"),
        "gone": ("removed", "", ""),
    }
    none = export_register(made.store.uri, str(tmp_path / "b.csv"), Asked(since_release=2))
    assert (none.out, (tmp_path / "b.csv").exists()) == (None, False)
    assert none.shortfall is not None
    with pytest.raises(WarehouseError, match="release: got 9"):
        export_register(made.store.uri, str(tmp_path / "c.csv"), Asked(since_release=9))


def test_a_file_that_is_there_stays_unless_it_shall_be_replaced(register: Warehouse, tmp_path: Path) -> None:
    out = tmp_path / "a.gpkg"
    out.write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"a\.gpkg is there; expected a new name, or --overwrite"):
        export_register(register.store.uri, str(out), Asked())
    assert out.read_bytes() == b"mine"
    export_register(register.store.uri, str(out), Asked(), overwrite=True)
    assert out.read_bytes()[:15] == b"SQLite format 3"


def test_what_fails_in_the_middle_leaves_what_was_there(register: Warehouse, tmp_path: Path) -> None:
    out = tmp_path / "a.gpkg"
    export_register(register.store.uri, str(out), Asked())
    before = out.read_bytes()
    with pytest.raises(WarehouseError, match="Could not convert string"):
        export_register(
            register.store.uri, str(out), Asked("SELECT *, class::INTEGER AS n FROM assets"), overwrite=True
        )
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.gpkg"]


def test_a_warehouse_without_a_register_is_an_error_and_no_file(tmp_path: Path) -> None:
    empty = Warehouse(str(tmp_path / "empty"))
    empty.publish(lambda release: empty.replacement(release, [], "nothing", ["runs"]))
    for name, words in (("nothing", "no warehouse here"), ("empty", "no register there")):
        with pytest.raises(WarehouseError, match=words):
            export_register(str(tmp_path / name), str(tmp_path / "a.gpkg"), Asked())
    assert not (tmp_path / "a.gpkg").exists()


def test_without_pyogrio_it_says_how_to_get_it(
    register: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyogrio", None)  # as Python has a module that cannot be imported
    with pytest.raises(RoadscanError, match=r"pip install 'roadscan\[export\]'"):
        export_register(register.store.uri, str(tmp_path / "a.gpkg"), Asked())


@pytest.mark.s3
def test_a_warehouse_and_a_file_in_s3(s3: S3Server, tmp_path: Path) -> None:
    made = Warehouse(f"s3://warehouse/{tmp_path.name}")
    built = register_of(*ROWS)
    files = [made.write("assets", built.assets), made.write("asset_alias", built.aliases)]
    made.publish(lambda release: made.replacement(release, files, "rows"))
    out = f"s3://raw/{tmp_path.name}/a.gpkg"
    export_register(made.store.uri, out, Asked())
    (tmp_path / "a.gpkg").write_bytes(open_store(f"s3://raw/{tmp_path.name}").read("a.gpkg"))
    assert read(tmp_path / "a.gpkg").keys() == IDS
    with pytest.raises(ConfigError, match="is there"):
        export_register(made.store.uri, out, Asked())


def test_the_command_says_what_it_wrote_and_what_has_no_room(here, register: Warehouse, tmp_path: Path) -> None:
    done = here("export", register.store.uri, str(tmp_path / "a.gpkg"))
    assert done.returncode == 0
    assert "assets: 3, assets_lines: 1" in done.stdout
    assert "last_seen: 1 times to the millisecond" in done.stdout
    done = here("export", register.store.uri, str(tmp_path / "c.gpkg"), "--state", "candidate")
    assert (done.returncode, "nothing was written" in done.stderr) == (3, True)
    done = here("export", register.store.uri, str(tmp_path / "b.geojson"), "--route", "2", "--mapping", "ndw")
    assert (done.returncode, "verkeersborden: 2" in done.stdout) == (0, True)
    for arguments, words in (
        (["a.xyz"], "expected a name that ends with .gpkg (GeoPackage)"),
        (["a.shp"], "name it .shp.zip"),
        (["c.gpkg", "FROM assets", "--state", "missing"], "expected it alone"),
        (["c.gpkg", "--changes", "--since-release", "1"], "got both"),
        (["c.gpkg", "SELECT asset_id FROM assets"], "expected geometry, or lon and lat"),
        (["c.gpkg", "COPY assets TO 'x'"], "a query only reads"),
        (["c.gpkg", "--route", "99"], "the register has 0002"),
    ):
        done = here("export", register.store.uri, str(tmp_path / arguments[0]), *arguments[1:])
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "c.gpkg").exists()
