"""Masks on the grid of a network's mask prototypes, a quarter of its input, where they are cheap to compare.

A mask of eight megapixels costs milliseconds to draw and encode, and says nothing that the network did not say on its
own grid of some 160 cells. Ultralytics' validator compares masks there too; so does this, with the same rules, but that
a true mask keeps the cells where another object overlaps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from roadscan.dataset.records import Outline
from roadscan.model.decode import Letterbox

CELL_PX = 4  # input pixels a cell, along each side

Rle = dict[str, Any]


def grid_hw(letterbox: Letterbox) -> tuple[int, int]:
    """Height and width of the grid."""
    height, width = letterbox.input_hw
    return height // CELL_PX, width // CELL_PX


def draw_outlines(objects: Sequence[Sequence[Outline]], letterbox: Letterbox) -> tuple[Rle, ...]:
    """One mask an object, the union of its polygons, as training draws them: on the input, then scaled to the grid.

    An object too thin for the grid has an empty mask, which no detection can match.

    Args:
        objects: polygons (k, 2) in pixels of the original image.
        letterbox: how the image lies in the input.
    """
    offset, scale = np.array([letterbox.left, letterbox.top]), np.array(letterbox.scale)
    masks = []
    for parts in objects:
        drawn = np.zeros(letterbox.input_hw, np.uint8)
        for part in parts:
            cv2.fillPoly(drawn, [(part * scale + offset).astype(np.int32)], 1)
        masks.append(cv2.resize(drawn, grid_hw(letterbox)[::-1], interpolation=cv2.INTER_LINEAR))
    return _encode(np.array(masks, np.uint8).reshape(-1, *grid_hw(letterbox)))


def crop_logits(logits: npt.NDArray[np.float32], boxes_xyxy: npt.NDArray[np.float32]) -> tuple[Rle, ...]:
    """One mask a detection: the cells with a positive logit whose upper left corner is in the box.

    Args:
        logits: (n, h/4, w/4).
        boxes_xyxy: (n, 4), input pixels.
    """
    x1, y1, x2, y2 = (boxes_xyxy.T / CELL_PX)[:, :, None]
    rows, columns = np.arange(logits.shape[1])[None], np.arange(logits.shape[2])[None]
    in_rows, in_columns = (y1 <= rows) & (rows < y2), (x1 <= columns) & (columns < x2)
    return _encode((logits > 0) & in_rows[:, :, None] & in_columns[:, None])


def _encode(masks: npt.NDArray[Any]) -> tuple[Rle, ...]:
    """(n, h, w) to COCO compressed RLE."""
    return tuple(coco.encode(np.asfortranarray(masks.transpose(1, 2, 0), dtype=np.uint8)))
