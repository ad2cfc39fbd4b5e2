from __future__ import annotations

import numpy as np
import pytest
import shapely

from roadscan.inventory.outline import SAMPLE_M, sample, strip, vote


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
