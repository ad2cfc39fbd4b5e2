from __future__ import annotations

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from support.truths import BRIDGE, POINT, POLE, RAIL, SIGN, at, feature, row, write

from roadscan.errors import DatasetError, WarehouseError
from roadscan.evaluate.register.truth import KNOWN, open_truth, read_file
from roadscan.schemas import ASSETS


def test_geojson_gives_points_lines_and_their_ids(tmp_path):
    uri = write(
        tmp_path / "t.geojson",
        feature(SIGN, at(0), asset_id=7, note="x"),
        {**feature(BRIDGE, [*at(50), 12.0]), "id": "b1"},
        feature(RAIL, at(0), at(100), kind="LineString", state="removed"),
        feature(POLE, at(10), kind="MultiPoint"),
    )
    truth = read_file(uri)
    assert truth.assets.schema == KNOWN
    rows = truth.assets.to_pylist()
    assert [r["asset_id"] for r in rows] == ["7", "b1", "known-3", "known-4"]
    assert [r["geometry"] for r in rows] == ["point", "overhead", "line", "point"]
    assert (rows[2]["lon"], rows[2]["lat"]) == pytest.approx(at(50), abs=1e-7)
    assert rows[2]["lons"] == pytest.approx([at(0)[0], at(100)[0]])
    assert rows[0]["lons"] is None
    known = truth.after()
    assert (known.standing.num_rows, known.removed.num_rows, known.seen) == (3, 1, None)


def test_without_states_nobody_says_what_was_removed(tmp_path):
    assert read_file(write(tmp_path / "t.geojson", feature(SIGN, at(0)))).after().removed is None


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_keeps_ids_as_text(tmp_path, end):
    path = tmp_path / "t.csv"
    lines = ["kind,lon,lat,asset_id,drive_id", f'"{SIGN}",100.5,13.7,0012,d1', f"{POLE},100.6,13.8,13,"]
    path.write_bytes(("\ufeff" + end.join([*lines, ""])).encode())
    rows = read_file(str(path), "kind").assets.to_pylist()
    assert [(r["asset_id"], r["class"], r["lon"], r["lat"]) for r in rows] == [
        ("0012", SIGN, 100.5, 13.7), ("13", POLE, 100.6, 13.8),
    ]  # fmt: skip
    assert [r["drive_id"] for r in rows] == ["d1", None]


def test_parquet_may_have_columns_or_geometries(tmp_path):
    table = pa.table({"class": [SIGN], "lon": [100.5], "lat": [13.7]})
    pq.write_table(table, tmp_path / "plain.parquet")
    shapes = [shapely.Point(100.5, 13.7), shapely.LineString([(100.5, 13.7), (100.6, 13.7)])]
    frame = geopandas.GeoDataFrame({"class": [SIGN, RAIL]}, geometry=shapes, crs=4326)
    frame.rename_geometry("shape").to_parquet(tmp_path / "geo.parquet")
    assert read_file(str(tmp_path / "plain.parquet")).assets["lon"].to_pylist() == [100.5]
    assert read_file(str(tmp_path / "geo.parquet")).assets["geometry"].to_pylist() == ["point", "line"]
    frame.to_crs(32647).to_parquet(tmp_path / "utm.parquet")
    with pytest.raises(DatasetError, match=r"EPSG:32647; expected longitude and latitude.*to_crs\(4326\)"):
        read_file(str(tmp_path / "utm.parquet"))


BAD_FEATURES = {
    "none": ([], "has no rows; expected one a known asset"),
    "no class": ([feature(SIGN, at(0), field="type")], r"no row has 'class', only \['type'\].*--class-field"),
    "class of one": ([POINT, feature(None, at(0))], "row 2: class: got None; expected the class"),
    "polygon": (
        [{**POINT, "geometry": {"type": "Polygon", "coordinates": [[at(0), at(1), at(0, 1), at(0)]]}}],
        r"row 1: geometry: got Polygon POLYGON \(\(.*; expected a Point or a LineString",
    ),
    "two parts": ([feature(SIGN, at(0), at(1), kind="MultiPoint")], "row 1: geometry: got MultiPoint"),
    "no geometry": ([POINT, {**POINT, "geometry": None}], "row 2: geometry: got none that can be read"),
    "swapped": ([POINT, feature(SIGN, at(0)[::-1])], r"row 2: lon, lat: got \[13.7, 100.5\].*lon and lat are swapped"),
    "metres": (
        [feature(SIGN, (665_000, 1_515_000))],
        "row 1: lon, lat: got .*numbers, in degrees on WGS 84 and not in metres",
    ),
    "id twice": (
        [feature(SIGN, at(0), asset_id="a"), feature(SIGN, at(9), asset_id="a")],
        "asset_id: got 'a' 2 times; expected one row an asset",
    ),
    "state": ([feature(SIGN, at(0), state="gone")], "row 1: state: got 'gone'; expected one of standing, removed"),
}


@pytest.mark.parametrize("case", BAD_FEATURES)
def test_a_wrong_feature_is_named(tmp_path, case):
    features, message = BAD_FEATURES[case]
    with pytest.raises(DatasetError, match=message):
        read_file(write(tmp_path / "t.geojson", *features))


BAD_CSV = {
    "": "not valid CSV|has no rows",
    "class,lon\nx,1\n": r"has no column lat, only \['class', 'lon'\]; expected lon and lat",
    "class;lon;lat\nx;1;2\n": "has no column lon, lat.*separated by commas",
    "class,lon,lat\nx,1,2\nx,100°,2\n": "row 2: lon: got '100°'; expected degrees",
    "class,lon,lat\nx,,2\n": "row 1: lon: got None; expected degrees",
    "class,lon,lat\nx,nan,2\n": "row 1: lon, lat: got .nan, 2.; expected .*: numbers, in degrees",
    "class,lon,lat\nx,181,2\n": "row 1: lon, lat: got .181, 2.",
    "class,lon,lat\nx,1\n": "not valid CSV",
    "kind,lon,lat\nx,1,2\n": "no row has 'class', only .'kind'.",
}


@pytest.mark.parametrize("text", BAD_CSV)
def test_a_wrong_table_is_explained(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DatasetError, match=BAD_CSV[text]):
        read_file(str(tmp_path / "t.csv"))


def test_what_is_no_such_file_is_refused(tmp_path):
    for name, data, message in [
        ("a.geojson", b"{", "not valid JSON"),
        ("b.geojson", b'{"type": "Point"}', "got 'Point'; expected a GeoJSON FeatureCollection"),
        ("c.parquet", b"no parquet", "not valid Parquet"),
    ]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DatasetError, match=message):
            open_truth(str(tmp_path / name))
    with pytest.raises(DatasetError, match=r"absent\.csv does not exist; expected known assets in a file that ends in"):
        open_truth(str(tmp_path / "absent.csv"))
    with pytest.raises(
        WarehouseError, match=r"expected the truth folder of a simulation, or a file that ends in \.geojson"
    ):
        open_truth(str(tmp_path))


def test_a_truth_of_another_register_is_refused(tmp_path):
    register = pa.Table.from_pylist([row("a", SIGN, 0), row("b", "Milestone", 5), row("r", RAIL, 0, to_m=50)], ASSETS)

    def check(*features):
        read_file(write(tmp_path / "t.geojson", *features)).check(register)

    check(POINT, feature("Milestone", at(0)), feature(POLE, at(0)), feature(RAIL, at(0), at(9), kind="LineString"))
    with pytest.raises(DatasetError, match=r"class: got \['Warning Signs'\]; expected .*: rename it to 'Warning Sign'"):
        check(feature("Warning Signs", at(0)))
    with pytest.raises(DatasetError, match="got a Point for 'Concrete Guardrail'; expected a LineString"):
        check(feature(RAIL, at(0)))
    for name in ("Milestone", POLE):
        with pytest.raises(DatasetError, match=f"got a LineString for '{name}'; expected a Point"):
            check(feature(name, at(0), at(9), kind="LineString"))
    with pytest.raises(DatasetError, match=r"km or more from the register; .*give the truth of the surveyed road"):
        check(feature(SIGN, (2.35, 48.85)))


def test_swapped_degrees_that_are_in_range_are_told_by_the_register(tmp_path):
    # Of Paris, both 2.35, 48.85 and 48.85, 2.35 are places on Earth.
    here = row("a", SIGN, 0) | {"lon": 2.35, "lat": 48.85}
    truth = read_file(write(tmp_path / "t.geojson", feature(SIGN, (48.85, 2.35))))
    with pytest.raises(DatasetError, match="lon and lat are swapped"):
        truth.check(pa.Table.from_pylist([here], ASSETS))
