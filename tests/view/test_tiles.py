"""Tiles against the plain rule: every asset of the tile that passes, each once, where it stands."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from support.viewed import map_register

from roadscan.errors import ConfigError
from roadscan.view.filters import Filter
from roadscan.view.mercator import degrees, project
from roadscan.view.mvt import EXTENT
from roadscan.view.register import MapRegister
from roadscan.view.tiles import MOST, check_tile, cut_tile, ellipses_m

HERE = 100.5, 13.75
ALL = Filter()


def tile_at(lon: float, lat: float, zoom: int) -> tuple[int, int, int]:
    x, y = project(np.array([lon]), np.array([lat]))
    return zoom, int(x[0]) >> (32 - zoom), int(y[0]) >> (32 - zoom)


def read(path: Path, register: MapRegister, place: tuple[int, int, int], wanted: Filter = ALL) -> dict[str, list[dict]]:
    """The features of a tile by layer, as GDAL has them."""
    path = path / "tile.mvt"
    path.write_bytes(cut_tile(register, *place, wanted))
    if not path.stat().st_size:
        return {}
    names = pyogrio.list_layers(path)[:, 0].tolist()
    return {name: pyogrio.read_dataframe(path, layer=name, CLIP="NO").to_dict("records") for name in names}


def spread(count: int, degrees_wide: float) -> list[dict]:
    rng = np.random.default_rng(1)
    places = np.array(HERE) + rng.uniform(-0.5, 0.5, (count, 2)) * degrees_wide
    classes, states = ("Warning Sign", "Bus Stop"), ("confirmed", "missing", "candidate")
    return [
        {"lon": lon, "lat": lat, "class": classes[n % 2], "state": states[n % 3], "asset_id": f"id{n:05d}"}
        for n, (lon, lat) in enumerate(places.tolist())
    ]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> MapRegister:
    return map_register(tmp_path_factory.mktemp("many"), *spread(MOST + 500, 0.2))


def test_few_assets_are_each_there_with_id_class_and_state_where_they_stand(tmp_path: Path) -> None:
    rows = spread(40, 0.01)
    register = map_register(tmp_path / "w", *rows)
    found = {row["id"]: row for row in read(tmp_path, register, tile_at(*HERE, 5))["assets"]}
    assert found.keys() == {row["asset_id"] for row in rows}
    for row in rows:
        got = found[row["asset_id"]]
        assert register.classes[got["c"]] == row["class"]
        assert ("confirmed", "candidate", "suspect", "missing", "rejected")[got["s"]] == row["state"]
    zoom, column, row_ = tile_at(*HERE, 12)
    close = read(tmp_path, register, (zoom, column, row_))["assets"]
    one = next(row for row in rows if row["asset_id"] == close[0]["id"])
    x, y = (np.array([value]) for value in project(np.array([one["lon"]]), np.array([one["lat"]])))
    side = 2 ** (32 - zoom)
    expected = [(int(x[0, 0]) - column * side) * EXTENT // side, EXTENT - (int(y[0, 0]) - row_ * side) * EXTENT // side]
    assert shapely.get_coordinates(close[0]["geometry"])[0].tolist() == expected


def test_the_four_tiles_of_a_tile_have_its_assets_each_once(tmp_path: Path, many: MapRegister) -> None:
    zoom, column, row = tile_at(*HERE, 9)
    parts = [(zoom + 2, 4 * column + i, 4 * row + j) for i in range(4) for j in range(4)]
    ids = Counter(one["id"] for part in parts for one in read(tmp_path, many, part).get("assets", []))
    lon, lat = degrees(many.x, many.y)
    inside = [tile_at(a, b, zoom) == (zoom, column, row) for a, b in zip(lon, lat, strict=True)]
    assert set(ids) == {one for one, there in zip(many.asset_id.to_pylist(), inside, strict=True) if there}
    assert set(ids.values()) == {1}


def test_many_assets_are_a_crowd_with_one_for_each_four_pixels(tmp_path: Path, many: MapRegister) -> None:
    place = tile_at(*HERE, 8)
    layers = read(tmp_path, many, place)
    assert layers.keys() == {"crowd"}
    dots = np.concatenate([shapely.get_coordinates(row["geometry"]) for row in layers["crowd"]])
    cells = {(int(x) // 32, int(EXTENT - y) // 32) for x, y in dots}  # 4096 units are 512 px, so 4 px are 32
    assert len(cells) == len(dots)
    side = 2 ** (32 - 8)
    every = {
        ((int(x) - place[1] * side) * EXTENT // side // 32, (int(y) - place[2] * side) * EXTENT // side // 32)
        for x, y in zip(many.x, many.y, strict=True)
        if int(x) // side == place[1] and int(y) // side == place[2]
    }
    assert cells == every


def test_what_is_filtered_out_is_in_no_tile_and_few_that_pass_are_each_there(tmp_path: Path, many: MapRegister) -> None:
    wanted = Filter(classes=("Bus Stop",), states=("missing",))
    place = tile_at(*HERE, 6)
    found = read(tmp_path, many, place, wanted)
    assert found.keys() == {"assets"}
    passing = {
        one["asset_id"] for one in spread(MOST + 500, 0.2) if (one["class"], one["state"]) == ("Bus Stop", "missing")
    }
    assert {one["id"] for one in found["assets"]} == passing
    assert read(tmp_path, many, place, Filter(classes=("nothing",))) == {}


def test_a_guardrail_is_a_line_in_every_tile_that_it_crosses_and_a_point_where_it_is_too_short(tmp_path: Path) -> None:
    line = [HERE, (HERE[0] + 0.02, HERE[1] + 0.002)]  # 2.2 km
    register = map_register(tmp_path / "w", {"line": line, "asset_id": "rail"})
    across = {tile_at(HERE[0] + 0.02 * t, HERE[1] + 0.002 * t, 16) for t in np.linspace(0, 1, 500)}
    assert len(across) > 3
    for place in across:
        layers = read(tmp_path, register, place)
        assert [row["id"] for row in layers["lines"]] == ["rail"]
        assert "assets" not in layers
        west, south, east, north = shapely.total_bounds([row["geometry"] for row in layers["lines"]])
        assert min(west, south) >= -64
        assert max(east, north) <= EXTENT + 64
    far = read(tmp_path, register, tile_at(*HERE, 4))  # 2.2 km are 0.45 px of 40,075 km / 16 / 512
    assert far.keys() == {"assets"}
    assert read(tmp_path, register, tile_at(HERE[0], HERE[1] + 1, 16)) == {}
    assert "lines" not in read(tmp_path, register, next(iter(across)), Filter(states=("missing",)))


def test_an_ellipse_has_the_axes_of_its_covariance() -> None:
    # Standard errors of 3 m along N 30° E and 1 m across: cov = R diag(9, 1) R^T with sin 30° = 1/2, cos² 30° = 3/4.
    east, north, both = 9 * 0.25 + 1 * 0.75, 9 * 0.75 + 1 * 0.25, (9 - 1) * 0.5 * np.sqrt(0.75)
    ring = ellipses_m(np.array([[east, both, north]]))[0]
    reach = np.hypot(*ring.T)
    assert reach.max() == pytest.approx(3 * 2.4477, rel=0.01)
    assert reach.min() == pytest.approx(2.4477, rel=0.05)
    longest = ring[reach.argmax()]
    assert np.degrees(np.arctan2(longest[0], longest[1])) % 180 == pytest.approx(30, abs=6)  # of 32 corners
    area = shapely.Polygon(ring).area
    assert area == pytest.approx(np.pi * 3 * 1 * 2.4477**2, rel=0.01)


def test_of_a_sample_of_that_covariance_95_in_100_lie_within_the_ellipse() -> None:
    covariance = np.array([[4.0, -1.2], [-1.2, 1.0]])
    ring = shapely.Polygon(ellipses_m(np.array([[4.0, -1.2, 1.0]]))[0])
    sample = np.random.default_rng(0).multivariate_normal([0, 0], covariance, 20_000)
    assert shapely.contains_xy(ring, sample).mean() == pytest.approx(0.95, abs=0.006)


def test_a_tile_that_does_not_exist_is_refused() -> None:
    for place in ((19, 0, 0), (-1, 0, 0), (2, 4, 0), (2, 0, -1)):
        with pytest.raises(ConfigError, match="tile: got"):
            check_tile(*place)


def test_a_register_without_assets_has_empty_tiles(tmp_path: Path) -> None:
    register = map_register(tmp_path / "w")
    assert register.bounds() is None
    assert cut_tile(register, 0, 0, 0, ALL) == b""


def test_the_last_tile_of_the_world_has_the_last_place(tmp_path: Path) -> None:
    register = map_register(tmp_path / "w", {"lon": 180.0, "lat": -85.2})
    for zoom in (0, 3, 18):
        assert len(read(tmp_path, register, (zoom, 2**zoom - 1, 2**zoom - 1))["assets"]) == 1


def test_an_ellipse_that_reaches_into_a_tile_is_drawn_there_too(tmp_path: Path) -> None:
    zoom, column, row = tile_at(*HERE, 18)
    side = 2 ** (32 - 18)
    lon, lat = degrees(np.array([column * side + 40]), np.array([row * side + side // 2]))  # 0.4 m from the west edge
    wide = {"lon": lon[0], "lat": lat[0], "cov_ee_m2": 4.0, "cov_nn_m2": 4.0, "asset_id": "one"}
    register = map_register(tmp_path / "w", wide)
    beside = read(tmp_path, register, (zoom, column - 1, row))
    assert beside.keys() == {"ellipses"}
    east = shapely.total_bounds([beside["ellipses"][0]["geometry"]])[2]
    # 2.4477 standard errors of 2 m are 4.9 m east of it, in units of 152.9 m * cos 13.75° / 4096 = 0.0363 m, and 10 on.
    assert east == pytest.approx(
        EXTENT + 10 + 4.8954 / (40_075_016.686 / 2**18 * np.cos(np.radians(lat[0])) / EXTENT), abs=3
    )
    assert len(read(tmp_path, register, (zoom, column, row))["ellipses"]) == 1
    assert "ellipses" not in read(tmp_path, register, (zoom, column, row), Filter(states=("missing",)))
