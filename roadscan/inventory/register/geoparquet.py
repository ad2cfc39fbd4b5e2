"""Shapes to GeoParquet 1.1: the ``geo`` metadata, the covering ``bbox`` column, and the order of the rows.

Source: https://geoparquet.org/releases/v1.1.0/. The coordinate system is left out, which the specification defines as
OGC:CRS84 (longitude, latitude on WGS 84).
"""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from roadscan.arrays import Floats, Ints

CORNERS = ("xmin", "ymin", "xmax", "ymax")
HILBERT_ORDER = 26  # 2**26 cells around the globe are 0.6 m wide at the equator


def geometry_columns(shapes: npt.NDArray[np.object_]) -> dict[str, pa.Array]:
    """The `geometry` (WKB) and `bbox` columns of shapes in degrees, (n,)."""
    bounds = shapely.bounds(shapes).reshape(-1, 4)
    return {
        "geometry": pa.array(list(shapely.to_wkb(shapes)), pa.binary()),
        "bbox": pa.StructArray.from_arrays([pa.array(bounds[:, i], pa.float64()) for i in range(4)], names=CORNERS),
    }


def geo_metadata(shapes: npt.NDArray[np.object_]) -> dict[bytes, bytes]:
    """The file's ``geo`` key for a table with `geometry_columns`."""
    column = {
        "encoding": "WKB",
        "geometry_types": sorted({shape.geom_type for shape in shapes}),
        "covering": {"bbox": {corner: ["bbox", corner] for corner in CORNERS}},
    }
    if len(shapes):
        column["bbox"] = shapely.total_bounds(shapes).tolist()
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return {b"geo": json.dumps(geo, sort_keys=True).encode()}


def hilbert_distance(lon: Floats, lat: Floats) -> Ints:
    """Place of points on a Hilbert curve over the whole globe, so an asset's place never depends on the others.

    Source: J. Skilling, "Programming the Hilbert curve" (2004), in two dimensions, in the well-known xy2d form.

    >>> corners = hilbert_distance(np.array([-170.0, -170.0, 170.0, 170.0]), np.array([-80.0, 80.0, 80.0, -80.0]))
    >>> np.argsort(corners).tolist()
    [0, 1, 2, 3]
    """
    cells = 1 << HILBERT_ORDER
    x = np.clip((np.asarray(lon) + 180) / 360 * cells, 0, cells - 1).astype(np.int64)
    y = np.clip((np.asarray(lat) + 90) / 180 * cells, 0, cells - 1).astype(np.int64)
    distance = np.zeros_like(x)
    half = cells >> 1
    while half:
        right, up = (x & half) > 0, (y & half) > 0
        distance += half * half * ((3 * right) ^ up)
        flip = right & ~up
        x, y = np.where(flip, cells - 1 - x, x), np.where(flip, cells - 1 - y, y)
        x, y = np.where(up, x, y), np.where(up, y, x)
        half >>= 1
    return distance
