"""The class of every pixel -> objects: each connected component of a class is one, as a scan's observations want it.

A semantic model does not tell objects of one class apart: two signs whose pixels touch are one object. What it is good
for are things that run along the road, such as guardrails, and what stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from roadscan.model.decode import Letterbox
from roadscan.model.image_detections import NOTHING, ImageDetections
from roadscan.model.image_input import ImageInput
from roadscan.model.masks import encode_part
from roadscan.model.nms import MAX_DETECTIONS
from roadscan.model.segmenter import ClassMap, Segmenter, segment_images

#: Pixels of the network's input that an object has at least: a cell of the finest map that the semantic head sees.
LEAST_PIXELS = 16


def find_components(
    segmenter: Segmenter, images: Sequence[ImageInput], lowest: Sequence[float], *, batch: int
) -> Iterator[ImageDetections]:
    """Images -> the objects in each, in their order.

    Args:
        segmenter: the model.
        images: of one size in the network; without slices.
        lowest: score kept, of each class.
        batch: images a forward pass.
    """
    for image, found in zip(images, segment_images(segmenter, images, batch=batch), strict=True):
        yield components(found, segmenter.classes, lowest, image.letterbox)


def components(found: ClassMap, names: Sequence[str], lowest: Sequence[float], letterbox: Letterbox) -> ImageDetections:
    """The class of every pixel of an image -> its objects, highest score first.

    Pixels that touch at a corner belong together.

    Args:
        found: in the image's own pixels.
        names: of the classes.
        lowest: score kept, of each class. An object's score is the mean probability of its class in its pixels.
        letterbox: how the image lies in the network's input, by whose pixels it is told what is too small.
    """
    scale_x, scale_y = letterbox.scale
    least = LEAST_PIXELS / (scale_x * scale_y)
    rows: list[tuple[float, int, tuple[int, int, int, int], str]] = []
    for number in range(len(names)):
        inside = found.classes == number
        if not inside.any():
            continue
        count, labels, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
        total = np.bincount(labels.ravel(), weights=found.scores.ravel(), minlength=count)
        for part in range(1, count):
            left, top, width, height, pixels = (int(value) for value in stats[part])
            score = float(total[part] / pixels)
            if pixels >= least and score >= lowest[number]:
                mask = labels[top : top + height, left : left + width] == part
                rle = encode_part(mask, (left, top), letterbox.image_hw)
                rows.append((score, number, (left, top, left + width, top + height), rle))
    if not rows:
        return ImageDetections(NOTHING.boxes_xyxy, NOTHING.scores, (), ())
    rows.sort(key=lambda row: (-row[0], row[1:3]))
    scores, numbers, boxes, masks = zip(*rows[:MAX_DETECTIONS], strict=True)
    return ImageDetections(
        np.array(boxes, np.float32), np.array(scores, np.float32), tuple(names[n] for n in numbers), masks
    )
