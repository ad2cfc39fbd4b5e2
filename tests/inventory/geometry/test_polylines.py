from __future__ import annotations

import numpy as np
import pytest
import shapely

from roadscan.inventory.geometry.polylines import (
    SAMPLE_M,
    match_lines,
    pieces,
    sample,
    shared_length_m,
    strip,
    vote,
)


def along(start: float, end: float, y: float = 0.0) -> np.ndarray:
    return np.stack([np.linspace(start, end, 50), np.full(50, y)], axis=1)


def extent(line: np.ndarray) -> tuple[float, float]:
    return float(line[:, 0].min()), float(line[:, 0].max())


def test_a_part_cuts_nothing_off():
    assert extent(vote([along(0, 600), along(0, 2300, 1.0), along(0, 600)], [])) == (0, 2300)


def test_parts_make_a_whole_whichever_way_they_were_driven():
    assert extent(vote([along(0, 300), along(250, 500, 1.0)[::-1], along(-100, 40)], [])) == (-100, 500)


@pytest.mark.parametrize(("against", "end"), [(0, 200), (1, 200), (2, 100)])
def test_an_end_goes_when_most_who_looked_there_saw_nothing(against, end):
    unseen = [sample(along(104, 200), SAMPLE_M)] * against
    assert extent(vote([along(0, 200), along(0, 100), along(0, 100)], unseen)) == (0, pytest.approx(end, abs=3))


def test_when_all_are_against_it_the_line_stays():
    assert extent(vote([along(0, 20)], [sample(along(0, 20), SAMPLE_M)] * 2)) == (0, 20)


def test_beside_ends_where_the_line_ends():
    places = np.array([[5.0, 3.0], [11.0, 0.0], [5.0, 5.0]])
    beside = shapely.intersects_xy(strip([along(0, 10)], 4.0), places[:, 0], places[:, 1])
    assert beside.tolist() == [True, False, False]


def test_lines_are_matched_to_the_line_they_run_beside():
    along = np.array([[0.0, 0.0], [100.0, 0.0]])
    known = [("rail", along), ("rail", along + np.array([0, 12])), ("kerb", along)]
    found = [
        ("rail", along * [0.4, 1] + np.array([0, 1.5])),
        ("rail", along + np.array([0, 30])),
        ("kerb", along + np.array([5, 0])),
    ]
    assert match_lines(found, known, 4.0) == [(2, 2), (0, 0)]


def test_pieces_of_a_longer_line():
    lines = [("rail", np.array(xy, float)) for xy in ([[0, 0], [40, 0]], [[0, 1], [100, 1]], [[200, 0], [240, 0]])]
    assert pieces(lines, 4.0, share=0.6, enough_m=15) == [(0, 1)]
    assert pieces([("kerb", lines[0][1]), lines[1]], 4.0, share=0.6, enough_m=15) == []


@pytest.mark.parametrize(("overlap_m", "one"), [(14, False), (16, True)])
def test_lines_that_overlap_for_long_enough_are_one(overlap_m, one):
    lines = [("rail", np.array(xy, float)) for xy in ([[0, 0], [100, 0]], [[100 - overlap_m, 1], [180, 1]])]
    assert pieces(lines, 4.0, share=0.6, enough_m=15) == ([(1, 0)] if one else [])


def test_shared_length_counts_only_what_runs_side_by_side():
    a, far = shapely.LineString([(0, 0), (10, 0)]), shapely.LineString([(0, 9), (10, 9)])
    assert shared_length_m(a, shapely.LineString([(4, 2), (30, 2)]), 4.0) == pytest.approx(6)
    assert shared_length_m(a, far, 4.0) == 0
