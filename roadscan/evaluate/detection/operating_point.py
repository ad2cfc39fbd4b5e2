"""Precision, recall and F1 at one confidence, for all classes together: the columns that YOLO papers publish.

Two ways to choose the confidence:

- `best_point`: the published convention, that of Ultralytics. Precision and recall of each class against confidence
  are interpolated linearly between the detections' scores, on a grid of 1,000; the F1 curves are averaged over the
  classes with truth and smoothed by a moving mean of a tenth of the grid; the confidence is where that is greatest. It
  is chosen on the data that are scored, so it flatters a little.
- `operating_point`: a confidence, or one a class, that was frozen on other data. What counts is exactly what a scan
  with that threshold keeps.

A detection is right if it takes a truth at overlap .5 (`matching`). Ultralytics' own matching differs where a detection
overlaps two truths equally; its loss of detections beyond 300 an image happens in the detector.

Source: ``ap_per_class`` and ``smooth`` in ultralytics/utils/metrics.py (8.4). Deviation: of confidences with the same
smoothed F1 up to rounding, the lowest is taken, so that the machine's rounding does not choose.

Letters in shapes: b weightings, c classes, n detections, x confidences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats
from roadscan.errors import ConfigError
from roadscan.evaluate.detection.average_precision import mean_over_classes, truths
from roadscan.evaluate.detection.matching import Matches

#: The confidences of the curves.
CONFIDENCES: Floats = np.linspace(0.0, 1.0, 1000)

_SMOOTHED = 101  # points of the moving mean: a tenth of the grid, made odd
_SAME = 1e-9  # smoothed F1 that differ by less are equal


@dataclass(frozen=True)
class Point:
    """Precision, recall and F1 of each class at one confidence.

    Attributes:
        confidence: (b,), or (c,) with one a class.
        precision, recall, f1: (b, c) or (c,) in 0..1; NaN for classes without truth.
    """

    confidence: Floats
    precision: Floats
    recall: Floats
    f1: Floats

    @property
    def mean_precision(self) -> Floats:
        """(b,) or (): over the classes with truth."""
        return mean_over_classes(self.precision)

    @property
    def mean_recall(self) -> Floats:
        """(b,) or (): over the classes with truth."""
        return mean_over_classes(self.recall)

    @property
    def f1_of_means(self) -> Floats:
        """(b,) or (): harmonic mean of mean precision and mean recall; what most tables mean by F1."""
        return harmonic_mean(self.mean_precision, self.mean_recall)

    @property
    def mean_class_f1(self) -> Floats:
        """(b,) or (): mean of the classes' F1; what the confidence is chosen by."""
        return mean_over_classes(self.f1)


@dataclass(frozen=True)
class OperatingPoint(Point):
    """What a scan with a frozen threshold does; a class of which nothing is found has precision 0.

    Attributes:
        names: of the classes.
        right, wrong, missed: (c,) numbers of detections, of detections, and of true objects.
    """

    names: tuple[str, ...]
    right: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.int64]
    missed: npt.NDArray[np.int64]


@dataclass(frozen=True)
class ConfidenceCurves:
    """Precision and recall against `CONFIDENCES`, each (b, c, x); NaN for classes without truth."""

    precision: Floats
    recall: Floats

    @property
    def f1(self) -> Floats:
        """(b, c, x)."""
        return harmonic_mean(self.precision, self.recall)

    def best_confidence(self) -> npt.NDArray[np.int64]:
        """(b,) index into `CONFIDENCES` where the smoothed mean F1 is greatest."""
        mean = mean_over_classes(self.f1, axis=1)
        half = _SMOOTHED // 2
        padded = np.pad(np.nan_to_num(mean), ((0, 0), (half, half)), mode="edge")
        smooth = np.lib.stride_tricks.sliding_window_view(padded, _SMOOTHED, axis=1).mean(axis=2)
        best: npt.NDArray[np.int64] = (smooth >= smooth.max(axis=1, keepdims=True) - _SAME).argmax(axis=1)
        return best

    def at(self, index: npt.NDArray[np.int64]) -> Point:
        """The curves at one place of `CONFIDENCES` for each weighting, (b,)."""
        rows = np.arange(len(self.precision))
        precision, recall = self.precision[rows, :, index], self.recall[rows, :, index]
        return Point(CONFIDENCES[index], precision, recall, harmonic_mean(precision, recall))


def confidence_curves(
    matches: Matches, *, weights: npt.NDArray[np.integer] | None = None, among: str = "all"
) -> ConfidenceCurves:
    """Precision and recall of every class against confidence, by Ultralytics' interpolation.

    Above the highest score of a class its precision is 1 and its recall 0; a class without detections has 0 for both.

    Args:
        matches: detections and truth.
        weights: (b, images) how often each image counts, whole numbers; None: each once. An image of weight 0 adds
            nothing, but the curves are interpolated between the scores of all images.
        among: the objects that count, one of `Matches.ranges`.
    """
    w = np.ones((1, len(matches.keys)), np.int64) if weights is None else weights
    return ConfidenceCurves(*_interpolated(matches, w, CONFIDENCES[None], among))


def points_at(matches: Matches, confidence: Floats, *, weights: npt.NDArray[np.integer], among: str) -> Point:
    """What `confidence_curves` has at one confidence for each weighting, and nowhere else, which is far cheaper.

    Args:
        matches: detections and truth.
        confidence: (b,).
        weights: (b, images), as for the curves.
        among: the objects that count, one of `Matches.ranges`.
    """
    precision, recall = (values[:, :, 0] for values in _interpolated(matches, weights, confidence[:, None], among))
    return Point(confidence, precision, recall, harmonic_mean(precision, recall))


def best_point(matches: Matches, *, weights: npt.NDArray[np.integer] | None = None) -> Point:
    """Precision, recall and F1 where the smoothed mean F1 is greatest, chosen anew under each weighting.

    Args:
        matches: detections and truth.
        weights: (b, images) as for `confidence_curves`.
    """
    curves = confidence_curves(matches, weights=weights)
    return curves.at(curves.best_confidence())


def operating_point(matches: Matches, confidence: float | Mapping[str, float]) -> OperatingPoint:
    """Precision, recall and F1 of the detections with at least this score, compared in float32 as detectors do.

    Args:
        matches: detections and truth.
        confidence: one for all classes, or one for each by name.

    Raises:
        ConfigError: a class has no confidence.
    """
    confidences = confidences_of(matches.names, confidence)
    right, wrong = np.zeros(len(matches.names), np.int64), np.zeros(len(matches.names), np.int64)
    for index, lowest in enumerate(confidences):
        where = matches.of_class(index)
        hits = matches.right[0, where][matches.scores[where] >= np.float32(lowest)] & 1
        right[index], wrong[index] = hits.sum(), len(hits) - hits.sum()
    known = matches.truths[:, :, 0].sum(axis=0)
    precision = np.where(known > 0, right / np.maximum(right + wrong, 1), np.nan)
    recall = np.where(known > 0, right / np.maximum(known, 1), np.nan)
    return OperatingPoint(
        confidences, precision, recall, harmonic_mean(precision, recall), matches.names, right, wrong, known - right
    )


def harmonic_mean(precision: Floats, recall: Floats) -> Floats:
    """F1 of precision and recall, elementwise; 0 where both are 0."""
    return 2 * precision * recall / (precision + recall + 1e-16)


def confidences_of(names: tuple[str, ...], confidence: float | Mapping[str, float]) -> Floats:
    """(c,) the confidence of every class.

    Raises:
        ConfigError: a class has none.
    """
    if not isinstance(confidence, Mapping):
        return np.full(len(names), float(confidence))
    missing = [name for name in names if name not in confidence]
    if missing:
        raise ConfigError(f"confidence: none for class {missing[0]!r}; expected one for each of {', '.join(names)}")
    return np.array([confidence[name] for name in names], np.float64)


def _interpolated(
    matches: Matches, weights: npt.NDArray[np.integer], confidences: Floats, among: str
) -> tuple[Floats, Floats]:
    """Precision and recall, each (b, c, x), at confidences that are (b, x), or (1, x) for all weightings."""
    known, row = truths(matches, weights, among), matches.ranges.index(among)
    precision, recall = np.zeros((2, *known.shape, confidences.shape[1]))
    for index in range(len(matches.names)):
        where = matches.of_class(index)
        if len(matches.scores[where]) and known[:, index].any():
            counted = (~matches.ignored[row, where] & 1).astype(weights.dtype)
            of_image = weights[:, matches.images[where]] * counted
            right = (matches.right[row, where] & 1).astype(weights.dtype)
            total, tp = np.cumsum(of_image, axis=1), np.cumsum(of_image * right, axis=1)
            scores = matches.scores[where].astype(np.float64)
            precision[:, index], recall[:, index] = _interpolate(scores, confidences, tp, total, known[:, index])
    precision[known == 0] = np.nan
    recall[known == 0] = np.nan
    return precision, recall


def _interpolate(
    scores: Floats,
    confidences: Floats,
    tp: npt.NDArray[np.int64],
    total: npt.NDArray[np.int64],
    n_truths: npt.NDArray[np.int64],
) -> tuple[Floats, Floats]:
    """Precision and recall of one class, each (b, x).

    Args:
        scores: (n,) falling.
        confidences: (b, x) or (1, x).
        tp: (b, n) right detections so far.
        total: (b, n) detections so far.
        n_truths: (b,).
    """
    # Each confidence lies between the last score that is at least as high and the first that is lower.
    above = np.searchsorted(-scores, -confidences, side="right") - 1
    below = np.minimum(above + 1, len(scores) - 1)
    none_above, above = above < 0, np.maximum(above, 0)
    gap = scores[above] - scores[below]
    part = np.divide(scores[above] - confidences, gap, out=np.zeros_like(gap), where=gap > 0)
    part[none_above] = 0.0

    def between(nodes: Sequence[Floats], beyond: float) -> Floats:
        return np.where(none_above, beyond, nodes[0] + (nodes[1] - nodes[0]) * part)

    rows = np.arange(len(tp))[:, None]
    right, some = ([counts[rows, end] for end in (above, below)] for counts in (tp, total))
    found = [one / np.maximum(n_truths, 1)[:, None] for one in right]
    # Where only images of weight 0 have detections as sure as that, nothing is found yet: precision 1, recall 0.
    exact = [np.where(n > 0, one / np.maximum(n, 1), 1.0) for one, n in zip(right, some, strict=True)]
    return between(exact, 1.0), between(found, 0.0)
