"""Boxes, masks and truth positions against analytic projection."""

from __future__ import annotations

import numpy as np
import pytest

from roadscan.simulate.labels.policy import WINDOW_M
from roadscan.simulate.render.projection import View, clip_near
from roadscan.simulate.world.assets import POLE, realise
from roadscan.simulate.world.road import Road
from roadscan.taxonomy import HIGHWAY, Geometry

from .conftest import Stage, asset, wall

POINTS = [c.name for c in HIGHWAY.classes if c.geometry is Geometry.POINT]


@pytest.mark.slow
def test_nothing_to_see_gives_no_label(flat_road: Road) -> None:
    assert Stage(flat_road, asset("Warning Sign", 300.0)).film().labels == []


def test_camera_projects_a_known_point() -> None:
    view = View(1000, 600, 700.0, np.array([0.0, 0.0, 2.0]), np.pi / 2, 0.0)  # looks east
    pixels, depth = view.project(np.array([20.0, -4.0, 1.0]))  # 20 m ahead, 4 m right, 1 m below
    assert depth == pytest.approx(20.0)
    assert pixels == pytest.approx([500 + 700 * 4 / 20, 300 + 700 * 1 / 20])


def test_pitch_lowers_the_view_and_lifts_the_horizon() -> None:
    view = View(1000, 600, 700.0, np.zeros(3), 0.0, np.radians(5.0))
    far, _ = view.project(np.array([0.0, 1e6, 0.0]))
    assert far[1] == pytest.approx(view.horizon_px, abs=0.01)
    assert view.horizon_px == pytest.approx(300 - 700 * np.tan(np.radians(5.0)))


def test_near_plane_cuts_a_polygon_that_passes_the_camera() -> None:
    corners = np.array([[0, 0, -1.0], [0, 0, 3.0], [1, 0, 3.0], [1, 0, -1.0]])
    assert clip_near(corners)[:, 2].min() == pytest.approx(0.4)
    assert len(clip_near(corners - [0, 0, 10.0])) == 0


@pytest.mark.parametrize("name", POINTS)
def test_box_is_the_projection_of_the_labelled_faces(flat_road: Road, name: str) -> None:
    stage = Stage(flat_road, asset(name, 80.0))
    (label,) = stage.film().labels
    placed = stage.placed[0]
    faces = placed.mesh.quads[placed.mesh.part >= placed.labelled_from]
    pixels, _ = stage.view.project(faces)
    expected = np.concatenate([pixels.min(axis=(0, 1)), pixels.max(axis=(0, 1))])
    assert label.name == name
    assert label.box_xyxy == pytest.approx(expected, abs=1.0)
    assert label.visible_fraction > 0.97
    # height_m / depth * focal, to a pixel and the depth of the object itself
    assert expected[3] - expected[1] == pytest.approx(0.71 * 1920 * placed.height_m / 30.0, rel=0.12)


@pytest.mark.parametrize("name", POINTS)
def test_sizes_agree_with_the_taxonomy(flat_road: Road, name: str) -> None:
    prior = HIGHWAY.get(name)
    assert prior.height_m is not None
    heights = [Stage(flat_road, asset(name, 80.0, seed=seed)).placed[0].height_m for seed in range(25)]
    assert np.mean(heights) == pytest.approx(prior.height_m, rel=0.12)
    assert np.std(np.log(heights)) < 1.3 * prior.height_rel_sigma


@pytest.mark.parametrize("name", POINTS)
def test_truth_position_projects_into_the_columns_of_its_box(flat_road: Road, name: str) -> None:
    for seed in range(4):
        stage = Stage(flat_road, asset(name, 85.0, seed=seed))
        (label,) = stage.film().labels
        (u, v), _ = stage.view.project(stage.placed[0].position)
        x0, _, x1, y1 = label.box_xyxy
        assert x0 <= u <= x1
        if name in ("Information Sign", "Warning Sign"):
            assert u == pytest.approx((x0 + x1) / 2, abs=2.0)
            assert v > y1  # the face hangs above its ground point
        else:
            assert v <= y1 + 1.0


def test_mask_fills_a_sign_face(flat_road: Road) -> None:
    stage = Stage(flat_road, asset("Information Sign", 80.0))
    frame = stage.film()
    mask, _, _ = frame.masks[0]
    x0, y0, x1, y1 = frame.labels[0].box_xyxy
    assert mask.sum() == pytest.approx((x1 - x0) * (y1 - y0), rel=0.03)


def test_a_diamond_fills_half_of_its_box(flat_road: Road) -> None:
    frame = Stage(flat_road, asset("Warning Sign", 65.0)).film()
    x0, y0, x1, y1 = frame.labels[0].box_xyxy
    assert frame.masks[0][0].sum() == pytest.approx((x1 - x0) * (y1 - y0) / 2, rel=0.06)


def test_occlusion_reduces_the_visible_fraction_and_the_box(flat_road: Road) -> None:
    stage = Stage(flat_road, asset("Pavilion", 90.0))
    (free,) = stage.film().labels
    (half,) = stage.film(wall(flat_road, 70.0, -40.0, 0.0, 1.75)).labels
    assert free.visible_fraction == pytest.approx(1.0)
    assert 0.35 < half.visible_fraction < 0.8
    # A wall 1.75 m high seen from 1.8 m hides all up to 1.75 - 0.05 * (40 - 20) / 20 = 1.70 m at 40 m.
    hidden_to, _ = stage.view.project(flat_road.point(90.0, -17.0, 1.70))
    assert half.box_xyxy[3] == pytest.approx(hidden_to[1], abs=3.0)
    assert half.box_xyxy[1] == free.box_xyxy[1]


def test_what_is_mostly_hidden_has_no_label(flat_road: Road) -> None:
    stage = Stage(flat_road, asset("Bus Stop", 90.0))
    assert len(stage.film().labels) == 1
    assert stage.film(wall(flat_road, 70.0, -40.0, 0.0, 2.6)).labels == []


@pytest.mark.parametrize(("s", "seen"), [(52.0, False), (80.0, True), (138.0, True), (143.0, False)])
def test_points_are_labelled_within_their_window(flat_road: Road, s: float, seen: bool) -> None:
    assert bool(Stage(flat_road, asset(POLE, s)).film().labels) is seen


def test_barrier_is_labelled_to_45_m(flat_road: Road) -> None:
    run = asset("Concrete Guardrail", 55.0, d=-12.8, end_s=205.0)
    stage = Stage(flat_road, run)
    (label,) = stage.film().labels
    far = WINDOW_M[Geometry.LINE][1]
    # The last labelled panel of 3 m has its middle within 45 m, so its far end lies at 43.5 to 46.5 m.
    ends = [stage.view.project(flat_road.point(50.0 + far + shift, -12.5, 0.0))[0][0] for shift in (-1.5, 1.5)]
    assert ends[0] - 3 <= label.box_xyxy[2] <= ends[1] + 3
    assert label.box_xyxy[0] == pytest.approx(0.0, abs=0.01)


def test_bridge_spans_the_road(flat_road: Road) -> None:
    stage = Stage(flat_road, asset("Pedestrian Bridge", 110.0, side="overhead"))
    (label,) = stage.film().labels
    (u, _), _ = stage.view.project(stage.placed[0].position)
    assert label.box_xyxy[0] < u < label.box_xyxy[2]
    assert 6.5 < stage.placed[0].height_m < 9.5


@pytest.mark.parametrize("size", [(320, 180), (1280, 720), (1500, 1500), (3840, 2160)])
def test_any_image_size(flat_road: Road, size: tuple[int, int]) -> None:
    stage = Stage(flat_road, asset(POLE, 85.0))
    frame = stage.film(view=stage.view_of(*size))
    assert frame.image.shape == (size[1], size[0], 3)
    scale = size[0] / 1920
    (label,) = frame.labels
    (reference,) = stage.film(view=stage.view_of(1920, 1080 * size[1] * 1920 // (size[0] * 1080))).labels
    assert label.box_xyxy == pytest.approx(np.array(reference.box_xyxy) * scale, abs=2.0)


def test_damage_changes_the_look_but_not_the_class(flat_road: Road) -> None:
    whole = Stage(flat_road, asset("Warning Sign", 70.0))
    broken = Stage(flat_road, asset("Warning Sign", 70.0, damaged_night=1))
    assert [label.name for label in broken.film().labels] == ["Warning Sign"]
    assert np.abs(whole.film().image.astype(int) - broken.film().image).max() > 60


def test_looks_differ_between_assets_and_not_between_runs(flat_road: Road) -> None:
    from roadscan.simulate.world.asset_meshes import TextureTable

    one, again, other = (
        realise(asset("Pavilion", 80.0, seed=seed), flat_road, TextureTable(), 1).mesh for seed in (1, 1, 2)
    )
    assert np.array_equal(one.quads, again.quads)
    assert one.quads.shape != other.quads.shape or not np.allclose(one.quads, other.quads)


def test_traffic_is_the_share_of_the_picture_that_vehicles_were_painted_on(flat_road: Road) -> None:
    stage = Stage(flat_road, asset("Warning Sign", 300.0))
    # 20 m ahead of the camera, 1.8 m over a road that it looks down on by 0.02: 6 by 1.5 m, all in view.
    truck = wall(flat_road, 70.0, -7.5, -1.5, 1.5)
    focal = 0.71 * 1920 / 20.0
    expected = 6.0 * focal * 1.5 * focal / (1920 * 1080)
    assert stage.film().drawn["traffic"] == 0.0
    assert stage.film(truck).drawn["traffic"] == pytest.approx(expected, rel=0.02)
