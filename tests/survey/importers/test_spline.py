from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadscan.survey.importers.spline import MOST_MPS2, way

steps = st.lists(st.tuples(st.floats(0.05, 5), st.floats(-150, 150), st.floats(-150, 150)), min_size=1, max_size=12)


def test_two_fixes_are_a_straight_line() -> None:
    curve = way(np.array([0.0, 2.0]), np.array([[0.0, 0.0], [6.0, 8.0]]))
    assert curve(0.5) == pytest.approx([1.5, 2.0])
    assert curve(0.5, 1) == pytest.approx([3.0, 4.0])


@pytest.mark.parametrize(("speed_mps", "radius_m"), [(25.0, 200.0), (8.0, 12.0)])
def test_a_bend_is_followed_where_a_straight_line_cuts_it(speed_mps: float, radius_m: float) -> None:
    """A fix a second. Chords miss the arc by v²t²/8R, 0.39 and 0.67 m, and head off by vt/2R, 3.6 and 19 degrees."""

    def at(time_s: np.ndarray) -> np.ndarray:
        turned = speed_mps * time_s / radius_m
        return radius_m * np.stack([1 - np.cos(turned), np.sin(turned)], axis=1)

    fixed, between = np.arange(12.0), np.arange(2.0, 9.0, 0.05)
    curve = way(fixed, at(fixed))
    cut_m = speed_mps**2 / 8 / radius_m
    assert np.linalg.norm(curve(between) - at(between), axis=1).max() < cut_m / 20
    heading = np.arctan2(*curve(between, 1).T)
    off_deg = np.degrees(heading - speed_mps * between / radius_m)
    assert np.abs((off_deg + 180) % 360 - 180).max() < np.degrees(speed_mps / radius_m / 2) / 20


def test_what_stands_stays_where_it_is() -> None:
    """It brakes at 5 m/s² from 10 m/s, stands for 4 s, and drives on; the receiver says each second."""
    x = np.array([0.0, 10.0, 17.5, 20.0, 20.0, 20.0, 20.0, 20.0, 22.5, 30.0, 40.0])
    curve = way(np.arange(11.0), np.stack([x, 0 * x], axis=1))
    stood = curve(np.linspace(3, 7, 100))
    assert stood[:, 0] == pytest.approx(20.0, abs=1e-12)
    assert curve(np.linspace(3, 6.99, 50), 1) == pytest.approx(0.0, abs=1e-12)
    assert curve(2.5)[0] == pytest.approx(20 - 5 * 0.5**2 / 2, abs=0.1)


@given(st.lists(st.tuples(st.floats(0.05, 5), st.floats(0, 150)), min_size=1, max_size=12))
def test_on_a_straight_road_it_never_runs_back_nor_past_a_fix(gone: list[tuple[float, float]]) -> None:
    time_s, x = np.cumsum([(0.0, 0.0), *gone], axis=0).T
    curve = way(time_s, np.stack([x, 0 * x], axis=1))
    along = curve(np.linspace(0, time_s[-1], 500))[:, 0]
    assert np.diff(along).min() > -1e-6
    assert along.max() <= x[-1] + 1e-6


def test_where_it_turns_back_it_goes_no_further_than_its_fixes() -> None:
    x = np.array([0.0, 10.0, 20.0, 20.5, 11.0, 1.0])
    along = way(np.arange(6.0), np.stack([x, 0 * x], axis=1))(np.linspace(0, 5, 500))[:, 0]
    assert along.max() == pytest.approx(20.5, abs=1e-6)


@given(steps)
def test_it_is_never_further_off_the_straight_line_than_a_vehicle_could_be(gone: list[tuple[float, ...]]) -> None:
    """Whatever a receiver says, be it noise: a t(T-t)/2 at most."""
    time_s, *xy = np.cumsum([(0.0, 0.0, 0.0), *gone], axis=0).T
    places = np.stack(xy, axis=1)
    at = np.linspace(0, time_s[-1], 400)
    straight = np.stack([np.interp(at, time_s, one) for one in xy], axis=1)
    last = np.clip(np.searchsorted(time_s, at), 1, len(time_s) - 1)
    allowed = MOST_MPS2 * (at - time_s[last - 1]) * (time_s[last] - at) / 2
    off = np.linalg.norm(way(time_s, places)(at) - straight, axis=1)
    assert np.all(off <= allowed + 1e-6)
    assert way(time_s, places)(time_s) == pytest.approx(places, abs=1e-6)
