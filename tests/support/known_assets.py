"""Found and known assets on the equator, a few metres apart, as tables."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import shapely
from hypothesis import strategies as st

M = 1 / 111_319.49  # one metre in degrees of longitude on the equator


ASSET = pa.schema(
    [("asset_id", pa.string()), ("class", pa.string()), ("lon", pa.float64()), ("lat", pa.float64()),
     ("length_m", pa.float64()), ("geometry", pa.binary())]
)  # fmt: skip


TRUTH = pa.schema(
    [("asset_id", pa.string()), ("class", pa.string()), ("lon", pa.float64()), ("lat", pa.float64()),
     ("geometry", pa.string()), ("lons", pa.list_(pa.float64())), ("lats", pa.list_(pa.float64()))]
)  # fmt: skip


def found(*points, lines=()):
    """Points as (id, class, x in metres); lines as (id, class, from x, to x, y)."""
    rows = [
        {"asset_id": i, "class": c, "lon": x * M, "lat": 0.0, "geometry": shapely.Point(x * M, 0).wkb}
        for i, c, x in points
    ]
    for i, c, start, end, y in lines:
        shape = shapely.LineString([(start * M, y * M), (end * M, y * M)])
        rows.append({"asset_id": i, "class": c, "lon": start * M, "lat": 0.0, "geometry": shape.wkb, "length_m": 1.0})
    return pa.Table.from_pylist(rows, schema=ASSET)


def truth(*points, geometry="point", lines=()):
    rows = [{"asset_id": i, "class": c, "lon": x * M, "lat": 0.0, "geometry": geometry} for i, c, x in points]
    rows += [
        {
            "asset_id": i,
            "class": c,
            "lon": a * M,
            "lat": 0.0,
            "geometry": "line",
            "lons": [a * M, b * M],
            "lats": [0, 0],
        }
        for i, c, a, b in lines
    ]
    return pa.Table.from_pylist(rows, schema=TRUTH)


# A lattice of 1 m gives many equal distances, and many that are the radius itself.
place = st.tuples(st.integers(0, 12), st.integers(0, 12))


scene = st.lists(place, max_size=30).map(lambda places: np.array(places, float).reshape(-1, 2))
