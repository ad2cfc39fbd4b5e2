"""Bytes of GeoJSON, (Geo)Parquet or CSV to columns and shapes, not yet judged.

Both are longitude, latitude on WGS 84; another coordinate system is refused, not converted.

Sources: RFC 7946 (GeoJSON), https://geoparquet.org/releases/v1.1.0/.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv
import shapely

from roadscan.errors import Malformed
from roadscan.parsing import arrow_file, parsing, read_json, read_parquet, utf8
from roadscan.shown import shown

Shapes = npt.NDArray[np.object_]  # (n,) of shapely's geometries, None where there is none that can be read

GEOJSON, PARQUET, CSV = (".geojson", ".json"), (".parquet", ".geoparquet"), (".csv",)
PLACES = (*GEOJSON, *PARQUET, *CSV)
WGS84_CODES = ("OGC:CRS84", "EPSG:4326", "CRS84", "4326")


class Unusable(Exception):
    """Why a file is refused, in words that follow its name; whoever knows what the file is for says it to the user."""


@dataclass(frozen=True)
class Features:
    """The features of a GeoJSON file.

    Attributes:
        columns: properties by name, a value a feature, None where it has none.
        shapes: (n,) geometries.
        ids: the features' own ``id``, None where one has none.
    """

    columns: dict[str, list[Any]]
    shapes: Shapes
    ids: list[Any]


def read_geojson(data: bytes) -> Features:
    """Bytes of a FeatureCollection to its features.

    Raises:
        Unusable: it is none, or has another coordinate system.
    """
    try:
        tree = read_json(data, Any)
    except Malformed as error:
        raise Unusable(f"{error}; expected a GeoJSON FeatureCollection") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("features"), list):
        got = tree.get("type") if isinstance(tree, dict) else type(tree).__name__
        raise Unusable(f"got {shown(got)}; expected a GeoJSON FeatureCollection")
    crs = tree.get("crs")  # of GeoJSON before RFC 7946
    if crs is not None:
        _check_crs(str(_dict(crs.get("properties")).get("name") if isinstance(crs, dict) else crs))
    features = [_dict(feature) for feature in tree["features"]]
    properties = [_dict(feature.get("properties")) for feature in features]
    names = dict.fromkeys(name for row in properties for name in row)
    shapes = np.full(len(features), None, object)
    shapes[:] = [_geojson_shape(feature.get("geometry")) for feature in features]
    columns = {name: [row.get(name) for row in properties] for name in names}
    return Features(columns, shapes, [feature.get("id") for feature in features])


def read_geoparquet(data: bytes) -> tuple[pa.Table, Shapes | None]:
    """Bytes of Parquet to its table without the geometry, and the (n,) geometries; None where it has no such column.

    Raises:
        Unusable: it is no Parquet, its geometries are no WKB, or it has another coordinate system.
    """
    try:
        table = read_parquet(data)
    except Malformed as error:
        raise Unusable(str(error)) from None
    try:
        geo = read_json((table.schema.metadata or {}).get(b"geo", b"{}"))
    except Malformed as error:
        raise Unusable(f"its `geo` metadata is broken ({error}); expected GeoParquet 1.x") from None
    name = str(geo.get("primary_column", "geometry"))
    crs = _dict(_dict(geo.get("columns")).get(name)).get("crs")
    if isinstance(crs, dict):
        _check_crs(":".join(str(_dict(crs.get("id")).get(part)) for part in ("authority", "code")))
    if name not in table.column_names:
        return table, None
    wkb = table.schema.field(name).type
    if not (pa.types.is_binary(wkb) or pa.types.is_large_binary(wkb)):
        raise Unusable(
            f"column {name!r} is {wkb}; expected geometries as WKB (binary), as GeoPandas' to_parquet writes them"
        )
    try:
        with parsing("WKB"):
            shapes = np.asarray(shapely.from_wkb(table[name].to_pylist(), on_invalid="ignore"), object).reshape(-1)
    except Malformed as error:
        raise Unusable(f"column {name!r} is {error}") from None
    return table.drop_columns([name]), shapes


def read_places(uri: str, data: bytes) -> tuple[dict[str, list[Any]], Shapes]:
    """Columns by name, and (n,) shapes, of a file of any kind: geometries, or in CSV and plain Parquet `lon` and `lat`.

    Args:
        uri: its name, by whose end its kind is told.
        data: its bytes.

    Raises:
        Unusable: it is of none of these kinds; where it is one row, which one.
    """
    if uri.lower().endswith(CSV):
        return _points(_csv(data))
    if uri.lower().endswith(GEOJSON):
        found = read_geojson(data)
        return _with_ids(found), found.shapes
    table, shapes = read_geoparquet(data)
    return _points(table) if shapes is None else (table.to_pydict(), shapes)


def _with_ids(found: Features) -> dict[str, list[Any]]:
    """Properties by name; where a feature has no `asset_id` among them, its own ``id`` is that."""
    if all(own is None for own in found.ids):
        return found.columns
    given = found.columns.get("asset_id", [None] * len(found.ids))
    ids = [own if value is None else value for value, own in zip(given, found.ids, strict=True)]
    return {**found.columns, "asset_id": ids}


def _csv(data: bytes) -> pa.Table:
    names = data.split(b"\n", 1)[0].decode("utf-8-sig", "replace").strip().split(",")
    types = {name.strip().strip('"'): pa.string() for name in names}
    try:
        options = pacsv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""])
        with parsing("CSV"):
            return pacsv.read_csv(arrow_file(utf8(data)), convert_options=options)
    except Malformed as error:
        raise Unusable(f"{error}; expected UTF-8 with commas") from None


def _points(table: pa.Table) -> tuple[dict[str, list[Any]], Shapes]:
    """Points of the columns `lon` and `lat`."""
    missing = [name for name in ("lon", "lat") if name not in table.column_names]
    if missing:
        raise Unusable(
            f"has no column {', '.join(missing)}, only {table.column_names}; expected lon and lat, in degrees "
            "and separated by commas in CSV, or a geometry column in GeoParquet"
        )
    values = {name: table[name].to_pylist() for name in table.column_names}
    lonlat = np.array([_numbers(values.pop(name), name) for name in ("lon", "lat")])
    return values, np.asarray(shapely.points(lonlat.T), object).reshape(-1)


def _numbers(values: list[Any], name: str) -> list[float]:
    numbers = []
    for row, value in enumerate(values, start=1):
        try:
            numbers.append(float(value))
        except (TypeError, ValueError):
            raise Unusable(f"row {row}: {name}: got {value!r}; expected degrees, as 100.5231") from None
    return numbers


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _geojson_shape(geometry: Any) -> shapely.Geometry | None:
    try:
        with parsing("GeoJSON"):
            return shapely.from_geojson(json.dumps(geometry)) if geometry is not None else None
    except Malformed:
        return None


def _check_crs(name: str) -> None:
    if not name.upper().replace("::", ":").endswith(WGS84_CODES):
        raise Unusable(
            f"its coordinate system is {name}; expected longitude and latitude on WGS 84 (EPSG:4326): convert it, for "
            "example with GeoPandas' to_crs(4326)"
        )
