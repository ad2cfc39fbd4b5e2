from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from roadscan.config import load_config
from roadscan.errors import ConfigError, NotFound
from roadscan.inventory.reference import (
    LinearReference,
    ReferenceConfig,
    coverage,
    format_km,
    read_reference,
    uncovered,
)
from roadscan.schemas import COVERAGE
from roadscan.storage import sha256_hex
from roadscan.survey.geodesy import WGS84, LocalFrame

FRAME = LocalFrame(104.8, 15.2)  # Ubon Ratchathani, 5.8° east of zone 47's meridian
Points = list[tuple[float, float]]


def lonlat(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    return FRAME.to_lonlat(np.asarray(x, float), np.asarray(y, float))


def feature(xy: Points, km: tuple[Any, Any], route: Any = 1, section: Any = 102, **properties: Any) -> dict[str, Any]:
    """A feature with vertices in metres east and north of `FRAME`'s origin."""
    properties = {"route_code": route, "section_code": section, "km_start": km[0], "km_end": km[1], **properties}
    coordinates = np.stack(lonlat(*zip(*xy, strict=True)), axis=1).tolist()
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "LineString", "coordinates": coordinates},
    }


def write(tmp_path: Path, *features: dict[str, Any], **more: Any) -> str:
    path = tmp_path / "centrelines.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **more}))
    return str(path)


def read(tmp_path: Path, *features: dict[str, Any], **config: Any) -> LinearReference:
    return read_reference(ReferenceConfig(uri=write(tmp_path, *features), **config))


def refusal(tmp_path: Path, *features: dict[str, Any], **config: Any) -> str:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, *features, **config)
    return str(error.value)


NORTH = feature([(0, 0), (0, 2000)], (10.0, 12.0))  # km grows to the north
EAST = feature([(-1000, 1000), (1000, 1000)], (50.0, 52.0), route=2)  # crosses it at its km 11+000


# --- points -----------------------------------------------------------------------------------------------------------


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


# --- direction --------------------------------------------------------------------------------------------------------


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


# --- chainage ---------------------------------------------------------------------------------------------------------

RADIUS_M = 500.0
TURN = np.radians(np.arange(0, 90.01, 0.5))
BEND = [(RADIUS_M * (1 - np.cos(a)), RADIUS_M * np.sin(a)) for a in TURN]  # from north to east, 785.4 m


def test_a_curved_road_with_posts(tmp_path):
    # Posts a third and two thirds along, the first third 20 % short in chainage: 5+000 … 5+200 … 5+462 … 5+800.
    arc = RADIUS_M * np.pi / 2
    thirds = np.radians([30, 60])
    post_lon, post_lat = lonlat((RADIUS_M - 8) * (1 - np.cos(thirds)) + 8, (RADIUS_M - 8) * np.sin(thirds))
    posts = [[5.462, post_lon[1], post_lat[1]], ["5+200", post_lon[0], post_lat[0]]]  # 8 m inside, in any order
    reference = read(tmp_path, feature(BEND, (5.0, 5.8), posts=posts))
    angle = np.radians([15, 30, 45, 60, 75])
    inside = RADIUS_M - 20.0
    found = reference.locate(*lonlat(RADIUS_M - inside * np.cos(angle), inside * np.sin(angle)))
    np.testing.assert_allclose(found["km_m"], [5100, 5200, 5331, 5462, 5631], atol=1)
    np.testing.assert_allclose(found["offset_m"], 20, atol=0.05)
    without = read(tmp_path, feature(BEND, (5.0, 5.8))).locate(*lonlat([RADIUS_M], [RADIUS_M - 0.01]))
    assert without["km_m"].tolist() == [5800]
    plain = read(tmp_path, feature(BEND, (5.0, 5.8)))
    half = plain.locate(*lonlat(RADIUS_M * (1 - np.cos(np.pi / 4)), RADIUS_M * np.sin(np.pi / 4)))
    assert half["km_m"].tolist() == [5400]
    assert plain.kilometres()["length_m"].to_pylist() == [pytest.approx(arc, rel=1e-4)]


def test_posts_on_a_road_whose_km_grows_against_its_vertices(tmp_path):
    post = [10.4, *(float(v) for v in lonlat(0, 1000))]
    for posts in ([post], json.dumps([post])):
        reference = read(tmp_path, feature([(0, 0), (0, 2000)], ("11+000", "10+000"), posts=posts))
        found = reference.locate(*lonlat([1, 1, 1], [1500, 1000, 500]))
        assert found["km_m"].tolist() == [10_200, 10_400, 10_700]


def test_posts_at_the_ends_say_what_the_ends_say(tmp_path):
    ends = [[km, *(float(v) for v in lonlat(3, y))] for km, y in ((10.0, 0), (12.0, 2000))]
    found = read(tmp_path, feature([(0, 0), (0, 2000)], (10, 12), posts=ends)).locate(*lonlat([0], [500]))
    assert found["km_m"].tolist() == [10_500]


def test_posts_at_vertices_make_no_piece_without_direction(tmp_path):
    lon, lat = lonlat(*np.array(BEND).T)
    posts = [[5 + 0.785 * k / 180, lon[k], lat[k]] for k in range(10, 180, 10)]
    (line,) = read(tmp_path, feature(BEND, (5.0, 5.785), posts=posts)).centrelines
    assert len(line.s) == len(BEND)
    assert np.diff(line.s).min() > 4


def test_parts_that_join_are_one_line(tmp_path):
    def line(*parts: Points) -> dict[str, Any]:
        whole = feature([(0, 0), (0, 1)], (10, 12))
        coordinates = [np.stack(lonlat(*zip(*part, strict=True)), axis=1).tolist() for part in parts]
        whole["geometry"] = {"type": "MultiLineString", "coordinates": coordinates}
        return whole

    first, second = [(0.0, 0.0), (0.0, 900.0)], [(0.0, 900.0), (0.0, 2000.0)]
    for parts in ((first, second), (second, first), ([*first[:1], (0.0, 899.5)], second)):
        found = read(tmp_path, line(*parts)).locate(*lonlat([1, 1], [500, 1500]))
        assert found["km_m"].tolist() == [10_500, 11_500]
    message = refusal(tmp_path, line(first, [(0.0, 950.0), (0.0, 2000.0)]))
    assert "feature 1: geometry: got a MultiLineString of 2 parts with 50 m from the end of part 1" in message
    assert "parts that join end to end" in refusal(tmp_path, line(first, second[::-1]))  # drawn to the other way


def test_km_as_on_plans():
    assert [format_km(m) for m in (25_556, 0, 999.6, 7, 120_030)] == ["25+556", "0+000", "1+000", "0+007", "120+030"]


# --- tracks -----------------------------------------------------------------------------------------------------------

MAIN = feature([(0, 0), (0, 4000)], (10, 14))
FRONTAGE = feature([(25, 500), (25, 3500)], (0, 3), route="0001", section="9001")


def drive(x: Any, y: Any, sigma_m: float = 1.5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Positions with errors that last a kilometre, and some that do not."""
    rng = np.random.default_rng(seed)
    y = np.asarray(y, float)
    x = np.broadcast_to(np.asarray(x, float), y.shape)
    drift = sigma_m * np.sin(np.arange(len(y)) * 10 / 160)
    return lonlat(x + drift + rng.normal(0, 0.3, len(y)), y + rng.normal(0, 0.3, len(y)))


@pytest.mark.parametrize("spacing_m", [2, 10, 40])
@pytest.mark.parametrize(("x", "expected"), [(4, 0), (21, 1), (-9, 0)])
def test_each_of_two_roads_side_by_side_keeps_its_drive(tmp_path, x, expected, spacing_m):
    reference = read(tmp_path, MAIN, FRONTAGE)
    y = np.arange(700, 3300, spacing_m)
    for order in (y, y[::-1]):
        assert set(reference.assign_track(*drive(x, order, 3.0))) == {expected}


@pytest.mark.parametrize("spacing_m", [0.5, 2, 10])
def test_a_drive_does_not_change_roads_for_one_bad_stretch(tmp_path, spacing_m):
    reference = read(tmp_path, MAIN, FRONTAGE)
    y = np.arange(1200, 1800, spacing_m)
    x = np.where((y > 1500) & (y < 1540), 18.0, 3.0)  # 40 m nearer to the frontage road
    lon, lat = lonlat(x, y)
    assert set(reference.locate(lon, lat, 0.0)["index"]) == {0, 1}  # which alone would be on it
    assert set(reference.assign_track(lon, lat)) == {0}


def test_a_drive_that_leaves_for_the_frontage_road_is_followed(tmp_path):
    reference = read(tmp_path, MAIN, FRONTAGE)
    y = np.arange(0, 4000, 10)
    index = reference.assign_track(*drive(np.interp(y, [1500, 1600, 2500, 2600], [3, 25, 25, 3]), y, 0.5))
    assert set(index[(y < 1450) | (y > 2650)]) == {0}
    assert set(index[(y > 1650) & (y < 2450)]) == {1}


@pytest.mark.parametrize("angle_deg", [90, 30])
@pytest.mark.parametrize("offset_m", [-4.0, 6.0])
def test_a_drive_below_an_overpass_keeps_its_road(tmp_path, angle_deg, offset_m):
    dx, dy = 1500 * np.sin(np.radians(angle_deg)), 1500 * np.cos(np.radians(angle_deg))
    over = feature([(-dx, 2000 - dy), (dx, 2000 + dy)], (0, 3), route=7)
    reference = read(tmp_path, MAIN, over)
    y = np.arange(200, 3800, 10)
    lon, lat = drive(offset_m, y)
    assert 1 in reference.locate(lon, lat)["index"]  # the nearest line would be wrong
    assert set(reference.assign_track(lon, lat)) == {0}
    along = np.linspace(-1, 1, 250)[5:-5]
    assert set(reference.assign_track(*lonlat(along * dx, 2000 + along * dy))) == {1}


def test_a_road_of_no_section_that_crosses_one_is_on_none(tmp_path):
    index = read(tmp_path, MAIN).assign_track(*lonlat(np.arange(-800, 800, 10), np.full(160, 1200)))
    assert set(index) == {-1}


def test_consecutive_sections_change_where_they_join(tmp_path):
    second = feature([(0, 2000), (0, 4000)], (12, 14), section=103)
    y = np.arange(100, 3900, 10)
    index = read(tmp_path, NORTH, second).assign_track(*drive(3, y))
    assert index[(y < 1985)].tolist() == [0] * int((y < 1985).sum())
    assert index[(y > 2015)].tolist() == [1] * int((y > 2015).sum())


def test_a_short_section_between_two_long_ones_is_found(tmp_path):
    short = feature([(0, 2000), (0, 2040)], ("12+000", "12+040"), section=103)
    third = feature([(0, 2040), (0, 4000)], ("12+040", "14+000"), section=104)
    y = np.arange(1005, 3000, 10)
    index = read(tmp_path, NORTH, short, third).assign_track(*lonlat(np.full(len(y), 3.0), y))
    assert index.tolist() == [0] * 100 + [1] * 4 + [2] * 96


def test_a_bad_stretch_where_sections_and_a_frontage_road_join(tmp_path):
    second, beside = feature([(0, 2000), (0, 4000)], (12, 14), 1, 103), feature([(25, 2000), (25, 4000)], (0, 2), 9)
    reference = read(tmp_path, NORTH, second, beside)
    y = np.arange(1005, 3000, 10)
    x = np.where((y > 1990) & (y < 2040), 16.0, 4.0)
    assert set(reference.assign_track(*lonlat(x, y))) == {0, 1}


def test_a_bad_stretch_beside_the_end_of_a_frontage_road(tmp_path):
    y = np.arange(2500, 3900, 20)
    x = np.where((y > 3440) & (y < 3520), 24.0, 3.0)  # where main goes on, a drive pays to leave it
    assert set(read(tmp_path, MAIN, FRONTAGE).assign_track(*lonlat(x, y))) == {0}


def test_of_many_roads_side_by_side_the_nearest(tmp_path):
    lanes = [feature([(x, 0), (x, 1000)], (0, 1), section=x) for x in range(0, 60, 5)]
    y = np.arange(100, 900, 10)
    assert set(read(tmp_path, *lanes).assign_track(*lonlat(np.full(len(y), 26.0), y))) == {5}


def test_a_drive_turns_at_a_junction(tmp_path):
    reference = read(tmp_path, NORTH, EAST)
    xy = [(3.0, y) for y in range(100, 1000, 10)] + [(x, 997.0) for x in range(10, 900, 10)]
    index = reference.assign_track(*lonlat(*zip(*xy, strict=True)))
    assert set(index[:85]) == {0}
    assert set(index[97:]) == {1}


def test_positions_that_are_unknown_or_off_the_network(tmp_path):
    reference = read(tmp_path, MAIN)
    y = np.arange(100, 1100, 10)
    lon, lat = lonlat(np.where(y < 600, 2.0, 400.0), y)
    lon[20] = np.nan
    index = reference.assign_track(lon, lat)
    assert index[20] == -1
    assert set(np.delete(index, 20)[:49]) == {0}
    assert set(index[50:]) == {-1}
    assert reference.assign_track([], []).tolist() == []
    assert reference.assign_track(*lonlat([2], [700])).tolist() == [0]
    assert reference.assign_track(*lonlat([2] * 50, [700] * 50)).tolist() == [0] * 50  # parked


def test_long_tracks_are_matched_as_one(tmp_path, monkeypatch):
    reference = read(tmp_path, MAIN, FRONTAGE)
    y = np.arange(0, 4000, 10)
    track = drive(np.interp(y, [1500, 1600, 2500, 2600], [3, 25, 25, 3]), y)
    whole = reference.assign_track(*track)
    monkeypatch.setattr("roadscan.inventory.reference.track.BLOCK", 7)
    assert set(whole) == {0, 1}
    np.testing.assert_array_equal(reference.assign_track(*track), whole)


# --- kilometres -------------------------------------------------------------------------------------------------------


def test_kilometres_add_up_to_the_section(tmp_path):
    reference = read(tmp_path, feature(BEND, (5.6, 6.4), district="Warin"), feature([(-3000, 0), (0, 0)], (3, 6), 9))
    table = reference.kilometres()
    assert table.schema.names == COVERAGE.names[:7]
    rows = table.to_pylist()
    assert [(row["route_code"], row["section_code"], row["district"], row["km"]) for row in rows] == [
        ("0001", "0102", "Warin", 5),
        ("0001", "0102", "Warin", 6),
        *[("0009", "0102", None, km) for km in (3, 4, 5)],
    ]
    lengths = np.array([row["length_m"] for row in rows])
    assert lengths[:2].sum() == pytest.approx(RADIUS_M * np.pi / 2, rel=1e-4)
    np.testing.assert_allclose(lengths[:2], RADIUS_M * np.pi / 4, rtol=1e-4)
    np.testing.assert_allclose(lengths[2:], 1000, rtol=1e-4)
    middle = reference.locate(table["lon"].to_numpy(), table["lat"].to_numpy())
    assert middle["km_m"].tolist() == [5800, 6200, 3500, 4500, 5500]


def test_kilometres_of_sections_in_pieces_and_of_two_carriageways(tmp_path):
    lines = [
        feature([(0, 0), (0, 400)], (10, 10.4), carriageway="L"),
        feature([(0, 400), (0, 1000)], (10.4, 11), carriageway="L"),
        feature([(12, 1000), (12, 0)], (11, 10), carriageway="R"),
        feature([(12, 1010), (12, 1000)], ("11+010", "11+000"), carriageway="R"),
    ]
    rows = read(tmp_path, *lines).kilometres().to_pylist()
    assert [(row["km"], round(row["length_m"])) for row in rows] == [(10, 1000), (11, 10)]


def test_a_sliver_beyond_a_kilometre_is_no_kilometre(tmp_path):
    rows = read(tmp_path, feature([(0, -15), (0, 2005)], ("9+985", "12+005"))).kilometres().to_pylist()
    assert [(row["km"], round(row["length_m"])) for row in rows] == [(10, 1015), (11, 1005)]


def test_what_a_drive_covered_and_what_none_did(tmp_path):
    reference = read(tmp_path, MAIN, EAST)
    y = np.arange(500, 2500, 10)
    lon, lat = drive(3, y)
    time_us = 1_700_000_000_000_000 + np.arange(len(y)) * 1_000_000
    index = reference.assign_track(lon, lat)
    covered = coverage(reference, "d1", lon, lat, time_us, index)
    assert covered.schema.equals(COVERAGE)
    rows = covered.to_pylist()
    assert [(row["km"], row["drive_id"], row["frames"]) for row in rows] == [
        (10, "d1", 50),
        (11, "d1", 100),
        (12, "d1", 50),
    ]
    assert [row["first_at"].timestamp() - 1.7e9 for row in rows] == [0, 50, 150]
    assert [row["last_at"].timestamp() - 1.7e9 for row in rows] == [49, 149, 199]
    assert {row["lrs_version"] for row in rows} == {reference.version}
    rest = uncovered(reference, covered)
    assert rest.schema.equals(COVERAGE)
    assert [
        (row["route_code"], row["km"], row["drive_id"], row["first_at"], row["frames"]) for row in rest.to_pylist()
    ] == [
        ("0001", 13, None, None, 0),
        ("0002", 50, None, None, 0),
        ("0002", 51, None, None, 0),
    ]
    assert uncovered(reference, COVERAGE.empty_table()).num_rows == reference.kilometres().num_rows == 6
    assert uncovered(reference, pa.concat_tables([covered, rest])).num_rows == 0
    none = coverage(reference, "d2", lon, lat, time_us, np.full(len(lon), -1))
    assert none.num_rows == 0
    assert none.schema.equals(COVERAGE)


def test_a_frame_at_the_rounded_beginning_is_of_its_own_line(tmp_path):
    # 25+556.4 is written 25+556, which is before the line begins.
    lines = [MAIN, feature([(0, 5000), (0, 5500)], ("25+556.4", "26+056.4"), section=103)]
    reference = read(tmp_path, *lines)
    rows = coverage(reference, "d", *lonlat([0], [4990]), [0], [1]).to_pylist()
    assert [(row["section_code"], row["km"]) for row in rows] == [("0103", 25)]


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "digits", "code"),
    [(1, 4, "0001"), ("1", 4, "0001"), (102.0, 4, "0102"), (" 0102 ", 4, "0102"), ("M7", 4, "M7"), (102, 0, "102")],
)
def test_codes_are_padded(tmp_path, value, digits, code):
    reference = read(tmp_path, feature([(0, 0), (0, 1000)], (0, 1), route=value, section=value), code_digits=digits)
    assert reference.kilometres().select(["route_code", "section_code"]).to_pylist() == [
        {"route_code": code, "section_code": code}
    ]


def test_version_is_of_the_file_or_as_given(tmp_path):
    path = write(tmp_path, NORTH)
    version = sha256_hex(Path(path).read_bytes())[:12]
    assert read_reference(ReferenceConfig(uri=path)).version == version
    assert read_reference(ReferenceConfig(uri=path, version="2026-06")).version == "2026-06"


def test_properties_with_other_names(tmp_path):
    line = feature([(0, 0), (0, 2000)], (10, 12))
    line["properties"] = {"ROAD": 24, "ctrl": "300", "from": "10+000", "to": "12+000", "แขวง": "อุบลราชธานีที่ 1"}
    columns = {"route_code": "ROAD", "section_code": "ctrl", "km_start": "from", "km_end": "to", "district": "แขวง"}
    found = read(tmp_path, line, columns=columns).locate(*lonlat([1], [500]))
    assert [found[name][0] for name in ("route_code", "section_code", "district", "km_m")] == [
        "0024",
        "0300",
        "อุบลราชธานีที่ 1",
        10_500,
    ]
    text = refusal(tmp_path, line)
    assert "no feature has ['route_code', 'section_code', 'km_start', 'km_end'], only ['ROAD', 'ctrl'" in text
    assert "no feature has ['office'], only" in refusal(tmp_path, NORTH, columns={"district": "office"})
    path = tmp_path / "config.yaml"
    path.write_text("uri: a.geojson\ncolumns: {km: from}\n")
    with pytest.raises(ConfigError, match=r"columns: got .*\['km'\] are no properties of a centreline"):
        load_config(ReferenceConfig, path)


def test_geoparquet_is_read_as_geojson_is(tmp_path):
    post = [10.4, *(float(v) for v in lonlat(0, 1000))]
    features = [feature([(0, 0), (0, 2000)], (10, 11), posts=[post]), EAST]
    expected = read(tmp_path, *features)
    frame = geopandas.GeoDataFrame.from_features(features, crs=4326).rename_geometry("line")
    frame.to_parquet(tmp_path / "lines.parquet")
    reference = read_reference(ReferenceConfig(uri=str(tmp_path / "lines.parquet")))
    lon, lat = lonlat([1, 500], [500, 1003])
    for name, column in expected.locate(lon, lat).items():
        np.testing.assert_array_equal(reference.locate(lon, lat)[name], column)
    assert reference.locate(lon, lat)["km_m"].tolist() == [10_200, 51_500]
    frame.to_crs(32648).to_parquet(tmp_path / "metres.parquet")
    with pytest.raises(ConfigError, match=r"coordinate system is EPSG:32648; expected .* WGS 84"):
        read_reference(ReferenceConfig(uri=str(tmp_path / "metres.parquet")))


def test_parquet_without_geometries(tmp_path):
    path = tmp_path / "lines.parquet"
    config = ReferenceConfig(uri=str(path))
    names = {"route_code": [1], "section_code": [1], "km_start": [0.0], "km_end": [1.0]}
    for table, message in (
        (names, "column 'geometry' is missing; expected geometries as WKB"),
        (names | {"geometry": ["LINESTRING (0 0, 1 1)"]}, "column 'geometry' is string"),
        (names | {"geometry": [b"nonsense"]}, "feature 1: geometry: got none that can be read"),
        ({name: [] for name in names} | {"geometry": pa.array([], pa.binary())}, "has no features"),
    ):
        pq.write_table(pa.table(table), path)
        with pytest.raises(ConfigError, match=message):
            read_reference(config)
    path.write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="cannot be read as Parquet"):
        read_reference(config)
    pq.write_table(
        pa.table(names | {"geometry": [shapely.to_wkb(shapely.LineString([(100, 15), (100, 15.009)]))]}), path
    )
    assert read_reference(config).kilometres()["km"].to_pylist() == [0]


def with_geometry(kind: str, coordinates: Any) -> dict[str, Any]:
    return {**NORTH, "geometry": {"type": kind, "coordinates": coordinates}}


def with_posts(*posts: tuple[Any, float, float]) -> dict[str, Any]:
    return feature([(0, 0), (0, 2000)], (10, 12), posts=[[km, *(float(v) for v in lonlat(x, y))] for km, x, y in posts])


SOUTH = [(0.0, 0.0), (0.0, 2000.0)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (feature(SOUTH, (10, 10)), "km_end: got 10, which is km_start"),
        (feature(SOUTH, ("25+55", 26)), "km_start: got '25+55'; expected kilometres as 25.556 or '25"),
        (feature(SOUTH, (10, None)), "km_end: got None; expected kilometres"),
        (feature(SOUTH, (10, float("nan"))), "km_end: got nan; expected kilometres"),
        (feature(SOUTH, (-1, 1)), "km_start: got -1; expected kilometres"),
        (feature(SOUTH, (True, 2)), "km_start: got True; expected"),
        (feature(SOUTH, (10_000, 8_000)), "got 2000.000 km of chainage from km 8000 where the line is 2.000 km long"),
        (feature(SOUTH, (10, 12), route=None), "route_code: got None; expected a code"),
        (feature(SOUTH, (10, 12), section=" "), "section_code: got ' '; expected a code"),
        (feature(SOUTH, (10, 12), section=1.5), "section_code: got 1.5; expected a code"),
        (feature(SOUTH, (10, 12), section=20102), "section_code: got 20102; expected at most 4 characters"),
        (with_geometry("Point", [104, 15]), "geometry: got Point; expected a LineString"),
        (with_geometry("LineString", []), "geometry: got an empty LineString"),
        (with_geometry("LineString", [[104, 15]]), "geometry: got none that can be read"),
        (with_geometry("LineString", ["here", "there"]), "geometry: got none that can be read"),
        ({**NORTH, "geometry": None}, "geometry: got none that can be read"),
        (with_geometry("LineString", [[104, 15], [104, 15]]), "geometry: got a line without length"),
        (with_geometry("LineString", [[15.2, 104.8], [15.21, 104.8]]), "longitude and latitude are swapped"),
        (with_geometry("LineString", [[4.8e5, 1.6e6], [4.8e5, 1.7e6]]), "expected degrees on WGS 84, not metres"),
        (with_geometry("LineString", [[179.99, 15], [-179.99, 15]]), "crosses the 180° meridian"),
        (with_posts((11, 80, 1000)), "posts: post 11 at "),
        (with_posts((11, 0, 500), (10.5, 0, 1000)), "posts: km 11 and km 10.5 are at 500 m and 1000 m along"),
        (with_posts((13, 0, 1000)), "posts: km 13 and km 12 are at 1000 m and 2000 m"),
        (with_posts((10.2, 0, 0)), "posts: post 10.2 is at the line's start, which is km 10"),
        (with_posts((10.1, 0, 1000)), "got 0.100 km of chainage from km 10 where the line is 1.000 km long"),
        (with_posts(("x", 0, 1000)), "posts: got 'x'; expected kilometres"),
        (feature(SOUTH, (10, 12), posts=[[10.5]]), "posts: got [10.5]; expected [km, lon, lat]"),
        (feature(SOUTH, (10, 12), posts="10.5"), "posts: got 10.5; expected [[km, lon, lat], …]"),
        (feature(SOUTH, (10, 12), posts="[10.5"), "posts: got '[10.5'; expected [[km, lon, lat], …]"),
    ],
)
def test_what_cannot_be_used_says_why(tmp_path, line, message):
    good = feature(SOUTH, (20, 22))
    text = refusal(tmp_path, good, line)
    assert "feature 2: " in text
    assert message in text


def test_the_same_stretch_twice(tmp_path):
    text = refusal(tmp_path, NORTH, EAST, feature([(9, 0), (9, 2000)], ("10+000", "12+000"), "0001", "0102"))
    assert "feature 3: " in text
    assert "got 0001/0102 from 10+000 to 12+000, as feature 1; expected each stretch once" in text
    other = feature([(9, 0), (9, 2000)], (10, 12), carriageway="R")
    assert len(read(tmp_path, NORTH, other, feature([(0, 900), (0, 2900)], (10.9, 12.9))).centrelines) == 3


def test_many_problems_are_counted(tmp_path):
    text = refusal(tmp_path, *[feature(SOUTH, (n, n)) for n in range(13)])
    assert text.count("\n  feature ") == 10
    assert text.endswith("… and 3 more")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("[]", "got list; expected a GeoJSON FeatureCollection"),
        ('{"type": "Topology"}', "got Topology; expected a GeoJSON FeatureCollection"),
        ('{"type": "FeatureCollection", "features": []}', "has no features"),
        (
            '{"type": "FeatureCollection", "features": [null, 3]}',
            r"no feature has \['route_code', 'section_code', 'km_start', 'km_end'\], only \[\]",
        ),
        (
            '{"features": [], "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32647"}}}',
            "coordinate system is urn:ogc:def:crs:EPSG::32647",
        ),
    ],
)
def test_files_that_are_no_centrelines(tmp_path, text, message):
    path = tmp_path / "a.geojson"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"(?s)a.geojson.*{message}"):
        read_reference(ReferenceConfig(uri=str(path)))


def test_the_old_way_to_say_wgs84(tmp_path):
    for name in ("urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::4326"):
        crs = {"type": "name", "properties": {"name": name}}
        assert read_reference(ReferenceConfig(uri=write(tmp_path, NORTH, crs=crs))).centrelines


def test_a_file_that_is_missing_or_of_another_kind(tmp_path):
    with pytest.raises(NotFound):
        read_reference(ReferenceConfig(uri=str(tmp_path / "none.geojson")))
    path = tmp_path / "config.yaml"
    path.write_text("uri: lines.shp\n")
    with pytest.raises(ConfigError, match=r"uri: got 'lines.shp'"):
        load_config(ReferenceConfig, path)
