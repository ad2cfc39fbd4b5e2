"""Points on centrelines: which one, where along it, how far beside it, and with which direction of travel."""

from __future__ import annotations

import numpy as np
import pytest
from support.centrelines import EAST, NORTH, feature, lonlat, read

from roadscan.inventory.reference import format_km
from roadscan.survey.geodesy import WGS84


def test_no_points(tmp_path):
    found = read(tmp_path, NORTH).locate([], [], [])
    assert {name: len(column) for name, column in found.items()} == dict.fromkeys(
        ("index", "route_code", "section_code", "district", "carriageway", "km_m", "offset_m"), 0
    )


@pytest.mark.parametrize(
    ("km", "km_m", "offsets"),
    [((10.0, 12.0), 10_750, [7, -7]), ((12.0, 10.0), 11_250, [-7, 7])],  # east of a line to the north is right of it
)
def test_right_of_growing_km_is_positive(tmp_path, km, km_m, offsets):
    reference = read(tmp_path, feature([(0, 0), (0, 2000)], km, district="Ubon", carriageway="L"))
    found = reference.locate(*lonlat([7, -7], [750, 750]))
    np.testing.assert_allclose(found["offset_m"], offsets, atol=0.01)
    assert found["km_m"].tolist() == [km_m] * 2
    assert found["km_m"].dtype == np.int32
    assert [found[name][0] for name in ("route_code", "section_code", "district", "carriageway")] == [
        "0001",
        "0102",
        "Ubon",
        "L",
    ]


def test_what_is_far_from_every_centreline_is_on_none(tmp_path):
    reference = read(tmp_path, NORTH, max_offset_m=60)
    lon, lat = lonlat([59, 61, 0, 0], [500, 500, -59, -61])
    found = reference.locate([*lon, np.nan], [*lat, 15.0])
    assert found["index"].tolist() == [0, -1, 0, -1, -1]
    assert found["km_m"].tolist() == [10_500, -1, 10_000, -1, -1]
    assert found["route_code"].tolist() == ["0001", None, "0001", None, None]
    assert np.isnan(found["offset_m"]).tolist() == [False, True, False, True, True]


def test_beyond_an_end_the_offset_is_across_the_road(tmp_path):
    found = read(tmp_path, NORTH).locate(*lonlat([4, 4], [-30, 2030]))
    np.testing.assert_allclose(found["offset_m"], [4, 4], atol=0.01)
    assert found["km_m"].tolist() == [10_000, 12_000]


def test_the_side_beside_a_hairpin(tmp_path):
    # North, and back to the south-south-east (158°): right is between the legs; nearest to the tip alone is left.
    tip, legs = np.array([0.0, 500.0]), [(0.0, 0.0), (0.0, 500.0), (200.0, 0.0)]
    reference = read(tmp_path, feature(legs, (0.0, 1.0385)))
    angle = np.radians(np.arange(-85, 66, 5))  # from square to the first leg to square to the second
    lon, lat = lonlat(*(tip[:, None] + 20 * np.array([np.sin(angle), np.cos(angle)])))
    np.testing.assert_allclose(reference.locate(lon, lat)["offset_m"], -20, atol=0.01)
    assert reference.locate(*lonlat([10], [400]))["offset_m"] == pytest.approx(10, abs=0.01)
    back = read(tmp_path, feature(legs, (1.0385, 0.0)))
    np.testing.assert_allclose(back.locate(lon, lat)["offset_m"], 20, atol=0.01)


@pytest.mark.parametrize("azimuth_deg", [90, 35, 180])
def test_distances_agree_with_the_geodesic(tmp_path, azimuth_deg):
    # 100 km from 104.8E, one edge in the file; zone 47N would make 100 440 m of it eastwards.
    end = WGS84.fwd(104.8, 15.2, azimuth_deg, 100_000)[:2]
    line = feature([(0, 0), (1, 1)], (0.0, 100.0))
    line["geometry"]["coordinates"] = [[104.8, 15.2], list(end)]
    reference = read(tmp_path, line)
    share = np.array([0.01, 0.1, 0.37, 0.5, 0.93])
    lon, lat = 104.8 + share * (end[0] - 104.8), 15.2 + share * (end[1] - 15.2)
    truth_m = WGS84.inv(np.full(5, 104.8), np.full(5, 15.2), lon, lat)[2]
    offset_m = np.array([-50.0, 50.0, 3.0, -3.0, 20.0])
    bearing = WGS84.inv(lon, lat, np.full(5, end[0]), np.full(5, end[1]))[0]
    points = np.array([WGS84.fwd(*at)[:2] for at in zip(lon, lat, bearing + 90, offset_m, strict=True)])
    found = reference.locate(*points.T)
    np.testing.assert_allclose(found["km_m"], truth_m, rtol=5e-5, atol=0.6)
    np.testing.assert_allclose(found["offset_m"], offset_m, rtol=1e-3)
    assert sum(reference.kilometres()["length_m"].to_pylist()) == pytest.approx(100_000, rel=1e-5)


def test_many_points_are_as_each_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("roadscan.inventory.reference.linear.CHUNK", 7)
    reference = read(tmp_path, NORTH, EAST)
    rng = np.random.default_rng(0)
    lon, lat = lonlat(rng.uniform(-100, 100, 50), rng.uniform(0, 2000, 50))
    azimuth = rng.uniform(0, 360, 50)
    together = reference.locate(lon, lat, azimuth)
    alone = [reference.locate(lon[k], lat[k], azimuth[k]) for k in range(50)]
    assert set(together["index"]) == {-1, 0, 1}
    for name, column in together.items():
        np.testing.assert_array_equal(column, np.concatenate([one[name] for one in alone]))
    given = reference.locate_on(together["index"], lon, lat)
    for name, column in together.items():
        np.testing.assert_array_equal(given[name], column)


def test_locate_on_stays_on_the_centreline_given(tmp_path):
    reference = read(tmp_path, NORTH, EAST)
    lon, lat = lonlat([5, 5, 5, 5], [1002, 1002, 1002, 500])
    found = reference.locate_on([0, 1, -1, 1], lon, lat)
    assert found["index"].tolist() == [0, 1, -1, -1]  # the last is 500 m from the second
    assert found["km_m"].tolist() == [11_002, 51_005, -1, -1]
    np.testing.assert_allclose(
        found["offset_m"], [5, -2, np.nan, np.nan], atol=0.03
    )  # straight in degrees: 2 cm in 2 km


def test_the_direction_of_travel_refuses_a_crossing_road(tmp_path):
    reference = read(tmp_path, NORTH, EAST)
    lon, lat = lonlat([6] * 6, [1001] * 6)  # 1 m from the crossing road, 6 m from that to the north
    assert reference.locate(lon, lat)["index"].tolist() == [1] * 6
    azimuth = [0, 180, 39, 90, 270, np.nan]
    assert reference.locate(lon, lat, azimuth)["index"].tolist() == [0, 0, 0, 1, 1, 1]


def test_a_road_across_is_taken_where_it_alone_is_near(tmp_path):
    reference = read(tmp_path, EAST)
    lon, lat = lonlat([0, 0], [1010, 1040])
    assert reference.locate(lon, lat, 0.0)["index"].tolist() == [0, -1]


def test_km_as_on_plans():
    assert [format_km(m) for m in (25_556, 0, 999.6, 7, 120_030)] == ["25+556", "0+000", "1+000", "0+007", "120+030"]
