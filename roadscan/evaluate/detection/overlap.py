"""How much objects overlap, and how large they are, by the arithmetic of the COCO evaluation.

Boxes are taken as left, top, width, height in float64, as COCO's files have them, so that overlaps agree with
pycocotools to the last bit and an overlap that lies on a threshold falls on the same side.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from roadscan.arrays import Floats
from roadscan.evaluate.detection.results import Objects

Kind: TypeAlias = Literal["box", "mask"]

AREAS_AT_ONCE = 255  # pycocotools 2.0 puts the number of masks into a uint8, which NumPy 2 refuses to overflow


def overlaps(found: Objects, truth: Objects, kind: Kind) -> Floats:
    """Intersection over union of every object found with every true one, whatever their classes.

    Returns:
        (n found, n truth), 0..1.
    """
    if len(found.classes) == 0 or len(truth.classes) == 0:
        return np.zeros((len(found.classes), len(truth.classes)))
    if kind == "mask":
        assert found.masks is not None
        assert truth.masks is not None
        iou = coco.iou(list(found.masks), list(truth.masks), [0] * len(truth.masks))
        return np.asarray(iou, np.float64)
    return box_iou(found.boxes_xyxy, truth.boxes_xyxy)


def areas(objects: Objects, kind: Kind) -> Floats:
    """(n,) square pixels: of the box, or of the mask."""
    if kind == "mask":
        masks = list(objects.masks or ())
        parts = [masks[start : start + AREAS_AT_ONCE] for start in range(0, len(masks), AREAS_AT_ONCE)]
        return np.array([area for part in parts for area in coco.area(part)], np.float64)
    sides = _xywh(objects.boxes_xyxy)[:, 2:]
    return np.asarray(sides[:, 0] * sides[:, 1])


def box_iou(first_xyxy: npt.NDArray[np.float32], second_xyxy: npt.NDArray[np.float32]) -> Floats:
    """Intersection over union of two sets of boxes; 0 for a box without area.

    Args:
        first_xyxy: (n, 4) pixels.
        second_xyxy: (m, 4) pixels.

    Returns:
        (n, m), 0..1.

    >>> box_iou(np.float32([[0, 0, 2, 2]]), np.float32([[1, 0, 3, 2], [5, 5, 6, 6]]))
    array([[0.33333333, 0.        ]])
    """
    first, second = _xywh(first_xyxy)[:, None], _xywh(second_xyxy)[None]
    start = np.maximum(first[..., :2], second[..., :2])
    sides = np.minimum(first[..., :2] + first[..., 2:], second[..., :2] + second[..., 2:]) - start
    both = np.where((sides > 0).all(axis=2), sides[..., 0] * sides[..., 1], 0.0)
    either = first[..., 2] * first[..., 3] + second[..., 2] * second[..., 3] - both
    return np.divide(both, either, out=np.zeros_like(both), where=both > 0)


def _xywh(boxes_xyxy: npt.NDArray[np.float32]) -> Floats:
    boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
