from __future__ import annotations

import numpy as np
import pytest

from roadscan.survey.geodesy import WGS84, LocalFrame, course_deg, wrap_deg


def test_local_metres_are_metres_within_ten_kilometres() -> None:
    frame = LocalFrame(102.83, 16.43)
    x, y = np.array([0.0, 10_000, -7_000]), np.array([0.0, -3_000, 9_000])
    lon, lat = frame.to_lonlat(x, y)
    _, _, distance = WGS84.inv(np.full(3, 102.83), np.full(3, 16.43), lon, lat)
    assert distance == pytest.approx(np.hypot(x, y), abs=0.02)
    assert np.allclose(frame.to_xy(lon, lat), (x, y), atol=1e-6)


def test_angles_wrap() -> None:
    assert wrap_deg([180, -180, 540, 359]).tolist() == [-180, -180, -180, -1]


def test_course_of_a_track() -> None:
    assert course_deg(np.array([0.0, 1, 2]), np.array([0.0, 0, 0])).tolist() == [90, 90, 90]
    assert course_deg(np.array([0.0, 0, 0]), np.array([0.0, -1, -2])).tolist() == [180, 180, 180]


def test_a_halt_keeps_the_course_before_it() -> None:
    x = np.array([0.0, 1, 2, 2, 2, 2])
    assert course_deg(x, np.zeros(6)).tolist() == [90] * 6


@pytest.mark.parametrize("x", [np.array([]), np.array([1.0]), np.array([1.0, 1.0])])
def test_a_track_that_does_not_move_has_no_course(x: np.ndarray) -> None:
    assert np.isnan(course_deg(x, x)).all()
