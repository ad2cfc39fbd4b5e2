"""Files of centrelines: what is read, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from support.centrelines import EAST, NORTH, feature, lonlat, read, refusal, write

from roadscan.config import load_config
from roadscan.errors import ConfigError
from roadscan.inventory.reference import ReferenceConfig, read_reference
from roadscan.storage import sha256_hex


@pytest.mark.parametrize(
    ("value", "digits", "code"),
    [(1, 4, "0001"), ("1", 4, "0001"), (102.0, 4, "0102"), (" 0102 ", 4, "0102"), ("M7", 4, "M7"), (102, 0, "102")],
)
def test_codes_are_padded(tmp_path, value, digits, code):
    reference = read(tmp_path, feature([(0, 0), (0, 1000)], (0, 1), route=value, section=value), code_digits=digits)
    assert reference.kilometres().select(["route_code", "section_code"]).to_pylist() == [
        {"route_code": code, "section_code": code}
    ]


def test_version_is_of_the_file_or_as_given(tmp_path):
    path = write(tmp_path, NORTH)
    version = sha256_hex(Path(path).read_bytes())[:12]
    assert read_reference(ReferenceConfig(uri=path)).version == version
    assert read_reference(ReferenceConfig(uri=path, version="2026-06")).version == "2026-06"


def test_properties_with_other_names(tmp_path):
    line = feature([(0, 0), (0, 2000)], (10, 12))
    line["properties"] = {"ROAD": 24, "ctrl": "300", "from": "10+000", "to": "12+000", "แขวง": "อุบลราชธานีที่ 1"}
    columns = {"route_code": "ROAD", "section_code": "ctrl", "km_start": "from", "km_end": "to", "district": "แขวง"}
    found = read(tmp_path, line, columns=columns).locate(*lonlat([1], [500]))
    assert [found[name][0] for name in ("route_code", "section_code", "district", "km_m")] == [
        "0024",
        "0300",
        "อุบลราชธานีที่ 1",
        10_500,
    ]
    text = refusal(tmp_path, line)
    assert "no feature has ['route_code', 'section_code', 'km_start', 'km_end'], only ['ROAD', 'ctrl'" in text
    assert "no feature has ['office'], only" in refusal(tmp_path, NORTH, columns={"district": "office"})
    path = tmp_path / "config.yaml"
    path.write_text("uri: a.geojson\ncolumns: {km: from}\n")
    with pytest.raises(ConfigError, match=r"columns: got .*\['km'\] are no properties of a centreline"):
        load_config(ReferenceConfig, path)


def test_geoparquet_is_read_as_geojson_is(tmp_path):
    post = [10.4, *(float(v) for v in lonlat(0, 1000))]
    features = [feature([(0, 0), (0, 2000)], (10, 11), posts=[post]), EAST]
    expected = read(tmp_path, *features)
    frame = geopandas.GeoDataFrame.from_features(features, crs=4326).rename_geometry("line")
    frame.to_parquet(tmp_path / "lines.parquet")
    reference = read_reference(ReferenceConfig(uri=str(tmp_path / "lines.parquet")))
    lon, lat = lonlat([1, 500], [500, 1003])
    for name, column in expected.locate(lon, lat).items():
        np.testing.assert_array_equal(reference.locate(lon, lat)[name], column)
    assert reference.locate(lon, lat)["km_m"].tolist() == [10_200, 51_500]
    frame.to_crs(32648).to_parquet(tmp_path / "metres.parquet")
    with pytest.raises(ConfigError, match=r"coordinate system is EPSG:32648; expected .* WGS 84"):
        read_reference(ReferenceConfig(uri=str(tmp_path / "metres.parquet")))


def test_parquet_without_geometries(tmp_path):
    path = tmp_path / "lines.parquet"
    config = ReferenceConfig(uri=str(path))
    names = {"route_code": [1], "section_code": [1], "km_start": [0.0], "km_end": [1.0]}
    for table, message in (
        (names, "column 'geometry' is missing; expected geometries as WKB"),
        (names | {"geometry": ["LINESTRING (0 0, 1 1)"]}, "column 'geometry' is string"),
        (names | {"geometry": [b"nonsense"]}, "feature 1: geometry: got none that can be read"),
        ({name: [] for name in names} | {"geometry": pa.array([], pa.binary())}, "has no features"),
    ):
        pq.write_table(pa.table(table), path)
        with pytest.raises(ConfigError, match=message):
            read_reference(config)
    path.write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="not valid Parquet"):
        read_reference(config)
    pq.write_table(
        pa.table(names | {"geometry": [shapely.to_wkb(shapely.LineString([(100, 15), (100, 15.009)]))]}), path
    )
    assert read_reference(config).kilometres()["km"].to_pylist() == [0]


def with_geometry(kind: str, coordinates: Any) -> dict[str, Any]:
    return {**NORTH, "geometry": {"type": kind, "coordinates": coordinates}}


def with_posts(*posts: tuple[Any, float, float]) -> dict[str, Any]:
    return feature([(0, 0), (0, 2000)], (10, 12), posts=[[km, *(float(v) for v in lonlat(x, y))] for km, x, y in posts])


SOUTH = [(0.0, 0.0), (0.0, 2000.0)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (feature(SOUTH, (10, 10)), "km_end: got 10, which is km_start"),
        (feature(SOUTH, ("25+55", 26)), "km_start: got '25+55'; expected kilometres as 25.556 or '25"),
        (feature(SOUTH, (10, None)), "km_end: got None; expected kilometres"),
        (feature(SOUTH, (10, float("nan"))), "km_end: got nan; expected kilometres"),
        (feature(SOUTH, (-1, 1)), "km_start: got -1; expected kilometres"),
        (feature(SOUTH, (True, 2)), "km_start: got True; expected"),
        (feature(SOUTH, (10_000, 8_000)), "got 2000.000 km of chainage from km 8000 where the line is 2.000 km long"),
        (feature(SOUTH, (10, 12), route=None), "route_code: got None; expected a code"),
        (feature(SOUTH, (10, 12), section=" "), "section_code: got ' '; expected a code"),
        (feature(SOUTH, (10, 12), section=1.5), "section_code: got 1.5; expected a code"),
        (feature(SOUTH, (10, 12), section=20102), "section_code: got 20102; expected at most 4 characters"),
        (with_geometry("Point", [104, 15]), "geometry: got Point; expected a LineString"),
        (with_geometry("LineString", []), "geometry: got an empty LineString"),
        (with_geometry("LineString", [[104, 15]]), "geometry: got none that can be read"),
        (with_geometry("LineString", ["here", "there"]), "geometry: got none that can be read"),
        ({**NORTH, "geometry": None}, "geometry: got none that can be read"),
        (with_geometry("LineString", [[104, 15], [104, 15]]), "geometry: got a line without length"),
        (with_geometry("LineString", [[15.2, 104.8], [15.21, 104.8]]), "longitude and latitude are swapped"),
        (with_geometry("LineString", [[4.8e5, 1.6e6], [4.8e5, 1.7e6]]), "expected degrees on WGS 84, not metres"),
        (with_geometry("LineString", [[179.99, 15], [-179.99, 15]]), "crosses the 180° meridian"),
        (with_posts((11, 80, 1000)), "posts: post 11 at "),
        *[
            (feature([(0, 0), (0, 2000)], (10, 12), posts=[post]), "; expected [km, lon, lat], in degrees")
            for post in ([11, 1e308, 13.9], [11, 100.5, 1e308], [11, None, 13.9], [11, 100.5], [11, 10**400, 13.9])
        ],
        (with_posts((11, 0, 500), (10.5, 0, 1000)), "posts: km 11 and km 10.5 are at 500 m and 1000 m along"),
        (with_posts((13, 0, 1000)), "posts: km 13 and km 12 are at 1000 m and 2000 m"),
        (with_posts((10.2, 0, 0)), "posts: post 10.2 is at the line's start, which is km 10"),
        (with_posts((10.1, 0, 1000)), "got 0.100 km of chainage from km 10 where the line is 1.000 km long"),
        (with_posts(("x", 0, 1000)), "posts: got 'x'; expected kilometres"),
        (feature(SOUTH, (10, 12), posts=[[10.5]]), "posts: got [10.5]; expected [km, lon, lat]"),
        (feature(SOUTH, (10, 12), posts="10.5"), "posts: got '10.5'; expected [[km, lon, lat], …]"),
        (feature(SOUTH, (10, 12), posts="[10.5"), "posts: got '[10.5'; expected [[km, lon, lat], …]"),
    ],
)
def test_what_cannot_be_used_says_why(tmp_path, line, message):
    good = feature(SOUTH, (20, 22))
    text = refusal(tmp_path, good, line)
    assert "feature 2: " in text
    assert message in text


def test_the_same_stretch_twice(tmp_path):
    text = refusal(tmp_path, NORTH, EAST, feature([(9, 0), (9, 2000)], ("10+000", "12+000"), "0001", "0102"))
    assert "feature 3: " in text
    assert "got 0001/0102 from 10+000 to 12+000, as feature 1; expected each stretch once" in text
    other = feature([(9, 0), (9, 2000)], (10, 12), carriageway="R")
    assert len(read(tmp_path, NORTH, other, feature([(0, 900), (0, 2900)], (10.9, 12.9))).centrelines) == 3


def test_many_problems_are_counted(tmp_path):
    text = refusal(tmp_path, *[feature(SOUTH, (n, n)) for n in range(13)])
    assert text.count("\n  feature ") == 10
    assert text.endswith("… and 3 more")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("[]", "got 'list'; expected a GeoJSON FeatureCollection"),
        ('{"type": "Topology"}', "got 'Topology'; expected a GeoJSON FeatureCollection"),
        ('{"type": "FeatureCollection", "features": []}', "has no features"),
        (
            '{"type": "FeatureCollection", "features": [null, 3]}',
            r"no feature has \['route_code', 'section_code', 'km_start', 'km_end'\], only \[\]",
        ),
        (
            '{"features": [], "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32647"}}}',
            "coordinate system is urn:ogc:def:crs:EPSG::32647",
        ),
    ],
)
def test_files_that_are_no_centrelines(tmp_path, text, message):
    path = tmp_path / "a.geojson"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"(?s)a.geojson.*{message}"):
        read_reference(ReferenceConfig(uri=str(path)))


def test_the_old_way_to_say_wgs84(tmp_path):
    for name in ("urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::4326"):
        crs = {"type": "name", "properties": {"name": name}}
        assert read_reference(ReferenceConfig(uri=write(tmp_path, NORTH, crs=crs))).centrelines


def test_a_file_that_is_missing_or_of_another_kind(tmp_path):
    with pytest.raises(
        ConfigError, match=r"^reference\.uri: .*none\.geojson does not exist; expected a file of centrel"
    ):
        read_reference(ReferenceConfig(uri=str(tmp_path / "none.geojson")))
    path = tmp_path / "config.yaml"
    path.write_text("uri: lines.shp\n")
    with pytest.raises(ConfigError, match=r"uri: got 'lines.shp'"):
        load_config(ReferenceConfig, path)
