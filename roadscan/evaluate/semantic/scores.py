"""How good a model's classes of pixels are: the numbers of an evaluation and of the model file.

A class's intersection over union is of the pixels of all images together; classes without truth are in no mean. The
mean is over the dataset's classes; with the background, which is most of a road's picture and always easy, it is a
number of its own.

Shape suffixes: r weightings of the images, n images, k classes with the background, c without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats
from roadscan.dataset.label_maps import BACKGROUND
from roadscan.evaluate.jsonable import jsonable
from roadscan.evaluate.semantic.results import PixelResult

METRICS = ("miou", "miou_with_background", "pixel_accuracy", "boundary_f1")


@dataclass(frozen=True)
class MainPixelScores:
    """The numbers of one set of images, as shares in 0..1; NaN where there is no truth.

    Attributes:
        images, pixels: numbers of images, and of their pixels that are not void.
        miou: mean intersection over union of the classes.
        miou_with_background: the same, with the background as one more class, as PASCAL VOC counts.
        pixel_accuracy: share of pixels with the right class.
        boundary_f1: mean over the classes of `ClassPixelScores.boundary_f1`.
    """

    images: int
    pixels: int
    miou: float
    miou_with_background: float
    pixel_accuracy: float
    boundary_f1: float


@dataclass(frozen=True)
class ClassPixelScores:
    """One class, or the background; NaN where it has no truth.

    Attributes:
        name: of the class.
        pixels, images: numbers of true pixels, and of images with one.
        iou: intersection over union.
        precision, recall: shares of the found, and of the true pixels, that are right.
        boundary_f1: mean over the images in which the class is, or was found; NaN of the background.
    """

    name: str
    pixels: int
    images: int
    iou: float
    precision: float
    recall: float
    boundary_f1: float


@dataclass(frozen=True)
class PixelScores(MainPixelScores):
    """All scores of one model on one set of images.

    Attributes:
        classes: every class in the order of its index, and the background.
        absent: names of the classes without truth; they are in no mean.
        by_condition: the main numbers of the images of each condition.
        confusion: (k, k) pixels: rows are true classes, columns found ones.
    """

    classes: tuple[ClassPixelScores, ...]
    absent: tuple[str, ...]
    by_condition: dict[str, MainPixelScores]
    confusion: npt.NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: plain numbers, lists and dicts, not rounded; NaN becomes None."""
        plain: dict[str, Any] = jsonable(asdict(self))
        return plain


def score(results: Sequence[PixelResult], names: Sequence[str]) -> PixelScores:
    """Score a model's classes of pixels.

    Args:
        results: every image of the set.
        names: of the classes, by index, without the background.
    """
    confusion_nkk, boundary_nc = stacked(results)
    total = confusion_nkk.sum(0)
    true, found, right = total.sum(1), total.sum(0), np.diagonal(total)
    by_class = class_scores(confusion_nkk, boundary_nc, np.ones((1, len(results))))
    boundary = [*by_class[0, len(names) + 1 :], np.nan]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = np.where(true > 0, right / found, np.nan), right / true
    conditions = sorted({name for one in results for name in one.conditions})
    return PixelScores(
        **asdict(_main(results)),
        classes=tuple(
            ClassPixelScores(
                name=name,
                pixels=int(true[number]),
                images=int(np.count_nonzero(confusion_nkk[:, number].sum(1))),
                iou=float(by_class[0, number]),
                precision=float(precision[number]),
                recall=float(recall[number]),
                boundary_f1=float(boundary[number]),
            )
            for number, name in enumerate((*names, BACKGROUND))
        ),
        absent=tuple(name for number, name in enumerate(names) if not true[number]),
        by_condition={one: _main([result for result in results if one in result.conditions]) for one in conditions},
        confusion=total,
    )


def _main(results: Sequence[PixelResult]) -> MainPixelScores:
    confusion_nkk, boundary_nc = stacked(results)
    values = main_scores(confusion_nkk, boundary_nc, np.ones((1, len(results))))[0]
    named = dict(zip(METRICS, values.tolist(), strict=True))
    return MainPixelScores(images=len(results), pixels=int(confusion_nkk.sum()), **named)


def stacked(results: Sequence[PixelResult]) -> tuple[npt.NDArray[np.int64], Floats]:
    """Results -> (n, k, k) confusions and (n, c) boundary F1."""
    return np.stack([one.confusion for one in results]), np.stack([one.boundary_f1 for one in results])


def main_scores(confusion_nkk: npt.NDArray[np.int64], boundary_nc: Floats, weights_rn: Floats) -> Floats:
    """(r, metrics) of weighted images, in the order of `METRICS`."""
    by_class = class_scores(confusion_nkk, boundary_nc, weights_rn)
    c = boundary_nc.shape[1]
    right = np.diagonal(confusion_nkk, axis1=1, axis2=2).sum(1)
    with np.errstate(invalid="ignore"):
        accuracy = weights_rn @ right / (weights_rn @ confusion_nkk.sum((1, 2)))
    means = [_mean(by_class[:, :c]), _mean(by_class[:, : c + 1]), accuracy, _mean(by_class[:, c + 1 :])]
    return np.stack(means, 1)


def class_scores(confusion_nkk: npt.NDArray[np.int64], boundary_nc: Floats, weights_rn: Floats) -> Floats:
    """(r, k + c) of weighted images: intersection over union of each class and the background, then boundary F1.

    NaN of what has no truth.
    """
    (n, k, _), c = confusion_nkk.shape, boundary_nc.shape[1]
    total_rkk = (weights_rn @ confusion_nkk.reshape(n, -1)).reshape(-1, k, k)
    true_rk, found_rk = total_rkk.sum(2), total_rkk.sum(1)
    right_rk = np.diagonal(total_rkk, axis1=1, axis2=2)
    known_nc = ~np.isnan(boundary_nc)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou_rk = right_rk / (true_rk + found_rk - right_rk)
        boundary_rc = weights_rn @ np.where(known_nc, boundary_nc, 0) / (weights_rn @ known_nc)
    iou_rk, boundary_rc = (
        np.where(true_rk > 0, iou_rk, np.nan), np.where(true_rk[:, :c] > 0, boundary_rc, np.nan),
    )  # fmt: skip
    return np.concatenate([iou_rk, boundary_rc], 1)


def _mean(values_rc: Floats) -> Floats:
    """(r,) means of what is known; NaN where nothing is."""
    known = ~np.isnan(values_rc)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(known, values_rc, 0).sum(1) / known.sum(1)
    return mean
