"""The centrelines' file: bytes of GeoJSON or (Geo)Parquet to properties by our names and shapes, not yet judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import shapely

from roadscan.errors import ConfigError
from roadscan.geofiles import Shapes, Unusable, read_geojson, read_geoparquet
from roadscan.inventory.reference.config import OPTIONAL, REQUIRED, ReferenceConfig


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
    try:
        columns, shapes = _read(data, config.uri)
    except Unusable as problem:
        raise ConfigError(f"reference {config.uri}: {problem}") from None
    if not len(shapes):
        raise ConfigError(f"reference {config.uri}: has no features; expected one a centreline")
    present = sorted(columns)
    names = {name: config.column(name) for name in (*REQUIRED, *OPTIONAL)}
    needed = {*REQUIRED, *config.columns}
    missing = [theirs for ours, theirs in names.items() if ours in needed and theirs not in present]
    if missing:
        raise ConfigError(
            f"reference {config.uri}: no feature has {missing}, only {present}; expected {list(REQUIRED)}: set "
            "`columns` to {name: property of the file} for those with another name"
        )
    ours = [(name, columns.get(theirs, [None] * len(shapes))) for name, theirs in names.items()]
    return [Feature(row + 1, {name: values[row] for name, values in ours}, shape) for row, shape in enumerate(shapes)]


def _read(data: bytes, uri: str) -> tuple[dict[str, list[Any]], Shapes]:
    """Properties by name, and geometries."""
    if not uri.lower().endswith("parquet"):
        found = read_geojson(data)
        return found.columns, found.shapes
    table, shapes = read_geoparquet(data)
    if shapes is None:
        raise Unusable(
            "column 'geometry' is missing; expected geometries as WKB (binary), as GeoPandas' to_parquet writes them"
        )
    return table.to_pydict(), shapes
