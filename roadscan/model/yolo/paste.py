"""Rare objects of other images, pasted: what their outlines hold, or in a dataset of boxes their boxes.

Ultralytics' own `CopyPaste` takes any object of any image, and outlines alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from ultralytics.utils.instance import Instances
from ultralytics.utils.metrics import bbox_ioa

from roadscan.dataset.records import LabelledImage

MOST_HIDDEN = 0.3  # of an object's box, by what is pasted; as in Ultralytics' CopyPaste
TOUCHED = (
    0.1  # of an object's box inside of a pasted one, from which it is pasted too, so that no half is left unlabelled
)


class PasteRare:
    """A transform of Ultralytics' kind: some images get the rare objects of one other image.

    Objects lie where they are in their own image once that is placed, so at places and sizes that a camera saw. None is
    pasted where it would hide another.

    Args:
        load: a number -> that image of the split, as transforms take it.
        images: the split.
        rare: class indices.
        place: scales and moves the other image; the result has the size of those that are pasted to.
        share: of images that are pasted to.
    """

    def __init__(
        self,
        load: Callable[[int], dict[str, Any]],
        images: Sequence[LabelledImage],
        rare: Collection[int],
        place: Callable[[dict[str, Any]], dict[str, Any]],
        share: float,
    ) -> None:
        self._load, self._rare, self._place, self._share = load, [*rare], place, share
        self._sources = [i for i, image in enumerate(images) if np.isin(image.classes, self._rare).any()]

    def __call__(self, labels: dict[str, Any]) -> dict[str, Any]:
        """Paste, or leave the image as it is; boxes are xyxy in pixels."""
        if not self._share or not self._sources or random.random() >= self._share:  # unused, it draws no number
            return labels
        other = self._place(self._load(random.choice(self._sources)))
        chosen = self._chosen(other, labels["instances"].bboxes)
        pasted = other["instances"][chosen]
        labels["img"] = cv2.copyTo(other["img"], _mask(pasted, other["img"].shape[:2]), labels["img"])
        labels["cls"] = np.concatenate([labels["cls"], other["cls"][chosen]])
        labels["instances"] = Instances.concatenate([labels["instances"], pasted])
        return labels

    def _chosen(self, other: dict[str, Any], onto_xyxy: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """Which objects of the other image to paste onto boxes (n, 4)."""
        boxes = other["instances"].bboxes
        fits = (bbox_ioa(boxes, onto_xyxy) < MOST_HIDDEN).all(1)
        chosen = fits & np.isin(other["cls"].ravel(), self._rare)
        if not len(other["instances"].segments) and chosen.any():
            chosen |= fits & (bbox_ioa(boxes[chosen], boxes) > TOUCHED).any(0)
        return np.flatnonzero(chosen)


def _mask(pasted: Instances, size_hw: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """1 where objects are to be pasted: (h, w)."""
    mask = np.zeros(size_hw, np.uint8)
    if len(pasted.segments):
        for outline in pasted.segments:
            cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1)
        return mask
    for left, top, right, bottom in pasted.bboxes.round().astype(int):
        mask[top:bottom, left:right] = 1
    return mask
