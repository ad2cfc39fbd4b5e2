"""Drives along centrelines: which one each of their positions is on."""

from __future__ import annotations

import numpy as np
import pytest
from support.centrelines import EAST, MAIN, NORTH, drive, feature, lonlat, read

FRONTAGE = feature([(25, 500), (25, 3500)], (0, 3), route="0001", section="9001")


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
