"""Columns and shapes of a file to rows of `KNOWN`. One wrong row refuses the file, with its field and number."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from roadscan.errors import DatasetError
from roadscan.evaluate.register.truth.known import KNOWN, MAX_LAT
from roadscan.geofiles import Shapes
from roadscan.taxonomy import HIGHWAY, Geometry

STATES = ("standing", "removed")
OPTIONAL = ("asset_id", "drive_id", "state")


def conform(values: dict[str, list[Any]], shapes: Shapes, class_field: str, uri: str) -> pa.Table:
    """Rows of `KNOWN`."""
    n = len(shapes)
    names = _texts(values[class_field], class_field, uri)
    given = {name: values.get(name, [None] * n) for name in OPTIONAL}
    ids = [f"known-{row + 1}" if value is None else str(value) for row, value in enumerate(given["asset_id"])]
    for asset_id, number in Counter(ids).most_common(1):
        if number > 1:
            raise DatasetError(f"{uri}: asset_id: got {asset_id!r} {number} times; expected one row an asset")
    states = [value or "standing" for value in given["state"]]
    for row, state in enumerate(states, start=1):
        if state not in STATES:
            raise DatasetError(f"{uri}: row {row}: state: got {state!r}; expected one of {', '.join(STATES)}")
    shapes = _checked_shapes(shapes, uri)
    is_line = shapely.get_type_id(shapes) == shapely.GeometryType.LINESTRING
    middle = shapes.copy()
    middle[is_line] = shapely.line_interpolate_point(shapes[is_line], 0.5, normalized=True)
    vertices = [shapely.get_coordinates(shape).T.tolist() if line else (None, None)
                for shape, line in zip(shapes, is_line, strict=True)]  # fmt: skip
    kinds = ["line" if line else "overhead" if HIGHWAY.get(name).geometry is Geometry.OVERHEAD else "point"
             for name, line in zip(names, is_line, strict=True)]  # fmt: skip
    drives = [None if value is None else str(value) for value in given["drive_id"]]
    lons, lats = ([part[axis] for part in vertices] for axis in (0, 1))
    place = shapely.get_x(middle), shapely.get_y(middle)
    columns = ids, names, kinds, *place, lons, lats, drives, states
    return pa.table([pa.array(c, type=f.type) for c, f in zip(columns, KNOWN, strict=True)], schema=KNOWN)


def _texts(values: list[Any], name: str, uri: str) -> list[str]:
    for row, value in enumerate(values, start=1):
        if value is None or not str(value).strip():
            raise DatasetError(f"{uri}: row {row}: {name}: got {value!r}; expected the class of the asset")
    return [str(value).strip() for value in values]


def _checked_shapes(shapes: Shapes, uri: str) -> Shapes:
    """Points and lines in two dimensions; Multi… of one part count as that part."""
    whole = shapely.force_2d(shapes)
    single = (shapely.get_num_geometries(whole) == 1) & ~shapely.is_empty(whole)
    parts = np.where(single, shapely.get_geometry(whole, 0), whole)
    kinds = shapely.get_type_id(parts)
    usable = single & np.isin(kinds, [shapely.GeometryType.POINT, shapely.GeometryType.LINESTRING])
    for row in np.flatnonzero(~usable)[:1].tolist():
        got = "none that can be read" if shapes[row] is None else f"{shapes[row].geom_type} {shapes[row].wkt:.40}"
        raise DatasetError(f"{uri}: row {row + 1}: geometry: got {got}; expected a Point or a LineString")
    xy, index = shapely.get_coordinates(parts, return_index=True)
    wrong = ~((np.abs(xy[:, 0]) <= 180) & (np.abs(xy[:, 1]) <= MAX_LAT))
    if wrong.any():
        x, y = xy[wrong][0].tolist()
        swapped = (np.abs(xy[wrong][:, 1]) <= 180) & (np.abs(xy[wrong][:, 0]) <= MAX_LAT)
        cause = "lon and lat are swapped" if swapped.all() else "numbers, in degrees on WGS 84 and not in metres"
        raise DatasetError(
            f"{uri}: row {int(index[wrong][0]) + 1}: lon, lat: got [{x:g}, {y:g}]; expected [longitude, latitude]: "
            f"{cause}"
        )
    return np.asarray(parts, object)
