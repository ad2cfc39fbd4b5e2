"""Agreement of backends: whether one finds on a model's calibration images what PyTorch finds in float32.

Both look with a confidence that is lower by `SCORE_TOLERANCE`. Then every detection at the model's confidence or above,
of either, must have a partner in the other: same class, overlap of at least `LOWEST_IOU`, scores at most
`SCORE_TOLERANCE` apart; one in 50 may be without, as where suppression decides between two boxes of nearly the same
score. A detection near the threshold that only one reports is no disagreement: its partner lies just below. The median
overlap must be `TYPICAL_IOU`, so that boxes that are all off by a pixel do not pass.

What was seen, on the demo model's calibration images: in float32 OpenVINO and ONNX Runtime agree to IoU 0.9999 and
0.00001 of the score; in bfloat16 a side of a box may jump by 3 px where its distribution has two peaks, so single boxes
have 0.90 (OpenVINO) and 0.91 (PyTorch itself), scores differ by up to 0.036.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from roadscan.model.inference import Detections

LOWEST_IOU = 0.8
TYPICAL_IOU = 0.97
SCORE_TOLERANCE = 0.05
ALONE_SHARE = 0.02
CELL_PX = 4  # of a mask
UNCALIBRATED = "the model has no calibration images; add them with 'roadscan model calibrate'"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """How two detectors compare.

    Attributes:
        images: looked at.
        detections: of the reference, at the confidence or above.
        alone: detections of either without a partner in the other.
        lowest_iou, typical_iou: least and median of the pairs; 1 where there are none.
        score_difference: largest of the pairs.
        box_difference_px: largest of the pairs, of any side of a box, in pixels of the network's input.
        lowest_mask_iou: least of the pairs' masks, inside of their boxes; 1 where there are none.
    """

    images: int
    detections: int
    alone: int
    lowest_iou: float
    typical_iou: float
    score_difference: float
    box_difference_px: float
    lowest_mask_iou: float = 1.0

    @property
    def objection(self) -> str | None:
        """Why the backend must not be used; None where it may."""
        if self.images == 0:
            return UNCALIBRATED
        if self.detections == 0:
            return f"nothing to compare: the model finds nothing on its {self.images} calibration images"
        if self.alone > ALONE_SHARE * self.detections or self.typical_iou < TYPICAL_IOU:
            return f"it does not agree with torch float32 on the calibration images: {self.figures}"
        return None

    @property
    def figures(self) -> str:
        """The agreement in words."""
        return (
            f"{self.alone} of {self.detections} detections in {self.images} images have no partner of IoU "
            f"{LOWEST_IOU:g} and a score within {SCORE_TOLERANCE:g}; pairs have IoU {self.lowest_iou:.3f} or more, "
            f"median {self.typical_iou:.3f}, scores {self.score_difference:.4f} apart or less, boxes "
            f"{self.box_difference_px:.2f} px, masks IoU {self.lowest_mask_iou:.3f} or more"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self)


def compare(reference: Sequence[Detections], other: Sequence[Detections], confidence: float) -> Agreement:
    """Two detectors' results on the same images -> how they agree.

    Args:
        reference: of PyTorch, an item an image, found with a confidence lower by `SCORE_TOLERANCE`.
        other: likewise of the backend.
        confidence: from which on a detection needs a partner.

    >>> box = Detections(np.array([[0, 0, 10, 10]], np.float32), np.array([0.5], np.float32), ("sign",))
    >>> nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), ())
    >>> compare([box], [box], 0.25).alone, compare([box], [nothing], 0.25).alone
    (0, 1)
    """
    alone, ious, scores, sides, masks = 0, list[float](), [0.0], [0.0], [1.0]
    for ours, theirs in zip(reference, other, strict=True):
        pairs, overlaps = _pairs(ours, theirs)
        alone += _alone(ours, pairs[:, 0], confidence) + _alone(theirs, pairs[:, 1], confidence)
        ious += [float(overlaps[i, j]) for i, j in pairs]
        scores += np.abs(ours.scores[pairs[:, 0]] - theirs.scores[pairs[:, 1]]).tolist()
        sides += np.abs(ours.boxes_xyxy[pairs[:, 0]] - theirs.boxes_xyxy[pairs[:, 1]]).ravel().tolist()
        masks += [_mask_iou(ours, i, theirs, j) for i, j in pairs]
    return Agreement(
        images=len(reference),
        detections=sum(int((found.scores >= confidence).sum()) for found in reference),
        alone=alone,
        lowest_iou=min(ious, default=1.0),
        typical_iou=median(ious) if ious else 1.0,
        score_difference=max(scores),
        box_difference_px=max(sides),
        lowest_mask_iou=min(masks),
    )


def _pairs(ours: Detections, theirs: Detections) -> tuple[npt.NDArray[np.intp], Floats]:
    """Partners (n, 2), those that overlap most first; and all overlaps."""
    overlaps = _iou(ours.boxes_xyxy, theirs.boxes_xyxy)
    close = np.abs(ours.scores[:, None] - theirs.scores[None]) <= SCORE_TOLERANCE
    alike = np.array(ours.classes, object)[:, None] == np.array(theirs.classes, object)[None]
    overlaps = np.where(close & alike, overlaps, 0.0)
    candidates = np.argwhere(overlaps >= LOWEST_IOU)
    pairs: list[tuple[int, int]] = []
    for i, j in candidates[np.argsort(-overlaps[tuple(candidates.T)], kind="stable")].tolist():
        if all(i != taken and j != partner for taken, partner in pairs):
            pairs.append((i, j))
    return np.array(pairs, np.intp).reshape(-1, 2), overlaps


def _mask_iou(ours: Detections, i: int, theirs: Detections, j: int) -> float:
    """Overlap of two detections' masks, inside of the first one's box; 1 of detections without."""
    if ours.masks is None or theirs.masks is None:
        return 1.0
    left, top, right, bottom = (ours.boxes_xyxy[i] / CELL_PX).round().clip(0).astype(int)
    a, b = (mask[top:bottom, left:right] > 0 for mask in (ours.masks[i], theirs.masks[j]))
    return float((a & b).sum() / union) if (union := (a | b).sum()) else 1.0


def _alone(found: Detections, paired: npt.NDArray[np.intp], confidence: float) -> int:
    lonely = found.scores >= confidence
    lonely[paired] = False
    return int(lonely.sum())


def _iou(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> Floats:
    """Overlaps (n, m) of xyxy boxes."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clip(0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (a, b)]
    iou: Floats = (shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)).astype(np.float64)
    return iou
