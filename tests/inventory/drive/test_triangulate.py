from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.passes import CONFIG, look, straight_north

from roadscan.inventory.drive.passes import Detections, DrivePass
from roadscan.inventory.drive.track import track_detections
from roadscan.inventory.drive.triangulate import calibrate_yaw, triangulate, wrap


def place(drive: DrivePass, seen: Detections, track):
    return triangulate(drive.camera_xy[seen.frame_index], seen, track)


def test_no_detections_have_no_positions():
    drive = straight_north()
    fixes = place(drive, look([], [], drive), np.zeros(0, np.int64))
    assert fixes.xy.shape == (0, 2)
    assert fixes.cov.shape == (0, 2, 2)


def test_exact_bearings_and_ranges_give_the_exact_place():
    drive = straight_north()
    seen = look([(6.0, 60.0)], [range(1, 5)], drive)
    fixes = place(drive, seen, np.zeros(4, np.int64))
    assert fixes.xy[0] == pytest.approx([6.0, 60.0], abs=0.01)
    assert fixes.cost == pytest.approx(0, abs=1e-6)


def test_bearings_correct_a_size_that_is_wrong():
    # 25 % too far from apparent size. From y=0 to y=40 the bearing of (8, 60) goes from 7.6° to 21.8°: a base line of
    # 40 m against 20 m of lateral lever, so bearings alone place it to a few metres and pull the range back.
    drive = straight_north()
    seen = look([(8.0, 60.0)], [range(5)], drive, stretch=1.25)
    fixes = place(drive, seen, np.zeros(5, np.int64))
    ranges_only_error_m = 0.25 * np.hypot(8, 20)
    assert np.linalg.norm(fixes.xy[0] - [8.0, 60.0]) < 0.5 * ranges_only_error_m


def test_one_wild_bearing_moves_it_little():
    drive = straight_north()
    seen = look([(6.0, 60.0)], [range(6)], drive)
    wild = replace(seen, bearing=seen.bearing + np.radians([0, 0, 20, 0, 0, 0]))
    fixes = place(drive, wild, np.zeros(6, np.int64))
    assert fixes.xy[0] == pytest.approx([6.0, 60.0], abs=1.5)
    assert np.trace(fixes.cov[0]) > np.trace(place(drive, seen, np.zeros(6, np.int64)).cov[0])


def test_a_bearing_without_a_range_is_placed_with_a_wide_covariance():
    drive = straight_north()
    seen = look([(0.1, 30.0)], [[0]], drive)
    blind = replace(seen, log_range=np.log([30.0]), log_sigma=np.ones(1))
    cov = place(drive, blind, np.zeros(1, np.int64)).cov[0]
    assert np.sqrt(cov[1, 1]) > 20  # along the view: one standard deviation is a factor of e of 30 m
    assert np.sqrt(cov[0, 0]) < 2  # across it: 0.8° at 30 m


@pytest.mark.parametrize("yaw_deg", [-2.0, 0.0, 1.5])
def test_yaw_is_found_from_the_tracks(yaw_deg):
    drive = straight_north(20)
    places = [(6.0, 60.0), (-7.0, 90.0), (5.0, 120.0), (-6.0, 150.0), (9.0, 165.0)]
    frames = [range(max(0, int(y // 10) - 5), int(y // 10)) for _, y in places]
    seen = look(places, frames, drive).turned(np.radians(-yaw_deg))  # the camera reads that much too little
    track = track_detections(drive, seen, CONFIG)
    assert len(set(track.tolist())) == len(places)
    sigma = np.radians(CONFIG.noise.yaw_sigma_deg)
    assert np.degrees(calibrate_yaw(drive.camera_xy[seen.frame_index], seen, track, sigma)) == pytest.approx(
        yaw_deg, abs=0.35
    )
    told = np.radians(0.01)  # a heading that is said to be that sure is turned by hardly more
    assert abs(calibrate_yaw(drive.camera_xy[seen.frame_index], seen, track, told)) <= 3 * told


def test_a_yaw_that_the_bearings_do_not_tell_is_none():
    """Noise of 0.8 degrees on bearings alone would turn the drive by a part of it, and its assets off their places."""
    drive = straight_north(20)
    places = [(6.0, 60.0), (-7.0, 90.0), (5.0, 120.0), (-6.0, 150.0), (9.0, 165.0)]
    frames = [range(max(0, int(y // 10) - 5), int(y // 10)) for _, y in places]
    exact = look(places, frames, drive)
    blind = replace(exact, log_range=np.full(len(exact.row), np.log(30.0)), log_sigma=np.ones(len(exact.row)))
    track = track_detections(drive, exact, CONFIG)
    rng = np.random.default_rng(3)
    off = [rng.normal(0, np.radians(0.8), len(exact.row)) for _ in range(10)]
    at, sigma = drive.camera_xy[exact.frame_index], np.radians(CONFIG.noise.yaw_sigma_deg)
    yaws = [calibrate_yaw(at, replace(blind, bearing=exact.bearing + noise), track, sigma) for noise in off]
    assert sum(yaw == 0.0 for yaw in yaws) >= 8


def test_a_surer_bearing_counts_for_more():
    """Of two bearings, one of them wrong, the place follows the one that is said to be sure."""
    drive = straight_north()
    seen = look([(8.0, 60.0)], [[3, 4]], drive)
    wrong = replace(seen, bearing=seen.bearing + np.radians([0.0, 3.0]))
    sure = [replace(wrong, bearing_sigma=np.radians(sigma)) for sigma in ([0.01, 3.0], [3.0, 0.01])]
    track = np.zeros(2, np.int64)
    off = [np.linalg.norm(place(drive, one, track).xy[0] - [8.0, 60.0]) for one in sure]
    assert off[0] < 0.8 * off[1]


def test_wrap_keeps_angles_near_zero():
    assert wrap(np.array([np.pi + 0.1, -np.pi - 0.1, 0.3])) == pytest.approx([-np.pi + 0.1, np.pi - 0.1, 0.3])
