"""What GDAL, which knows nothing of us, reads in our tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from roadscan.view.mvt import EXTENT, Layer, tile, varint


def read(path: Path, data: bytes, layer: str) -> list[dict]:
    path.write_bytes(data)
    return pyogrio.read_dataframe(path, layer=layer, CLIP="NO").to_dict("records")


def upright(*xy: tuple[int, int]) -> list[tuple[int, int]]:
    """GDAL counts y from the bottom."""
    return [(x, EXTENT - y) for x, y in xy]


def test_points_lines_and_polygons_are_read_as_they_were_written(tmp_path: Path) -> None:
    points, lines, areas = Layer("points"), Layer("lines"), Layer("areas")
    points.points(np.array([[10, 20], [4000, 4095]]), {"id": "é <b>", "c": 300, "s": -2, "x": 0.25})
    points.points(np.array([[0, 0]]), {"id": "second", "c": 300, "s": 1, "x": 0.5})
    lines.line([np.array([[0, 0], [4096, 4096], [300, 2]]), np.array([[5, 6], [7, 8]])], {"id": "a"})
    areas.polygon([np.array([[0, 0], [10, 0], [10, 10], [0, 10]])], {"c": 1})
    data = tile([points, lines, areas, Layer("empty")])
    first, second = read(tmp_path / "t.mvt", data, "points")
    assert (first["id"], first["c"], first["s"], first["x"]) == ("é <b>", 300, -2, 0.25)
    assert (second["id"], second["c"], second["s"], second["x"]) == ("second", 300, 1, 0.5)
    assert first["geometry"].equals(shapely.MultiPoint(upright((10, 20), (4000, 4095))))
    (line,) = read(tmp_path / "t.mvt", data, "lines")
    assert line["geometry"].equals(
        shapely.MultiLineString([upright((0, 0), (4096, 4096), (300, 2)), upright((5, 6), (7, 8))])
    )
    (area,) = read(tmp_path / "t.mvt", data, "areas")
    assert area["geometry"].equals(shapely.Polygon(upright((0, 0), (10, 0), (10, 10), (0, 10))))
    assert pyogrio.list_layers(tmp_path / "t.mvt")[:, 0].tolist() == ["points", "lines", "areas"]


def test_what_has_no_extent_is_no_feature() -> None:
    layer = Layer("a")
    layer.points(np.zeros((0, 2), np.int64), {})
    layer.line([np.array([[1, 1]])], {})
    layer.polygon([np.array([[1, 1], [2, 2]])], {})
    assert tile([layer]) == b""


@given(st.integers(0, 2**63))
def test_a_varint_is_sevens_of_bits(value: int) -> None:
    data = varint(value)
    assert sum((byte & 0x7F) << 7 * n for n, byte in enumerate(data)) == value
    assert [byte >= 0x80 for byte in data] == [True] * (len(data) - 1) + [False]


@pytest.mark.parametrize("far", [1, 2**13, 2**20, 2**29])
def test_places_far_outside_of_the_tile_keep_their_distance(tmp_path: Path, far: int) -> None:
    layer = Layer("a")
    layer.line([np.array([[-far, 5], [far, -far]])], {"id": "x"})
    (row,) = read(tmp_path / "t.mvt", tile([layer]), "a")
    assert list(row["geometry"].coords) == upright((-far, 5), (far, -far))
