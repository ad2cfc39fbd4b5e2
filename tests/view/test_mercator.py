from __future__ import annotations

import numpy as np
import pytest
from pyproj import Transformer

from roadscan.view.mercator import EARTH_M, SIDE, degrees, keys_of_tile, project, units_a_metre, z_order


def test_places_are_those_of_the_webs_projection() -> None:
    lon, lat = np.array([-179.9, 0.0, 100.5, 151.2]), np.array([-84.0, 0.0, 13.75, -33.87])
    east_m, north_m = Transformer.from_crs(4326, 3857, always_xy=True).transform(lon, lat)
    x, y = project(lon, lat)
    unit_m = EARTH_M / SIDE
    assert x * unit_m == pytest.approx(east_m + EARTH_M / 2, abs=0.02)
    assert y * unit_m == pytest.approx(EARTH_M / 2 - north_m, abs=0.02)
    back = degrees(x, y)
    assert back[0] == pytest.approx(lon, abs=1e-7)
    assert back[1] == pytest.approx(lat, abs=1e-7)


def test_a_metre_has_more_units_towards_the_poles() -> None:
    assert units_a_metre(60.0) == pytest.approx(2 * units_a_metre(0.0))  # 1 / cos 60°


def test_what_lies_beyond_the_square_lies_on_its_edge() -> None:
    x, y = project(np.array([-200.0, 200.0]), np.array([90.0, -90.0]))
    assert x.tolist() == [0, 2**32 - 1]
    assert y.tolist() == [0, 2**32 - 1]


@pytest.mark.parametrize("zoom", [0, 1, 7, 18])
def test_a_tiles_keys_are_those_of_its_places_and_of_no_others(zoom: int) -> None:
    rng = np.random.default_rng(zoom)
    x, y = rng.integers(0, 2**32, (2, 2000), dtype=np.uint32)
    key = z_order(x, y)
    column, row = int(x[0]) >> (32 - zoom), int(y[0]) >> (32 - zoom)
    first, last = keys_of_tile(zoom, column, row)
    inside = (x.astype(np.uint64) >> np.uint64(32 - zoom) == column) & (
        y.astype(np.uint64) >> np.uint64(32 - zoom) == row
    )
    assert ((key >= np.uint64(first)) & (key <= np.uint64(last))).tolist() == inside.tolist()
    assert inside[0]
