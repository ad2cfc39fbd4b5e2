"""The centrelines' file: bytes of GeoJSON or (Geo)Parquet to properties and shapes, not yet judged.

Sources: RFC 7946 (GeoJSON), https://geoparquet.org/releases/v1.1.0/. Both are longitude, latitude on WGS 84; another
coordinate system is refused, not converted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from roadscan.errors import ConfigError
from roadscan.inventory.reference.config import OPTIONAL, REQUIRED, ReferenceConfig
from roadscan.storage import arrow_file

WGS84_CODES = ("OGC:CRS84", "EPSG:4326", "CRS84", "4326")


@dataclass(frozen=True)
class Feature:
    """One feature or row of the file.

    Attributes:
        number: from 1, as the file has them.
        values: by our names, None where the file has none.
        shape: of any kind, or None where it has none that can be read.
    """

    number: int
    values: dict[str, Any]
    shape: shapely.Geometry | None


def read_features(data: bytes, config: ReferenceConfig) -> list[Feature]:
    """Every feature of the file.

    Raises:
        ConfigError: it is no GeoJSON or Parquet, is empty, has another coordinate system, or no feature has a property
            that is needed or that `columns` names.
    """
    parquet = config.uri.lower().endswith("parquet")
    rows = _parquet_rows(data, config.uri) if parquet else _geojson_rows(data, config.uri)
    if not rows:
        raise ConfigError(f"reference {config.uri}: has no features; expected one a centreline")
    present = sorted(set().union(*(values for values, _ in rows)))
    names = {name: config.column(name) for name in (*REQUIRED, *OPTIONAL)}
    needed = {*REQUIRED, *config.columns}
    missing = [theirs for ours, theirs in names.items() if ours in needed and theirs not in present]
    if missing:
        raise ConfigError(
            f"reference {config.uri}: no feature has {missing}, only {present}; expected {list(REQUIRED)}: set "
            "`columns` to {name: property of the file} for those with another name"
        )
    return [
        Feature(number, {ours: values.get(theirs) for ours, theirs in names.items()}, shape)
        for number, (values, shape) in enumerate(rows, start=1)
    ]


def _geojson_rows(data: bytes, uri: str) -> list[tuple[dict[str, Any], shapely.Geometry | None]]:
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"reference {uri}: not valid JSON ({error}); expected a GeoJSON FeatureCollection") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("features"), list):
        got = tree.get("type") if isinstance(tree, dict) else type(tree).__name__
        raise ConfigError(f"reference {uri}: got {got}; expected a GeoJSON FeatureCollection")
    if tree.get("crs") is not None:  # of GeoJSON before RFC 7946
        name = str(((tree["crs"] or {}).get("properties") or {}).get("name") if isinstance(tree["crs"], dict) else "")
        _check_crs(name, uri)
    rows = []
    for feature in tree["features"]:
        feature = feature if isinstance(feature, dict) else {}
        properties = feature.get("properties")
        rows.append((properties if isinstance(properties, dict) else {}, _geojson_shape(feature.get("geometry"))))
    return rows


def _geojson_shape(geometry: Any) -> shapely.Geometry | None:
    try:
        return shapely.from_geojson(json.dumps(geometry)) if geometry is not None else None
    except shapely.errors.ShapelyError:
        return None


def _parquet_rows(data: bytes, uri: str) -> list[tuple[dict[str, Any], shapely.Geometry | None]]:
    try:
        table = pq.read_table(arrow_file(data))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise ConfigError(f"reference {uri}: cannot be read as Parquet ({error})") from None
    try:
        geo = json.loads((table.schema.metadata or {}).get(b"geo", b"{}"))
        name = str(geo.get("primary_column", "geometry"))
        crs = geo.get("columns", {}).get(name, {}).get("crs")
    except (ValueError, AttributeError):
        raise ConfigError(f"reference {uri}: its `geo` metadata is broken; expected GeoParquet 1.x") from None
    if isinstance(crs, dict):
        _check_crs(":".join(str(crs.get("id", {}).get(part)) for part in ("authority", "code")), uri)
    kind = table.schema.field(name).type if name in table.column_names else None
    if kind is None or not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise ConfigError(
            f"reference {uri}: column {name!r} is {kind or 'missing'}; expected geometries as WKB (binary), as "
            "GeoPandas' to_parquet writes them"
        )
    shapes = shapely.from_wkb(table[name].to_pylist(), on_invalid="ignore")
    return list(zip(table.drop_columns([name]).to_pylist(), shapes, strict=True))


def _check_crs(name: str, uri: str) -> None:
    if not name.upper().replace("::", ":").endswith(WGS84_CODES):
        raise ConfigError(
            f"reference {uri}: its coordinate system is {name}; expected longitude and latitude on WGS 84 (EPSG:4326): "
            "convert it, for example with GeoPandas' to_crs(4326)"
        )
