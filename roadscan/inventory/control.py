"""Control points: surveyed places of assets, in a file from anyone, that the register is pinned to."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from pydantic import Field, field_validator

from roadscan.arrays import Floats
from roadscan.config import Config, check_renamed
from roadscan.errors import ConfigError
from roadscan.geofiles import Shapes, Unusable, read_places
from roadscan.storage import read_given
from roadscan.taxonomy import Geometry, Taxonomy

NAMES = ("class", "sigma_m", "control_id")
MOST_SIGMA_M = 100.0
MAX_LAT = 85.0
#: `sigma_m` is the standard error of the place: root of the trace of its covariance.
CONTROL = pa.schema(
    {"control_id": pa.string(), "class": pa.string(), "lon": pa.float64(), "lat": pa.float64(), "sigma_m": pa.float64()}
)


class ControlConfig(Config):
    """Config of `read_control`.

    The file has one row or feature a surveyed asset: a Point in longitude and latitude on WGS 84, or in CSV and plain
    Parquet the columns `lon` and `lat`; its `class`, as detections have it; if known `sigma_m`, the standard error of
    the place (root of the trace of its covariance), and `control_id`, the owner's name of it.
    """

    uri: str = Field(
        min_length=1,
        pattern=r"(?i)\.(geojson|json|parquet|geoparquet|csv)$",
        description="surveyed assets, .geojson, .parquet or .csv: a path or s3:// address",
    )
    columns: dict[str, str] = Field({}, description="property names of the file, where they differ: {class: kind}")
    sigma_m: float = Field(
        0.2, gt=0, le=MOST_SIGMA_M, description="standard error of the places of rows that tell none of their own"
    )

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, value: dict[str, str]) -> dict[str, str]:
        return check_renamed(value, NAMES, "properties of a control point")


def read_control(config: ControlConfig | None, taxonomy: Taxonomy) -> pa.Table:
    """The control points of a file, rows of `CONTROL`; none without a config.

    Args:
        config: where they are.
        taxonomy: which classes run along the road, and so have no one place.

    Raises:
        ConfigError: the file is not there, or cannot be used: which row, the field, what was got, what was expected.
        StorageError: the file cannot be read.
    """
    if config is None:
        return CONTROL.empty_table()
    data = read_given("control.uri", config.uri, "a file of surveyed assets, .geojson, .parquet or .csv")
    where = f"control {config.uri}"
    try:
        values, shapes = read_places(config.uri, data)
    except Unusable as problem:
        raise ConfigError(f"{where}: {problem}") from None
    if not len(shapes):
        raise ConfigError(f"{where}: has no rows; expected one a surveyed asset")
    names = {name: config.columns.get(name, name) for name in NAMES}
    missing = [theirs for name, theirs in names.items() if name in {"class", *config.columns} and theirs not in values]
    if missing:
        raise ConfigError(
            f"{where}: no row has {missing}, only {sorted(values)}; expected the class of each asset: set `columns` to "
            "{name: property of the file} for those with another name"
        )
    given = {name: values.get(theirs, [None] * len(shapes)) for name, theirs in names.items()}
    lon, lat = _places(shapes, where)
    columns = {
        "control_id": _ids(given["control_id"], where),
        "class": _classes(given["class"], taxonomy, where),
        "lon": lon,
        "lat": lat,
        "sigma_m": [_sigma(value, row, config, where) for row, value in enumerate(given["sigma_m"], 1)],
    }
    return pa.Table.from_pydict(columns, schema=CONTROL)


def _places(shapes: Shapes, where: str) -> tuple[Floats, Floats]:
    whole = shapely.get_type_id(shapes) == shapely.GeometryType.POINT
    whole &= ~shapely.is_empty(shapes)
    for row in np.flatnonzero(~whole)[:1].tolist():
        got = "none that can be read" if shapes[row] is None else f"{shapes[row].geom_type} {shapes[row].wkt:.40}"
        raise ConfigError(f"{where}: row {row + 1}: geometry: got {got}; expected a Point")
    lon, lat = shapely.get_x(shapes), shapely.get_y(shapes)
    for row in np.flatnonzero(~((np.abs(lon) <= 180) & (np.abs(lat) <= MAX_LAT)))[:1].tolist():
        raise ConfigError(
            f"{where}: row {row + 1}: lon, lat: got [{lon[row]:g}, {lat[row]:g}]; expected [longitude, latitude] in "
            "degrees on WGS 84"
        )
    return lon, lat


def _ids(values: list[Any], where: str) -> list[str]:
    """The owner's names; of a row without one its number."""
    ids = [f"row {row}" if value is None else str(value) for row, value in enumerate(values, 1)]
    name, times = Counter(ids).most_common(1)[0]
    if times > 1:
        raise ConfigError(f"{where}: control_id: got {name!r} {times} times; expected one row a surveyed asset")
    return ids


def _classes(values: list[Any], taxonomy: Taxonomy, where: str) -> list[str]:
    for row, value in enumerate(values, 1):
        if value is None or not str(value).strip():
            raise ConfigError(f"{where}: row {row}: class: got {value!r}; expected the class of the asset")
        if taxonomy.get(str(value).strip()).geometry is Geometry.LINE:
            raise ConfigError(
                f"{where}: row {row}: class: got {value!r}, which runs along the road; expected one that stands at one "
                "place: leave this row out"
            )
    return [str(value).strip() for value in values]


def _sigma(value: Any, row: int, config: ControlConfig, where: str) -> float:
    if value is None:
        return config.sigma_m
    try:
        if 0 < float(value) <= MOST_SIGMA_M:
            return float(value)
    except (TypeError, ValueError):
        pass
    raise ConfigError(
        f"{where}: row {row}: sigma_m: got {value!r}; expected metres above 0, at most {MOST_SIGMA_M:g}; leave it "
        "empty where it is not known"
    )
