"""Two label maps of an image, the true one and the one found -> the few numbers that all scores are made of.

Shape suffixes: k classes with the background, c without it; h and w pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from roadscan.arrays import Bools, Floats
from roadscan.dataset.label_maps import VOID_VALUE, LabelMap

#: Pixels nearer than this share of the image's diagonal to the other map's boundary are on it (Csurka et al.).
TOLERANCE = 0.0075
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


@dataclass(frozen=True, slots=True)
class PixelResult:
    """One image: its true classes against those that a model found.

    Attributes:
        key: of the image.
        confusion: (k, k) pixels by true and found class; those that are void in truth are not counted.
        boundary_f1: (c,) of each class; NaN where it is neither in truth nor found.
        drive_id: confidence intervals resample drives; None makes the image a drive of its own.
        conditions: night, rain, blur and the like.
    """

    key: str
    confusion: npt.NDArray[np.int64]
    boundary_f1: Floats
    drive_id: str | None = None
    conditions: tuple[str, ...] = ()


def confusion_of(truth: LabelMap, found: LabelMap, n_classes: int) -> npt.NDArray[np.int64]:
    """Label maps (h, w) -> (k, k) pixels by true and found class."""
    k = n_classes + 1
    known = truth != VOID_VALUE
    pairs = truth[known].astype(np.int64) * k + found[known]
    return np.bincount(pairs, minlength=k * k).reshape(k, k)


def boundary_f1_of(truth: LabelMap, found: LabelMap, n_classes: int) -> Floats:
    """Label maps (h, w) -> (c,) F1 of each class's boundary, NaN where it is in neither map.

    A class's boundary are its pixels beside another class; the image's edge and void make none. Precision is the share
    of the found boundary that is near the true one, recall the share of the true one that is near the found one.

    Source: Csurka et al. 2013, What is a good evaluation measure for semantic segmentation?, BMVC, section 3.2.
    """
    found = np.where(truth == VOID_VALUE, VOID_VALUE, found)
    near_px = TOLERANCE * float(np.hypot(*truth.shape))
    scores = np.full(n_classes, np.nan)
    there = np.union1d(np.unique(truth), np.unique(found))
    for number in there[there < n_classes].tolist():
        true, ours = _boundary(truth, number), _boundary(found, number)
        if not true.any() and not ours.any():  # it fills the image, in both
            scores[number] = 1.0 if (truth == number).any() and (found == number).any() else 0.0
            continue
        precision, recall = _share_near(ours, true, near_px), _share_near(true, ours, near_px)
        scores[number] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return scores


def _boundary(classes: LabelMap, number: int) -> Bools:
    inside = classes == number
    filled = (inside | (classes == VOID_VALUE)).astype(np.uint8)
    inner = np.asarray(cv2.erode(filled, CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=1))
    boundary: Bools = inside & (inner == 0)
    return boundary


def _share_near(pixels: Bools, others: Bools, near_px: float) -> float:
    """The share of pixels that lie near one of the others; 0 where there are none of either."""
    if not pixels.any() or not others.any():
        return 0.0
    distance = cv2.distanceTransform((~others).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float((np.asarray(distance)[pixels] <= near_px).mean())
