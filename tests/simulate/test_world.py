"""The road, its assets over the nights, the vehicle's path and its position errors."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from roadscan.simulate.frames import make_assets, make_road
from roadscan.simulate.world.assets import changes, place_assets
from roadscan.simulate.world.conditions import MIX, atmospheres
from roadscan.simulate.world.drive import drive, gauss_markov
from roadscan.simulate.world.road import build_road
from roadscan.taxonomy import HIGHWAY

from .conftest import SMALL


def test_points_of_the_road_are_offset_to_the_right() -> None:
    road = build_road(5, 800.0)
    left, right = road.point(400.0, -3.0), road.point(400.0, 3.0)
    heading = float(road.heading(400.0))
    across = (right - left)[:2]
    assert across @ [np.cos(heading), -np.sin(heading)] == pytest.approx(6.0)
    steps = np.linalg.norm(np.diff(road.xyz[:, :2], axis=0), axis=1)
    assert steps == pytest.approx(np.ones(len(steps)), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_two_kilometres_have_every_class(seed: int) -> None:
    road = build_road(seed, 2000.0)
    count = Counter(a.name for a in place_assets(road, seed))
    assert set(count) == set(HIGHWAY.names)
    assert 15 <= count["Single-Arm Pole"] <= 27  # 12 a kilometre, the last run may go over
    assert 7 <= count["Warning Sign"] <= 11  # 5 a kilometre


def test_assets_of_one_class_keep_their_distance() -> None:
    road = build_road(3, 6000.0)
    assets = place_assets(road, 3, density=2.0)
    for name in HIGHWAY.names:
        for side in ("left", "right", "median", "overhead"):
            chainages = sorted(a.s for a in assets if a.name == name and a.side == side)
            assert np.diff(chainages).min(initial=99.0) >= HIGHWAY.get(name).merge_m


def test_every_later_night_has_every_kind_of_change() -> None:
    config = SMALL.model_copy(update={"length_km": 3.0, "nights": 3})
    assets = make_assets(config, make_road(config))
    events = changes(assets, 3)
    assert {(night, kind) for night, _, kind in events} == {
        (night, kind) for night in (2, 3) for kind in ("removed", "added", "damaged")
    }
    assert len({a.asset_id for _, a, _ in events}) == len(events)
    for night, asset, kind in events:
        assert asset.present(night) is (kind != "removed")
        assert asset.present(night - 1) is (kind != "added")
        assert asset.damaged(night) is (kind == "damaged")


def test_one_night_has_no_changes() -> None:
    assert changes(make_assets(SMALL, make_road(SMALL)), 1) == []


def test_gps_bias_has_its_spread_and_correlation() -> None:
    time_s = np.arange(200_000) * 0.5
    bias = gauss_markov(np.random.default_rng(0), time_s, sigma=1.5, tau_s=30.0)
    # 100 000 s hold about 1 700 independent values of a 30 s process: 5 % is three standard errors.
    assert bias.std() == pytest.approx(1.5, rel=0.05)
    lag = 60  # 30 s
    assert np.corrcoef(bias[:-lag], bias[lag:])[0, 1] == pytest.approx(np.exp(-1), abs=0.05)


def test_recorded_poses_have_the_configured_errors() -> None:
    config = SMALL.model_copy(update={"length_km": 20.0, "gps_bias_tau_s": 2.0})
    path = drive(config, make_road(config), 1)
    error = path.recorded_xy - path.xy
    assert error.std(axis=0) == pytest.approx([1.005, 1.005], rel=0.12)  # hypot(1.0, 0.1)
    yaw = (path.recorded_heading_deg - path.heading_deg + 180) % 360 - 180
    assert yaw.std() == pytest.approx(0.2, rel=0.1)
    constants = [
        float(np.mean((d.recorded_heading_deg - d.heading_deg + 180) % 360 - 180))
        for d in (drive(SMALL, make_road(SMALL), night) for night in range(1, 60))
    ]
    assert np.std(constants) == pytest.approx(0.7, rel=0.3)


def test_without_errors_the_record_is_the_truth() -> None:
    exact = dict.fromkeys(("gps_bias_sigma_m", "gps_noise_sigma_m", "yaw_bias_sigma_deg", "yaw_noise_sigma_deg"), 0.0)
    path = drive(SMALL.model_copy(update=exact), make_road(SMALL), 1)
    assert np.array_equal(path.xy, path.recorded_xy)
    assert np.array_equal(path.heading_deg, path.recorded_heading_deg)


def test_frames_are_about_their_spacing_apart() -> None:
    config = SMALL.model_copy(update={"length_km": 3.0})
    path = drive(config, make_road(config), 1)
    assert np.diff(path.s).mean() == pytest.approx(10.0, rel=0.05)
    assert path.captured_at(2) > path.captured_at(1)
    assert drive(config, make_road(config), 2).captured_at(0) > path.captured_at(len(path) - 1)


def test_conditions_go_along_the_drive() -> None:
    road = build_road(5, 9500.0)
    assert len({a.condition.name for a in atmospheres(5, 1, road)}) == len(set(MIX))
    assert [a.condition.name for a in atmospheres(5, 1, road, ("rain", "night"))][:3] == ["rain", "night", "rain"]
