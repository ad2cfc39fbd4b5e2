"""What a score means: the confidence that gives a wanted recall, and how far scores are from probabilities.

Both are for the model card, and at overlap .5. A threshold that is chosen here belongs on validation data; what it does
is then measured on other data, by `operating_point`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats
from roadscan.errors import ConfigError
from roadscan.evaluate.detection.matching import Matches


@dataclass(frozen=True)
class RecallThreshold:
    """The confidence for a wanted recall.

    Attributes:
        confidence: lowest score to keep, exact, so round it down if at all; None where none reaches the recall.
        precision, recall: with it; without one, those of all detections, so that recall is the highest there is. NaN
            where there is no truth.
    """

    confidence: float | None
    precision: float
    recall: float


@dataclass(frozen=True)
class RecallThresholds:
    """Confidences for a wanted recall.

    Attributes:
        target: the wanted recall.
        overall: one confidence for all classes; recall and precision of all objects together.
        classes: by class name, each with its own.
    """

    target: float
    overall: RecallThreshold
    classes: dict[str, RecallThreshold]


@dataclass(frozen=True)
class Calibration:
    """How well scores tell the share of right detections.

    Attributes:
        error: expected calibration error: mean over detections of |mean score − share right| of their bin; NaN without
            detections.
        scores, right: (bins,) mean score and share of right detections.
        counts: (bins,) detections.
    """

    error: float
    scores: Floats
    right: Floats
    counts: npt.NDArray[np.int64]


def thresholds_for_recall(matches: Matches, target: float) -> RecallThresholds:
    """The confidence of greatest precision among those that reach a recall; the highest of equal ones.

    Args:
        matches: detections and truth of validation data.
        target: wanted recall, over 0 and up to 1.

    Raises:
        ConfigError: the target is no such number.
    """
    if not 0 < target <= 1:
        raise ConfigError(f"target recall: {target}; expected a number over 0 and up to 1")
    truths = matches.truths[:, :, 0].sum(axis=0)
    right = (matches.right[0] & 1).astype(np.bool_)
    classes = {}
    for index, name in enumerate(matches.names):
        where = matches.of_class(index)
        classes[name] = _threshold(matches.scores[where], right[where], int(truths[index]), target)
    order = np.argsort(-matches.scores, kind="stable")
    overall = _threshold(matches.scores[order], right[order], int(truths.sum()), target)
    return RecallThresholds(target, overall, classes)


def calibration(matches: Matches, *, lowest: float = 0.05, bins: int = 15) -> Calibration:
    """Expected calibration error over bins with about as many detections each.

    Equal scores share a bin, so there may be fewer. Adaptive bins, because most detections have low scores; see Nixon
    et al., Measuring Calibration in Deep Learning, 2019 (https://arxiv.org/abs/1904.01685).

    Args:
        matches: detections and truth.
        lowest: detections with a lower score are left out. Detectors give hundreds of them an image, all wrong and all
            with scores near 0, and their number would decide the error.
        bins: at most so many.
    """
    kept = matches.scores >= np.float32(lowest)
    scores, right = matches.scores[kept].astype(np.float64), (matches.right[0, kept] & 1).astype(np.float64)
    if not len(scores):
        return Calibration(float("nan"), np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
    _, of_score, number = np.unique(scores, return_inverse=True, return_counts=True)
    middle = (np.cumsum(number) - number / 2) / len(scores)  # of each score's detections, as a share of all
    _, of_bin, counts = np.unique(np.floor(middle * bins)[of_score], return_inverse=True, return_counts=True)
    mean_scores, share_right = np.bincount(of_bin, scores) / counts, np.bincount(of_bin, right) / counts
    error = float(np.abs(mean_scores - share_right) @ counts / counts.sum())
    return Calibration(error, mean_scores, share_right, counts)


def _threshold(
    scores: npt.NDArray[np.float32], right: npt.NDArray[np.bool_], truths: int, target: float
) -> RecallThreshold:
    """Of detections by falling score."""
    if truths == 0:
        return RecallThreshold(None, float("nan"), float("nan"))
    if len(scores) == 0:
        return RecallThreshold(None, 0.0, 0.0)
    last_of_equals = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    tp = np.cumsum(right)[last_of_equals]
    precision, recall = tp / (last_of_equals + 1), tp / truths
    # Not recall >= target: 0.7 * 10 > 7 in floating point.
    reached = np.flatnonzero(tp >= target * truths - 1e-9)
    if len(reached) == 0:
        return RecallThreshold(None, float(precision[-1]), float(recall[-1]))
    best = reached[precision[reached].argmax()]
    # Just below the last score that is kept, as detectors differ in whether they keep what equals the threshold.
    confidence = np.nextafter(scores[last_of_equals[best]], np.float32(0))
    return RecallThreshold(float(confidence), float(precision[best]), float(recall[best]))
