"""Average precision as COCO defines it, for many weightings of the images at once.

The average precision of a class at an overlap threshold is the mean, over the recalls 0, 0.01 … 1, of the best
precision reached at that recall or a higher one, 0 where no recall as high is reached.

Only detections that are right matter as points of the curve: after a wrong one precision is lower and recall the same.
So the curve has as many points as detections that are right, and a weighting of the images (how often each counts)
costs two cumulative sums.

Source: https://cocodataset.org/#detection-eval; `COCOeval.accumulate` of pycocotools. Ultralytics integrates the same
curve by trapezoids between points that are interpolated, which gave 0.1 to 0.2 points of mAP50 more in simulations.

Letters in shapes: b weightings, c classes, n detections, t overlap thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats, Ints
from roadscan.evaluate.detection.matching import IOU_THRESHOLDS, MAX_DETECTIONS, Matches

#: The recalls of the 101-point interpolation, made as COCO makes them.
RECALLS: Floats = np.linspace(0.0, 1.0, 101)

_TINY = np.spacing(1.0)  # COCO's guard against 0 / 0


def average_precision(
    matches: Matches,
    *,
    weights: npt.NDArray[np.integer] | None = None,
    among: str = "all",
    max_detections: int = MAX_DETECTIONS,
    thresholds: int = len(IOU_THRESHOLDS),
) -> Floats:
    """Average precision of every class at every threshold.

    Args:
        matches: detections and truth.
        weights: (b, images) how often each image counts, whole numbers; None: each once. The value is that of a data
            set in which the images are repeated so often; exactly, unless an image has detections of one class and of
            equal scores, whose copies would come in turn.
        among: the objects that count, one of `Matches.ranges`.
        max_detections: how many of an image and class count, the most confident.
        thresholds: how many of `IOU_THRESHOLDS`, from .5 up.

    Returns:
        (b, c, t) in 0..1, or (c, t) without weights; NaN where the class has no truth (COCO says -1).
    """
    w = np.ones((1, len(matches.keys)), np.int64) if weights is None else weights
    precision = np.full((len(w), len(matches.names), thresholds), np.nan)
    known = truths(matches, w, among)
    for index in np.flatnonzero(known.any(axis=0)):
        n_truths = known[:, index]
        present = n_truths > 0
        curves = _curves(matches, w[present], int(index), among, max_detections, thresholds)
        for threshold, (tp, total) in enumerate(curves):
            precision[present, index, threshold] = _area_under(tp, total, n_truths[present])
    return precision[0] if weights is None else precision


def precision_at_recall(matches: Matches, *, max_detections: int = MAX_DETECTIONS) -> Floats:
    """(c, 101): best precision at each of `RECALLS` or a higher recall, at overlap .5; NaN without truth."""
    once = np.ones((1, len(matches.keys)), np.int64)
    precision = np.full((len(matches.names), len(RECALLS)), np.nan)
    for index, n_truths in enumerate(truths(matches, once)[0]):
        if n_truths:
            tp, total = next(_curves(matches, once, index, "all", max_detections, 1))
            envelope, covered = _envelope(tp, total, np.array([n_truths]))
            values = np.repeat(envelope[0], np.diff(covered[0], prepend=0))
            precision[index] = np.pad(values, (0, len(RECALLS) - len(values)))
    return precision


def truths(matches: Matches, weights: npt.NDArray[np.integer], among: str = "all") -> Ints:
    """(b, c): number of true objects that count, under each weighting."""
    counts = matches.truths[:, :, matches.ranges.index(among)]
    # In float64, whose products run in the BLAS and are exact up to 2^53.
    return np.rint(weights.astype(np.float64) @ counts.astype(np.float64)).astype(np.int64)


def mean_over_classes(values: Floats, axis: int = -1) -> Floats:
    """Mean of what is not NaN; NaN where all is, without a warning."""
    known = ~np.isnan(values)
    number = known.sum(axis=axis)
    total = np.where(known, values, 0.0).sum(axis=axis)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def _curves(
    matches: Matches, weights: npt.NDArray[np.integer], index: int, among: str, max_detections: int, thresholds: int
) -> Iterator[tuple[Ints, Ints]]:
    """For each threshold: right detections, and all that count, up to each one that is right; both (b, right ones)."""
    where = matches.of_class(index)
    counted = matches.ranks[where] < max_detections
    row = matches.ranges.index(among)
    right, ignored = matches.right[row, where][counted], matches.ignored[row, where][counted]
    ever_right = np.flatnonzero(right)
    end = int(ever_right[-1]) + 1 if len(ever_right) else 0  # what comes after the last right one is no point
    w = weights[:, matches.images[where][counted][:end]]
    total = None if ignored[:end].any() else np.cumsum(w, axis=1)
    for threshold in range(thresholds):
        at = np.flatnonzero(right[:end] >> threshold & 1)
        if total is not None:
            up_to = total[:, at]
        else:
            up_to = np.cumsum(np.where(ignored[:end] >> threshold & 1, 0, w), axis=1)[:, at]
        yield np.cumsum(w[:, at], axis=1), up_to


def _area_under(tp: Ints, total: Ints, n_truths: Ints) -> Floats:
    """(b,): the mean of the envelope over `RECALLS`."""
    envelope, covered = _envelope(tp, total, n_truths)
    reached: Floats = (envelope * np.diff(covered, axis=1, prepend=0)).sum(axis=1)
    return reached / len(RECALLS)


def _envelope(tp: Ints, total: Ints, n_truths: Ints) -> tuple[Floats, Ints]:
    """At each right detection: the best precision from there on, and how many of `RECALLS` are reached there.

    A right detection of weight 0 is a point too, but reaches no further recall than the one before and no better
    precision, so that it changes nothing.
    """
    precision = tp / (total + _TINY)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return envelope, np.searchsorted(RECALLS, tp / n_truths[:, None], side="right")
