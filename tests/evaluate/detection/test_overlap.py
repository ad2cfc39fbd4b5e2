from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco
from support.scenes import Recipe, make_scenes, objects

from roadscan.evaluate.detection.overlap import areas, box_iou, overlaps

corners = st.integers(0, 40).map(lambda n: np.float32(n / 3))
boxes = st.integers(1, 6).flatmap(lambda n: arrays(np.float32, (n, 2, 2), elements=corners)).map(
    lambda pairs: np.sort(pairs, axis=1).reshape(-1, 4)
)  # fmt: skip


@given(boxes, boxes)
def test_boxes_overlap_as_in_pycocotools_to_the_last_bit(first, second):
    def xywh(boxes):
        boxes = boxes.astype(np.float64)
        return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)

    expected = coco.iou(xywh(first), xywh(second), [0] * len(second))
    np.testing.assert_array_equal(box_iou(first, second), expected)


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_nothing_overlaps_nothing(kind):
    none, one = objects(masks=()), objects([[0, 0, 2, 2]], [0], masks=(coco.encode(np.ones((2, 2), np.uint8, "F")),))
    assert overlaps(none, none, kind).shape == (0, 0)
    assert overlaps(none, one, kind).shape == (0, 1)
    assert overlaps(one, none, kind).shape == (1, 0)
    assert areas(none, kind).shape == (0,)
    assert areas(one, kind).tolist() == [4.0]


def test_masks_overlap_by_their_pixels():
    result = make_scenes(3, Recipe(images=1, masks=True))[0]
    truth, found = (
        np.stack([coco.decode(mask) for mask in part.masks], axis=2).astype(bool)
        for part in (result.truth, result.found)
    )
    both = np.einsum("yxf,yxt->ft", found.astype(int), truth.astype(int))
    either = found.sum((0, 1))[:, None] + truth.sum((0, 1)) - both
    assert (both > 0).any()
    np.testing.assert_allclose(overlaps(result.found, result.truth, "mask"), both / np.maximum(either, 1), atol=1e-12)


def test_more_masks_than_a_byte_counts_have_areas():
    mask = {"size": [4, 4], "counts": coco.encode(np.eye(4, dtype=np.uint8, order="F"))["counts"]}
    many = objects([[0, 0, 4, 4]] * 600, [0] * 600, masks=[mask] * 600)
    assert areas(many, "mask").tolist() == [4.0] * 600
