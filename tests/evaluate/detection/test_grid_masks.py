"""Masks on the prototypes' grid, against Ultralytics' validator."""

from __future__ import annotations

import numpy as np
import torch
from pycocotools import mask as coco

from roadscan.evaluate.detection.grid_masks import crop_logits, draw_outlines, grid_hw
from roadscan.model import yolo  # noqa: F401 - prepares the environment for the imports of ultralytics
from roadscan.model.decode import plan_letterbox

LETTERBOX = plan_letterbox((500, 1000), 640, 32)  # 640x320, nothing around it
PADDED = plan_letterbox((510, 1000), 640, 32)  # 326 rows in 352: 13 above and below


def test_detections_have_the_masks_of_ultralytics() -> None:
    from ultralytics.utils.ops import process_mask

    rng = np.random.default_rng(0)
    prototypes, coefficients = rng.normal(size=(32, 80, 160)), rng.normal(size=(70, 32))
    corners = rng.uniform(-20, 1, (70, 2)) + rng.uniform(0, (640, 320), (70, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.5, 200, (70, 2))], 1).astype(np.float32)
    prototypes, coefficients = prototypes.astype(np.float32), coefficients.astype(np.float32)
    theirs = process_mask(*map(torch.from_numpy, (prototypes, coefficients, boxes)), (320, 640))
    ours = crop_logits(np.einsum("nc,chw->nhw", coefficients, prototypes), boxes)
    assert len(ours) == 70
    assert (decoded(ours) != theirs.numpy()).mean() < 1e-5  # a logit of 0 up to rounding
    assert theirs.sum() > 1000


def test_the_truth_is_what_ultralytics_trains_on() -> None:
    from ultralytics.data.utils import polygon2mask

    outline = np.array([[103, 51], [411, 77], [380, 402], [90, 300]], np.float32)
    (mask,) = draw_outlines([(outline,)], LETTERBOX)
    scaled = outline * 0.64
    expected = polygon2mask((320, 640), [scaled.ravel()], color=1, downsample_ratio=4)
    assert np.array_equal(coco.decode(mask), expected)
    # By shoelace 81,388 square pixels of the original, a cell of which is 6.25 x 6.25 of them.
    x, y = outline.T.astype(float)
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2 / 6.25**2
    assert abs(expected.sum() - area) < 0.03 * area


def test_an_object_of_two_parts_is_both() -> None:
    parts = [np.array([[x, 10], [x + 100, 10], [x + 100, 110], [x, 110]], np.float32) for x in (0, 500)]
    (both,) = draw_outlines([parts], LETTERBOX)
    one, other = draw_outlines([parts[:1], parts[1:]], LETTERBOX)
    assert coco.area(both) == coco.area(one) + coco.area(other) > 400
    (overlapping,) = draw_outlines([[parts[0], parts[0]]], LETTERBOX)
    assert coco.area(overlapping) == coco.area(one)


def test_padding_moves_the_truth() -> None:
    whole = np.array([[0, 0], [1000, 0], [1000, 510], [0, 510]], np.float32)
    (mask,) = draw_outlines([(whole,)], PADDED)
    assert mask["size"] == list(grid_hw(PADDED)) == [88, 160]
    rows = np.flatnonzero(coco.decode(mask).any(1))
    assert (rows.min(), rows.max()) == (3, 84)  # 13 / 4 rounded, (13 + 326) / 4 likewise


def test_nothing_has_no_masks() -> None:
    assert draw_outlines([], LETTERBOX) == ()
    assert crop_logits(np.zeros((0, 80, 160), np.float32), np.zeros((0, 4), np.float32)) == ()


def decoded(masks: tuple[dict, ...]) -> np.ndarray:
    return coco.decode(list(masks)).transpose(2, 0, 1)
