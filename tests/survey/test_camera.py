"""Worked values for one camera: 1000 x 500 px, f = 500 px, 2 m above the road, level."""

from __future__ import annotations

import numpy as np
import pytest

from roadscan.survey.camera import MAX_RANGE_M, Camera
from roadscan.taxonomy import AssetClass, Geometry

CAMERA = Camera("c", 1000, 500, 500.0, 2.0)


def test_the_field_of_view_follows_the_focal_length() -> None:
    assert CAMERA.fov_deg == pytest.approx(90.0)  # 2·atan(500/500)


def test_a_column_has_a_bearing() -> None:
    assert CAMERA.relative_bearing_deg([500, 1000, 0]) == pytest.approx([0, 45, -45])


def test_a_row_below_the_horizon_has_a_ground_range() -> None:
    # 50 px below the centre: tan t = 50/500, depth = 2/0.1 = 20 m. At column 1000 the slant is 20/cos 45° = 28.28 m.
    distance, sigma = CAMERA.ground_range_m([500, 1000], [300, 300])
    assert distance == pytest.approx([20.0, 28.284], rel=1e-3)
    # sigma = d²/h · hypot(0.5°, 0.004·1000/500) = 200 · hypot(.008727, .008) = 2.37 m
    assert sigma[0] == pytest.approx(200 * np.hypot(np.radians(0.5), 0.008), rel=1e-6)


def test_a_pitched_camera_sees_the_same_ground_nearer_the_top() -> None:
    pitched = Camera("c", 1000, 500, 500.0, 2.0, mount_pitch_deg=np.degrees(np.arctan(0.1)))
    assert pitched.ground_range_m(500, 250)[0] == pytest.approx(20.0)


@pytest.mark.parametrize("row", [250, 200, 0, 252])
def test_no_ground_range_at_the_horizon_or_beyond_the_limit(row: float) -> None:
    assert np.isnan(CAMERA.ground_range_m(500, row)[0])  # row 252: 2/(2/500) = 500 m > MAX_RANGE_M
    assert MAX_RANGE_M < 500


def test_a_known_height_gives_a_range() -> None:
    sign = AssetClass("Sign", height_m=1.0, height_rel_sigma=0.2)
    # 50 px high: depth = 500·1/50 = 10 m; the second box touches the upper edge, so its height is unknown.
    distance, sigma = CAMERA.size_range_m([[490, 100, 510, 150], [490, 0, 510, 50]], sign)
    assert distance[0] == pytest.approx(10.0)
    assert sigma[0] == pytest.approx(10 * np.hypot(0.2, np.sqrt(2) * 4 / 50))
    assert np.isnan(distance[1])


def test_an_unknown_height_gives_no_range() -> None:
    assert np.isnan(CAMERA.size_range_m([[490, 100, 510, 150]], AssetClass("Thing"))[0]).all()


@pytest.mark.parametrize("side", [-1, 1])
def test_the_base_of_a_barrier_is_found_from_its_box(side: int) -> None:
    # A barrier 4 m to the side from 8 m to 40 m ahead, 0.8 m high:
    # near end at u = 500 ± 500·4/8 = ±250 px, v = 250 + 500·2/8 = 375; far end at u = 500 ± 500·4/40 = ±50 px.
    top = 250 + 500 * (2 - 0.8) / 40
    columns = sorted([500 + side * 250, 500 + side * 50])
    near_bearing, near, far_bearing, far = CAMERA.base_ends([columns[0], top, columns[1], 375])
    assert near_bearing[0] == pytest.approx(side * np.degrees(np.arctan(4 / 8)))
    assert near[0] == pytest.approx(np.hypot(4, 8))
    assert far_bearing[0] == pytest.approx(side * np.degrees(np.arctan(4 / 40)))
    assert far[0] == pytest.approx(np.hypot(4, 40))


def test_a_box_without_ground_has_no_ends() -> None:
    assert all(np.isnan(v[0]) for v in CAMERA.base_ends([600, 100, 700, 200])[1::2])


def test_no_boxes_give_no_values() -> None:
    assert CAMERA.base_ends(np.empty((0, 4)))[0].shape == (0,)
    assert CAMERA.size_range_m(np.empty((0, 4)), AssetClass("x", Geometry.POINT, 1.0))[0].shape == (0,)


def feet_of_barrier(side: int, near_m: float, far_m: float) -> np.ndarray:
    """Where a barrier 4 m to the side meets the ground, in each column from left to right."""
    u_near, u_far = (500 + side * 500 * 4 / depth for depth in (near_m, far_m))
    u = np.sort(np.linspace(u_near, u_far, 60))
    return np.stack([u, 250 + np.abs(u - 500) / 4 * 2], axis=1)


@pytest.mark.parametrize("side", [-1, 1])
def test_the_base_of_a_barrier_is_found_from_its_mask(side: int) -> None:
    near_bearing, near, far_bearing, far = CAMERA.traced_ends(feet_of_barrier(side, 8, 40))
    assert near_bearing == pytest.approx(side * np.degrees(np.arctan(4 / 8)))
    assert near == pytest.approx(np.hypot(4, 8))
    assert far_bearing == pytest.approx(side * np.degrees(np.arctan(4 / 40)))
    assert far == pytest.approx(np.hypot(4, 40))


def test_what_hides_some_of_a_base_does_not_move_its_ends() -> None:
    feet = feet_of_barrier(1, 8, 40)
    feet[20:28, 1] -= 30  # a car in front of it
    feet[-2:, 1] -= 8  # the round corner of a mask
    _, near, _, far = CAMERA.traced_ends(feet)
    assert near == pytest.approx(np.hypot(4, 8), rel=0.02)
    assert far == pytest.approx(np.hypot(4, 40), rel=0.02)


def test_a_mask_that_the_image_cuts_below_begins_where_its_base_comes_in() -> None:
    feet = feet_of_barrier(1, 2, 40)  # nearer than 4 m is below the image
    feet[:, 1] = np.minimum(feet[:, 1], 500)
    near_bearing, near, _, _ = CAMERA.traced_ends(feet)
    shown = feet[feet[:, 1] < 500 - CAMERA.edge_px]
    assert near_bearing == pytest.approx(np.degrees(np.arctan((shown[-1, 0] - 500) / 500)))
    assert near == pytest.approx(4 / np.sin(np.radians(near_bearing)))


def test_a_base_that_goes_on_to_the_horizon_has_its_far_end_at_the_longest_range() -> None:
    u = np.linspace(500, 750, 60)
    assert CAMERA.traced_ends(np.stack([u, 250 + (u - 500) / 2], axis=1))[3] == 150.0


def test_a_mask_without_a_base_has_no_ends() -> None:
    in_the_air = np.stack([np.arange(600.5, 700), np.full(100, 200.0)], axis=1)
    for feet in (np.empty((0, 2)), feet_of_barrier(1, 8, 40)[:7], in_the_air):
        assert np.isnan(CAMERA.traced_ends(feet)).all()
