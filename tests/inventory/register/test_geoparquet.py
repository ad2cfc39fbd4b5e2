from __future__ import annotations

import json

import numpy as np
import shapely

from roadscan.inventory.register.geoparquet import geo_metadata, geometry_columns, hilbert_distance


def test_no_shapes():
    shapes = np.array([], dtype=object)
    columns = geometry_columns(shapes)
    assert len(columns["geometry"]) == len(columns["bbox"]) == 0
    column = json.loads(geo_metadata(shapes)[b"geo"])["columns"]["geometry"]
    assert column["geometry_types"] == []
    assert "bbox" not in column


def test_bbox_covers_each_shape():
    shapes = np.array([shapely.Point(100, 14), shapely.LineString([(100, 13), (101, 15)])], dtype=object)
    columns = geometry_columns(shapes)
    assert columns["bbox"].to_pylist()[1] == {"xmin": 100.0, "ymin": 13.0, "xmax": 101.0, "ymax": 15.0}
    assert shapely.from_wkb(columns["geometry"][0].as_py()) == shapes[0]
    assert json.loads(geo_metadata(shapes)[b"geo"])["columns"]["geometry"]["bbox"] == [100.0, 13.0, 101.0, 15.0]


def test_hilbert_neighbours_are_near_each_other():
    # On a grid of 16 x 16 cells of the curve, each step along the curve is one cell: that is what makes it Hilbert's.
    lon = (np.arange(16) + 0.5) * 360 / 16 - 180
    lat = (np.arange(16) + 0.5) * 180 / 16 - 90
    x, y = (values.ravel() for values in np.meshgrid(lon, lat))
    order = np.argsort(hilbert_distance(x, y))
    steps = np.abs(np.diff(x[order])) / (360 / 16) + np.abs(np.diff(y[order])) / (180 / 16)
    assert np.allclose(steps, 1)
