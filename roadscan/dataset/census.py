"""Counts of a dataset: images, objects, classes and sizes by split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from roadscan.dataset.draft import Draft, DraftImage, Reading
from roadscan.dataset.occlusion import OCCLUSIONS
from roadscan.dataset.records import Dataset, LabelledImage

#: COCO's areas: small is below 32², large from 96² pixels.
SMALL_PX2, LARGE_PX2 = 32**2, 96**2
SIZES = ("S", "M", "L")


@dataclass(frozen=True, slots=True)
class ClassCount:
    """Objects of a class in a split, and images that show one."""

    objects: int
    images: int


@dataclass(frozen=True, slots=True)
class SplitCount:
    """One split.

    Attributes:
        images: all of them.
        background: those without an object or a label map.
        without_label_file: those of the background that have no label file, either.
        drives: that the images say they are of.
        without_drive: images that say none.
        objects: all of them.
        sizes: objects by COCO's areas S, M, L: of the outline, else of the box, in pixels of the whole image.
        classes: by name.
        conditions: images that have each.
        occlusions: objects that have each.
    """

    images: int
    background: int
    without_label_file: int
    drives: int
    without_drive: int
    objects: int
    sizes: dict[str, int]
    classes: dict[str, ClassCount]
    conditions: dict[str, int]
    occlusions: dict[str, int]


def count_objects(reading: Reading) -> dict[str, SplitCount]:
    """A dataset as read -> its counts by split."""
    names = reading.dataset.names
    return {
        split: _count(images, names, reading.without_label_file) for split, images in reading.dataset.splits.items()
    }


def objects_by_class(dataset: Dataset | Draft, split: str) -> dict[str, int]:
    """A dataset -> how many objects of each of its classes a split has, in the order of the classes."""
    counts = np.zeros(len(dataset.names), np.int64)
    for image in dataset.splits[split]:
        counts += np.bincount(np.asarray(image.classes, np.int64), minlength=len(counts))
    return dict(zip(dataset.names, counts.tolist(), strict=True))


def image_shares(images: Sequence[LabelledImage | DraftImage], n_classes: int) -> npt.NDArray[np.float64]:
    """A split's images -> the share of them that shows each class, (n_classes,)."""
    showing = np.zeros(n_classes, np.int64)
    for image in images:
        showing[np.unique(np.asarray(image.classes, np.int64))] += 1
    return showing / max(len(images), 1)


def rare_classes(images: Sequence[LabelledImage | DraftImage], below: float) -> tuple[int, ...]:
    """A split's images -> the classes that some of them show, but fewer than a share."""
    n_classes = max((int(max(image.classes)) + 1 for image in images if len(image.classes)), default=0)
    shares = image_shares(images, n_classes)
    return tuple(np.flatnonzero((shares > 0) & (shares < below)).tolist())


def areas_px2(image: LabelledImage) -> npt.NDArray[np.float64]:
    """(n,) areas of the objects: of their outlines, else of their boxes."""
    if image.outlines is not None:
        return np.array([sum(cv2.contourArea(part) for part in parts) for parts in image.outlines], np.float64)
    sides = np.diff(image.boxes_xyxy.astype(np.float64).reshape(-1, 2, 2), axis=1)[:, 0]
    areas: npt.NDArray[np.float64] = sides.prod(1)
    return areas


def _count(images: tuple[LabelledImage, ...], names: tuple[str, ...], without_file: frozenset[str]) -> SplitCount:
    objects, showing = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
    sizes = np.zeros(len(SIZES), np.int64)
    for image in images:
        objects += np.bincount(image.classes, minlength=len(names))
        showing[np.unique(image.classes)] += 1
        sizes += np.bincount(np.digitize(areas_px2(image), (SMALL_PX2, LARGE_PX2)), minlength=len(SIZES))
    hidden = Counter(name for image in images for name in image.occlusions)
    pairs = zip(objects.tolist(), showing.tolist(), strict=True)
    return SplitCount(
        images=len(images),
        background=sum(not len(image.classes) and image.label_map is None for image in images),
        without_label_file=sum(image.key in without_file for image in images),
        drives=len({image.drive_id for image in images if image.drive_id is not None}),
        without_drive=sum(image.drive_id is None for image in images),
        objects=int(objects.sum()),
        sizes=dict(zip(SIZES, sizes.tolist(), strict=True)),
        classes={name: ClassCount(*pair) for name, pair in zip(names, pairs, strict=True)},
        conditions=dict(sorted(Counter(name for image in images for name in image.conditions).items())),
        occlusions={name: hidden[name] for name in OCCLUSIONS if hidden[name]},
    )
