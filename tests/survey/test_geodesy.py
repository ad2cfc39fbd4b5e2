from __future__ import annotations

import numpy as np
import pytest
from pyproj import Transformer

from roadscan.survey.geodesy import WGS84, LocalFrame, course_deg, wrap_deg


def test_local_metres_are_metres_within_ten_kilometres() -> None:
    frame = LocalFrame(102.83, 16.43)
    x, y = np.array([0.0, 10_000, -7_000]), np.array([0.0, -3_000, 9_000])
    lon, lat = frame.to_lonlat(x, y)
    _, _, distance = WGS84.inv(np.full(3, 102.83), np.full(3, 16.43), lon, lat)
    assert distance == pytest.approx(np.hypot(x, y), abs=0.02)
    assert np.allclose(frame.to_xy(lon, lat), (x, y), atol=1e-6)


def test_local_metres_are_those_of_the_projection_that_proj_finds() -> None:
    projection = "+proj=tmerc +lon_0=102.83 +lat_0=-16.43 +k=1 +ellps=WGS84 +units=m"
    peer = Transformer.from_crs("EPSG:4326", projection, always_xy=True)
    lon, lat = np.random.default_rng(0).uniform((102.0, -17.0), (104.0, -16.0), (1000, 2)).T
    frame = LocalFrame(102.83, -16.43)
    x, y = frame.to_xy(lon, lat)
    assert np.array_equal((x, y), peer.transform(lon, lat))
    assert np.array_equal(frame.to_lonlat(x, y), peer.transform(x, y, direction="INVERSE"))


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
