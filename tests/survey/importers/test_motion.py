from __future__ import annotations

import numpy as np
import pytest

from roadscan.survey.geodesy import WGS84, LocalFrame
from roadscan.survey.importers.motion import motion


def straight(course_deg: float, speed_mps: float, n: int, step_s: float = 1.0, lon: float = 100.5, lat: float = 13.75):
    frame, time_s = LocalFrame(lon, lat), np.arange(n) * step_s
    x, y = speed_mps * time_s * np.sin(np.radians(course_deg)), speed_mps * time_s * np.cos(np.radians(course_deg))
    return time_s, *frame.to_lonlat(x, y)


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_positions_have_no_course(n: int) -> None:
    course, speed = motion(*straight(45, 10, n), max_gap_s=5)
    assert np.isnan(course).all()
    assert np.isnan(speed).all()
    assert len(course) == n


@pytest.mark.parametrize("course_deg", [0.5, 90, 225, 359.5])
@pytest.mark.parametrize("step_s", [0.1, 1.0, 4.0])
def test_a_straight_track_keeps_its_course_to_the_ends(course_deg: float, step_s: float) -> None:
    course, speed = motion(*straight(course_deg, 20, 9, step_s), max_gap_s=5)
    assert course == pytest.approx(course_deg, abs=0.01)
    assert speed == pytest.approx(20, abs=0.001)


def test_a_slow_vehicle_has_a_speed_and_no_course() -> None:
    course, speed = motion(*straight(90, 2.9, 5), max_gap_s=5)
    assert np.isnan(course).all()
    assert speed == pytest.approx(2.9, abs=0.001)


def test_a_gap_parts_the_track() -> None:
    # North for 5 s, a gap of 60 s, then east from another place: no course may come from the jump between them.
    t1, lon1, lat1 = straight(0, 10, 5)
    t2, lon2, lat2 = straight(90, 10, 5, lon=100.6)
    time_s, lon, lat = np.r_[t1, t2 + 64], np.r_[lon1, lon2], np.r_[lat1, lat2]
    course, _ = motion(time_s, lon, lat, max_gap_s=5)
    assert np.cos(np.radians(course[:5])) == pytest.approx(1, abs=1e-6)
    assert course[5:] == pytest.approx(90, abs=0.05)


def test_course_is_from_true_north_far_from_where_the_track_began() -> None:
    # 200 km east of the first position at 18 degrees N the projection's north leans by 0.58 degrees.
    lon0, lat0 = 100.0, 18.0
    far_lon, far_lat, _ = WGS84.fwd(lon0, lat0, 90, 200_000)
    next_lon, next_lat, _ = WGS84.fwd(far_lon, far_lat, 30, 20)
    time_s = np.array([0.0, 10_000, 10_001])
    course, _ = motion(time_s, np.array([lon0, far_lon, next_lon]), np.array([lat0, far_lat, next_lat]), max_gap_s=5)
    assert course[1:] == pytest.approx(30, abs=0.02)


def test_noise_of_a_frequent_log_is_smoothed() -> None:
    # 10 Hz at 15 m/s with 0.3 m of noise: raw central differences over 3 m stray by 0.3·√2/3 = 8 degrees, smoothed ones
    # over ± 1 s (21 samples) by less than 1.
    time_s, lon, lat = straight(60, 15, 200, 0.1)
    frame, rng = LocalFrame(100.5, 13.75), np.random.default_rng(0)
    x, y = frame.to_xy(lon, lat)
    lon, lat = frame.to_lonlat(x + rng.normal(0, 0.3, 200), y + rng.normal(0, 0.3, 200))
    course, _ = motion(time_s, lon, lat, max_gap_s=5)
    assert np.std(course[15:-15]) < 1.0
