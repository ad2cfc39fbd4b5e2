"""Chainage along a centreline: its ends, its posts, and parts that join."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from support.centrelines import BEND, RADIUS_M, Points, feature, lonlat, read, refusal


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
