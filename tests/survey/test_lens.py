"""Held against OpenCV's projection of points in space, which knows nothing of how pixels are straightened."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from roadscan.errors import SurveyError
from roadscan.scan.measure import measure
from roadscan.survey.camera import Camera
from roadscan.survey.lens import Lens
from roadscan.taxonomy import HIGHWAY

#: Of a dash camera, the corners of whose images lie a fifth nearer the middle than a pinhole's; of an action camera.
DASH = Lens("brown", (1000.0, 1004.0), (966.0, 531.5), (-0.29, 0.09, 0.0006, -0.0004, -0.012))
ACTION = Lens("fisheye", (900.0, 900.0), (955.0, 545.0), (0.05, -0.012, 0.004, -0.001))
LENSES = pytest.mark.parametrize("lens", [DASH, ACTION, replace(DASH, distortion=())], ids=["dash", "action", "none"])


def seen(lens: Lens, points: np.ndarray) -> np.ndarray:
    """Points (n, 3), to the right, down and ahead of the camera, in metres -> pixels whose middle is at (.5, .5)."""
    still = np.zeros(3)
    if lens.model == "fisheye":
        pixels, _ = cv2.fisheye.projectPoints(
            points.reshape(-1, 1, 3), still, still, lens.matrix, np.array(lens.distortion)
        )
    else:
        pixels, _ = cv2.projectPoints(points, still, still, lens.matrix, np.array(lens.distortion))
    return pixels.reshape(-1, 2) + 0.5


def camera(lens: Lens | None) -> Camera:
    return Camera("front", 1920, 1080, 1000.0, 2.0, lens=lens)


@LENSES
def test_bearings_are_those_of_the_points(lens: Lens) -> None:
    bearing, elevation = np.meshgrid(np.radians(np.linspace(-38, 38, 21)), np.radians(np.linspace(-18, 18, 9)))
    x, y = np.tan(bearing).ravel(), (np.tan(elevation) / np.cos(bearing)).ravel()
    u, v = seen(lens, np.stack([x, y, np.ones_like(x)], axis=1)).T
    found = camera(lens).relative_bearing_deg(u, v)
    assert found == pytest.approx(np.degrees(bearing).ravel(), abs=1e-4)
    bent = camera(None).relative_bearing_deg(u, v)
    assert (np.abs(bent - found).max() > 2) == bool(lens.distortion)  # what a pinhole would have said


@LENSES
@pytest.mark.parametrize("right_m", [-6.0, 0.3, 7.0])
def test_ranges_are_those_of_the_things(lens: Lens, right_m: float) -> None:
    """A pole 12 m ahead stands on the ground 2 m below the camera and is 2.5 m high: it ends 0.5 m above the camera."""
    corners = [[right_m - 0.1, 2.0, 12.0], [right_m + 0.1, 2.0, 12.0], [right_m, -0.5, 12.0]]
    (left, bottom), (right, _), (_, top) = seen(lens, np.array(corners))
    away_m = np.hypot(right_m, 12.0)
    of = camera(lens)
    assert of.ground_range_m((left + right) / 2, bottom)[0] == pytest.approx(away_m, rel=0.01)
    pole = replace(HIGHWAY.get("Warning Sign"), height_m=2.5)
    assert of.size_range_m([[left, top, right, bottom]], pole)[0] == pytest.approx([away_m], rel=0.02)
    measured = measure(of, [[left, top, right, bottom]], ["Warning Sign"], HIGHWAY, 10.0)
    # A pole beside the road is seen bent, so that the middle of its box is a little off its own.
    assert measured["bearing_deg"] == pytest.approx([(10 + np.degrees(np.arctan2(right_m, 12.0))) % 360], abs=0.2)


@LENSES
def test_a_barrier_is_traced_along_its_base(lens: Lens) -> None:
    """4 m to the right, from 8 m to 40 m ahead: bearings of 26.57 and 5.71 degrees, 8.94 and 40.2 m."""
    ahead = np.geomspace(40, 8, 60)
    feet = seen(lens, np.stack([np.full(60, 4.0), np.full(60, 2.0), ahead], axis=1))
    found = camera(lens).traced_ends(feet)
    expected = (np.degrees(np.arctan(4 / 8)), np.hypot(4, 8), np.degrees(np.arctan(4 / 40)), np.hypot(4, 40))
    assert found == pytest.approx(expected, rel=0.01)
    u, v = feet.T
    near, near_m, far, _ = camera(lens).base_ends([[u.min(), v.min() - 20, u.max(), v.max()]])
    assert (near[0], near_m[0], far[0]) == pytest.approx(expected[:3], rel=0.03)


def test_the_field_of_view_is_that_of_the_lens() -> None:
    """A fisheye's pixels are nearly its angles times 900; 955/900 rad are more than a pinhole's 43.8 degrees."""
    to_the_left, to_the_right = (camera(ACTION).relative_bearing_deg(column) for column in (0, 1920))
    assert -to_the_left > 55
    assert camera(ACTION).fov_deg == pytest.approx(2 * min(-to_the_left, to_the_right), abs=0.5)
    assert camera(None).fov_deg == pytest.approx(2 * np.degrees(np.arctan(0.96)))


def test_where_the_lens_says_no_ray_there_is_no_bearing() -> None:
    wide = Lens("fisheye", (300.0, 300.0), (960.0, 540.0), (0.0, 0.0, 0.0, 0.0))
    assert np.isfinite(camera(wide).relative_bearing_deg(960 + 300 * np.radians(79), 540))
    assert np.isnan(camera(wide).relative_bearing_deg(960 + 300 * np.radians(81), 540))
    # r(1 - 0.5 r²) is 0.544 at most, at r = 0.816: no ray ends further out.
    barrel = Lens("brown", (1000.0, 1000.0), (960.0, 540.0), (-0.5, 0.0, 0.0, 0.0))
    found = camera(barrel).relative_bearing_deg([960 + 500, 960 + 560], [540, 540])
    assert np.isfinite(found).tolist() == [True, False]
    measured = measure(camera(barrel), [[1500, 500, 1540, 580]], ["Warning Sign"], HIGHWAY, 10.0)
    assert np.isnan(measured["bearing_deg"]).all()
    assert np.isfinite(camera(barrel).fov_deg)
    assert camera(barrel).traced_ends(np.empty((0, 2)))[0] != 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"distortion": (0.1,)}, "brown with 1 coefficients; expected 0 or 4 or 5 or 8"),
        ({"distortion": (np.nan, 0, 0, 0)}, "expected numbers"),
        ({"distortion": (1e5, 0, 0, 0)}, "coefficients within ±100"),
        ({"focal_px": (0.0, 1000.0)}, "focal length"),
        ({"model": "fisheye", "distortion": ()}, "fisheye with 0 coefficients; expected 4"),
    ],
)
def test_a_lens_that_cannot_be(changed: dict[str, object], message: str) -> None:
    with pytest.raises(SurveyError, match=message):
        replace(DASH, **changed)
