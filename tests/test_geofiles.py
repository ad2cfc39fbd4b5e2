"""Files as people have them; the readers of centrelines and of known assets test what they make of them."""

from __future__ import annotations

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from roadscan.geofiles import Unusable, read_geojson, read_geoparquet

POINT = {"type": "Point", "coordinates": [100.5, 13.7]}


def geojson(*features: object, **more: object) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features, **more}).encode()


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def test_features_become_columns_with_gaps_where_one_has_no_value() -> None:
    found = read_geojson(
        geojson(
            {"id": 7, "geometry": POINT, "properties": {"a": 1}}, {"geometry": None, "properties": {"b": "x"}}, None
        )
    )
    assert found.columns == {"a": [1, None, None], "b": [None, "x", None]}
    assert found.ids == [7, None, None]
    assert [shape and shape.wkt for shape in found.shapes] == ["POINT (100.5 13.7)", None, None]


@pytest.mark.parametrize("properties", [None, [1], "text", 3])
def test_properties_that_are_no_object_are_none(properties: object) -> None:
    found = read_geojson(geojson({"geometry": POINT, "properties": properties}))
    assert (found.columns, len(found.shapes)) == ({}, 1)


@pytest.mark.parametrize(
    "crs",
    [
        None,
        "EPSG:4326",
        {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
        {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4326"}},
    ],
)
def test_wgs_84_may_be_said_in_several_ways(crs: object) -> None:
    assert len(read_geojson(geojson({"geometry": POINT}, crs=crs)).shapes) == 1


@pytest.mark.parametrize("crs", ["EPSG:32647", {}, {"properties": None}, {"properties": {"name": "EPSG:3857"}}])
def test_another_coordinate_system_is_refused(crs: object) -> None:
    with pytest.raises(Unusable, match=r"its coordinate system is .*; expected longitude and latitude on WGS 84"):
        read_geojson(geojson({"geometry": POINT}, crs=crs))


def test_geoparquet_is_parted_into_values_and_shapes() -> None:
    table = pa.table({"a": [1, 2], "geometry": [shapely.Point(1, 2).wkb, b"no wkb"]})
    values, shapes = read_geoparquet(parquet(table))
    assert values.to_pydict() == {"a": [1, 2]}
    assert shapes is not None
    assert [shape and shape.wkt for shape in shapes] == ["POINT (1 2)", None]


def test_parquet_without_geometries_is_a_table_alone() -> None:
    values, shapes = read_geoparquet(parquet(pa.table({"lon": [1.0]})))
    assert (values.column_names, shapes) == (["lon"], None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no parquet", "not valid Parquet"),
        (parquet(pa.table({"geometry": ["POINT (1 2)"]})), "column 'geometry' is string; expected geometries as WKB"),
        (parquet(pa.table({"a": [1]}).replace_schema_metadata({"geo": "{"})), "its `geo` metadata is broken"),
        (parquet(pa.table({"a": [1]}).replace_schema_metadata({"geo": "[]"})), "its `geo` metadata is broken"),
    ],
)
def test_parquet_that_cannot_be_used_says_why(data: bytes, message: str) -> None:
    with pytest.raises(Unusable, match=message):
        read_geoparquet(data)
