"""Objects from the classes of pixels, held against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from roadscan.model.components import LEAST_PIXELS, components
from roadscan.model.decode import plan_letterbox
from roadscan.model.image_detections import ImageDetections
from roadscan.model.segmenter import ClassMap, in_image, in_input

H, W = 60, 80
SAME_SIZE = plan_letterbox((H, W), 96, 32)  # in the input an image pixel is 1.2 pixels wide


def found_in(
    classes: np.ndarray, scores: np.ndarray | None = None, lowest: tuple[float, ...] = (0.1, 0.1)
) -> ImageDetections:
    probabilities = np.full(classes.shape, 0.8, np.float32) if scores is None else scores
    return components(ClassMap(classes.astype(np.uint8), probabilities), ("rail", "sign"), lowest, SAME_SIZE)


def background() -> np.ndarray:
    return np.full((H, W), 2)


def drawn(found: ImageDetections, row: int) -> np.ndarray:
    assert found.masks_rle is not None
    mask: np.ndarray = coco.decode({"size": [H, W], "counts": found.masks_rle[row].encode()})
    return mask.astype(bool)


def test_each_component_of_a_class_is_an_object_with_its_pixels() -> None:
    classes, scores = background(), np.full((H, W), 0.9, np.float32)
    classes[10:20, 5:25], scores[10:20, 5:25] = 0, 0.6
    classes[20:30, 25:45], scores[20:30, 25:45] = 0, 0.8  # touches the first at a corner
    classes[40:50, 0:10], scores[40:50, 0:10] = 0, 0.5
    classes[40:50, 60:80], scores[40:50, 60:80] = 1, 0.95
    found = found_in(classes, scores)
    assert found.classes == ("sign", "rail", "rail")
    assert found.scores == pytest.approx([0.95, 0.7, 0.5])
    assert found.boxes_xyxy.tolist() == [[60, 40, 80, 50], [5, 10, 45, 30], [0, 40, 10, 50]]
    assert (drawn(found, 0) == (classes == 1)).all()
    assert (drawn(found, 1) | drawn(found, 2) == (classes == 0)).all()
    assert drawn(found, 2).sum() == 100


def test_a_hole_is_no_part_of_the_mask() -> None:
    classes = background()
    classes[10:30, 10:30] = 1
    classes[15:20, 15:20] = 0
    found = found_in(classes)
    assert (drawn(found, found.classes.index("sign")) == (classes == 1)).all()


def test_what_is_unsure_or_smaller_than_the_network_can_tell_is_left_out() -> None:
    classes = background()
    classes[0:3, 0:3] = 0  # 9 pixels, of the input 9 * 1.2²= 13
    classes[10:14, 0:3] = 0  # 12 of the image, 17 of the input
    assert LEAST_PIXELS == 16
    assert found_in(classes).boxes_xyxy.tolist() == [[0, 10, 3, 14]]
    nothing = found_in(classes, lowest=(0.9, 0.1))
    assert (len(nothing.scores), nothing.classes, nothing.masks_rle) == (0, (), ())
    assert nothing.boxes_xyxy.shape == (0, 4)


def test_probabilities_are_interpolated_to_the_images_own_pixels() -> None:
    letterbox = plan_letterbox((100, 200), 64, 32)
    assert (letterbox.inner_hw, letterbox.input_hw) == ((32, 64), (32, 64))
    ramp = np.broadcast_to(np.linspace(0, 1, 64, dtype=np.float32), (32, 64))
    both = np.stack([1 - ramp, ramp])
    shown = in_image(both, letterbox)
    assert shown.classes.shape == (100, 200)
    assert (shown.classes[:, :100] == 0).all()
    assert (shown.classes[:, 100:] == 1).all()
    assert shown.scores.min() == pytest.approx(0.5, abs=0.01)
    assert in_input(both, letterbox).classes.tolist() == [[0] * 32 + [1] * 32] * 32


def test_what_pads_the_input_is_cut_off() -> None:
    letterbox = plan_letterbox((80, 200), 64, 32)
    assert (letterbox.inner_hw, letterbox.top) == ((26, 64), 3)
    planes = np.zeros((2, 32, 64), np.float32)
    planes[0, 3:29], planes[1] = 1, 0.5
    assert (in_input(planes, letterbox).classes == 0).all()
    assert (in_image(planes, letterbox).classes == 0).all()
