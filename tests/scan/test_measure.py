from __future__ import annotations

import numpy as np
import pytest

from roadscan.scan.measure import COLUMNS, measure
from roadscan.survey.camera import Camera
from roadscan.taxonomy import AssetClass, Geometry, Taxonomy

CAMERA = Camera("c", 1000, 500, 500.0, 2.0)
TAXONOMY = Taxonomy(
    (
        AssetClass("Post", height_m=4.0, height_rel_sigma=0.5, grounded=True),
        AssetClass("Face", height_m=1.0, height_rel_sigma=0.1),
        AssetClass("Rail", geometry=Geometry.LINE, grounded=True),
    )
)


def test_each_class_is_measured_as_its_kind_allows() -> None:
    boxes = [[490, 200, 510, 300], [990, 100, 1000, 150], [550, 270, 750, 375], [0, 0, 20, 20]]
    got = measure(CAMERA, boxes, ["Post", "Face", "Rail", "Unknown"], TAXONOMY, heading_deg=350.0)
    assert got["range_source"] == ["ground", "size", None, None]
    assert got["range_m"][0] == pytest.approx(20.0)  # type: ignore[comparison-overlap] # 2/(50/500)
    assert got["range_m"][1] == pytest.approx(10 / np.cos(np.arctan(495 / 500)))  # 500·1/50, slanted
    assert got["bearing_deg"][0] == pytest.approx(350.0)
    assert got["bearing_deg"][1] == pytest.approx((350 + np.degrees(np.arctan(495 / 500))) % 360)
    assert np.isnan(got["range_m"][2])
    assert got["near_range_m"][2] == pytest.approx(np.hypot(4, 8))
    assert np.isfinite(got["bearing_deg"][3])
    assert np.isnan(got["range_m"][3])


def test_a_foot_below_the_image_is_no_ground_point() -> None:
    got = measure(CAMERA, [[490, 300, 510, 500]], ["Post"], TAXONOMY, 0.0)
    assert got["range_source"] == [None]  # the box is cut, so neither its foot nor its height is known


def test_an_unknown_heading_gives_ranges_without_bearings() -> None:
    got = measure(CAMERA, [[490, 200, 510, 300]], ["Post"], TAXONOMY, float("nan"))
    assert np.isnan(got["bearing_deg"][0])
    assert got["range_m"][0] == pytest.approx(20.0)


def test_no_boxes_give_empty_columns() -> None:
    got = measure(CAMERA, np.empty((0, 4)), [], TAXONOMY, 0.0)
    assert set(got) == {*COLUMNS, "range_source"}
    assert all(len(column) == 0 for column in got.values())


def test_a_line_has_the_ends_of_its_mask_where_that_meets_the_ground() -> None:
    boxes = [[550, 270, 900, 375]] * 3
    columns = np.linspace(550, 750, 50)
    on_ground = np.stack([columns, 250 + (columns - 500) / 2], axis=1)  # 4 m to the side, from 8 m on
    in_the_air = np.stack([columns, np.full(50, 200.0)], axis=1)
    got = measure(CAMERA, boxes, ["Rail", "Rail", "Post"], TAXONOMY, 0.0, {0: on_ground, 1: in_the_air, 2: on_ground})
    plain = measure(CAMERA, boxes, ["Rail", "Rail", "Post"], TAXONOMY, 0.0)
    assert got["near_range_m"][0] == pytest.approx(np.hypot(4, 8))  # type: ignore[comparison-overlap]
    assert got["far_range_m"][0] == pytest.approx(np.hypot(4, 40))  # type: ignore[comparison-overlap]
    assert plain["near_range_m"][0] == pytest.approx(8 / np.cos(np.arctan(400 / 500)))  # type: ignore[comparison-overlap]
    for name in COLUMNS:
        assert np.array_equal(got[name][1:], plain[name][1:], equal_nan=True)
