"""How good a model's detections are: the numbers of an evaluation report and of the model file.

Average precision is COCO's (`average_precision`), precision, recall and F1 are those of the published convention
(`operating_point.best_point`). Classes without truth are in no mean; `Scores.absent` names them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats
from roadscan.errors import ConfigError
from roadscan.evaluate.detection.average_precision import (
    RECALLS,
    average_precision,
    mean_over_classes,
    precision_at_recall,
)
from roadscan.evaluate.detection.confusion import confusion_matrix
from roadscan.evaluate.detection.matching import IOU_THRESHOLDS, Matches, match
from roadscan.evaluate.detection.operating_point import (
    CONFIDENCES,
    ConfidenceCurves,
    OperatingPoint,
    Point,
    confidence_curves,
    operating_point,
)
from roadscan.evaluate.detection.overlap import Kind
from roadscan.evaluate.detection.parts import Part, parts_of
from roadscan.evaluate.detection.results import ImageResult
from roadscan.evaluate.jsonable import jsonable

_IOU_75 = int(np.argmin(np.abs(IOU_THRESHOLDS - 0.75)))


@dataclass(frozen=True)
class PartScores:
    """The numbers of some objects, as shares in 0..1; NaN where there is no truth.

    Attributes:
        images, instances: numbers of images and of true objects.
        map50, map50_95: mean average precision at overlap .5, and over .5 to .95.
        precision, recall: means over the classes, at `confidence`.
        f1_of_means: 2PR / (P + R) of these means.
        mean_class_f1: mean of the classes' own F1.
        confidence: where the smoothed mean F1 of all images is greatest.
    """

    images: int
    instances: int
    map50: float
    map50_95: float
    precision: float
    recall: float
    f1_of_means: float
    mean_class_f1: float
    confidence: float


@dataclass(frozen=True)
class MainScores(PartScores):
    """The numbers of one set of images.

    Attributes:
        map75: mean average precision at overlap .75.
        ap_small, ap_medium, ap_large: as `map50_95`, of objects up to 32², 96² and more square pixels.
    """

    map75: float
    ap_small: float
    ap_medium: float
    ap_large: float


@dataclass(frozen=True)
class ClassScores:
    """One class; NaN where it has no truth.

    Attributes:
        name: of the class.
        instances, images: numbers of true objects, and of images with one.
        ap50, ap50_95: average precision.
        precision, recall, f1: at the confidence of all classes.
    """

    name: str
    instances: int
    images: int
    ap50: float
    ap50_95: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Curves:
    """What plots show; NaN for classes without truth.

    Attributes:
        recalls: (101,) 0, 0.01 … 1.
        precision_at_recall: (c, 101) the envelope that average precision at overlap .5 is the mean of.
        confidences: (1000,) 0 … 1.
        precision, recall, f1: (c, 1000) against confidence.
    """

    recalls: Floats
    precision_at_recall: Floats
    confidences: Floats
    precision: Floats
    recall: Floats
    f1: Floats


@dataclass(frozen=True)
class Scores(MainScores):
    """All scores of one model on one set of images.

    Attributes:
        kind: ``box`` or ``mask``.
        classes: every class, in the order of its index.
        absent: names of the classes without truth; they are in no mean.
        by_condition: the main numbers of the images of each condition; P, R and F1 at the confidence of all images.
        by_occlusion: the numbers of the objects of each occlusion; likewise.
        confusion: (c + 1, c + 1) counts at the frozen confidence, or at `confidence`, at overlap .5: rows are true
            classes, columns found ones, and the last of either is the background.
        curves: for plots.
        frozen: at the confidence that the caller gave, else None.
    """

    kind: Kind
    classes: tuple[ClassScores, ...]
    absent: tuple[str, ...]
    by_condition: dict[str, MainScores]
    by_occlusion: dict[str, PartScores]
    confusion: npt.NDArray[np.int64]
    curves: Curves
    frozen: OperatingPoint | None

    def to_dict(self, *, curves: bool = False) -> dict[str, Any]:
        """For JSON: plain numbers, lists and dicts, not rounded; NaN becomes None.

        Args:
            curves: with the curves, which are long.
        """
        plain = asdict(self)
        if self.frozen:
            for name in ("mean_precision", "mean_recall", "f1_of_means", "mean_class_f1"):
                plain["frozen"][name] = getattr(self.frozen, name)
        if not curves:
            del plain["curves"]
        values: dict[str, Any] = jsonable(plain)
        return values


def score(
    results: Sequence[ImageResult],
    names: Sequence[str],
    *,
    kind: Kind = "box",
    confidence: float | Mapping[str, float] | None = None,
    matches: Matches | None = None,
) -> Scores:
    """Score a model's detections.

    Args:
        results: every image of the set, those without objects too.
        names: of the classes, by index.
        kind: whether boxes or masks are compared.
        confidence: a threshold that was frozen on other data, for all classes or for each by name; gives `frozen`.
        matches: what `match` made of the same results, if the caller has it.

    Raises:
        ConfigError: the results cannot be matched (see `match`), or the matches are of others.
    """
    matches = matches or match(results, names, kind=kind)
    if (matches.names, matches.kind, matches.keys) != (tuple(names), kind, tuple(r.key for r in results)):
        raise ConfigError("matches: of other images, classes or another kind; expected those of the results")
    curves = confidence_curves(matches)
    best = curves.best_confidence()
    main, parts = _main(matches, curves, best), parts_of(matches)
    frozen = None if confidence is None else operating_point(matches, confidence)
    return Scores(
        **vars(main),
        kind=kind,
        classes=_classes(matches, curves, best),
        absent=tuple(name for i, name in enumerate(names) if not matches.truths[:, i, 0].any()),
        by_condition={
            part.name: _main(part.matches, confidence_curves(part.matches), best)
            for part in parts
            if part.by == "condition"
        },
        by_occlusion={part.name: _of_part(part, best) for part in parts if part.by == "occlusion"},
        confusion=confusion_matrix(results, names, main.confidence if confidence is None else confidence, kind=kind),
        curves=Curves(
            recalls=RECALLS,
            precision_at_recall=precision_at_recall(matches),
            confidences=CONFIDENCES,
            precision=curves.precision[0],
            recall=curves.recall[0],
            f1=curves.f1[0],
        ),
        frozen=frozen,
    )


def _main(matches: Matches, curves: ConfidenceCurves, best: npt.NDArray[np.int64]) -> MainScores:
    precision = average_precision(matches)

    def mean_of(area: str) -> float:
        return float(mean_over_classes(average_precision(matches, among=area).mean(axis=1)))

    return MainScores(
        **vars(_numbers(precision, curves.at(best), len(matches.keys), matches.truths[:, :, 0])),
        map75=float(mean_over_classes(precision[:, _IOU_75])),
        ap_small=mean_of("small"),
        ap_medium=mean_of("medium"),
        ap_large=mean_of("large"),
    )


def _of_part(part: Part, best: npt.NDArray[np.int64]) -> PartScores:
    precision = average_precision(part.matches, among=part.among)
    point = confidence_curves(part.matches, among=part.among).at(best)
    return _numbers(precision, point, int(part.truths.any(axis=1).sum()), part.truths)


def _numbers(precision: Floats, point: Point, images: int, truths: npt.NDArray[np.int64]) -> PartScores:
    """From average precision (c, t), the point at the confidence, and true objects (images, c)."""
    return PartScores(
        images=images,
        instances=int(truths.sum()),
        map50=float(mean_over_classes(precision[:, 0])),
        map50_95=float(mean_over_classes(precision.mean(axis=1))),
        precision=float(point.mean_precision[0]),
        recall=float(point.mean_recall[0]),
        f1_of_means=float(point.f1_of_means[0]),
        mean_class_f1=float(point.mean_class_f1[0]),
        confidence=float(point.confidence[0]),
    )


def _classes(matches: Matches, curves: ConfidenceCurves, best: npt.NDArray[np.int64]) -> tuple[ClassScores, ...]:
    precision = average_precision(matches)
    point = curves.at(best)
    known = matches.truths[:, :, 0]
    return tuple(
        ClassScores(
            name=name,
            instances=int(known[:, i].sum()),
            images=int(np.count_nonzero(known[:, i])),
            ap50=float(precision[i, 0]),
            ap50_95=float(precision[i].mean()),
            precision=float(point.precision[0, i]),
            recall=float(point.recall[0, i]),
            f1=float(point.f1[0, i]),
        )
        for i, name in enumerate(matches.names)
    )
