"""Detections against truth, once, by the rules of the COCO evaluation; every score is made from the `Matches`.

Source: the detection evaluation of COCO (https://cocodataset.org/#detection-eval) as pycocotools does it: a detection
is right if it takes a truth of its own class at an overlap threshold (`assignment.assign`); for an area range, truths
outside of it are to be ignored, and so are the detections that take one, and those outside of it that take none. Truths
of an occlusion are a range like those of areas, except that a detection that takes none lies in all of them.
COCO's crowd regions are not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats
from roadscan.dataset.occlusion import OCCLUSIONS
from roadscan.errors import ConfigError
from roadscan.evaluate.detection.assignment import assign
from roadscan.evaluate.detection.overlap import Kind, areas, overlaps
from roadscan.evaluate.detection.results import ImageResult, Objects

#: Overlaps at which a detection is judged; made as COCO makes them, for the same last bits.
IOU_THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)

#: Square pixels, both ends inside.
AREA_RANGES = {
    "all": (0.0, 1e5**2),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e5**2),
}

#: COCO takes the most confident 100 detections of an image and class.
MAX_DETECTIONS = 100

_IMAGES_AT_ONCE = 256  # bounds the memory


@dataclass(frozen=True, slots=True)
class Matches:
    """What became of every detection of one model on one set of images.

    Detections are concatenated over images: by class, then by falling score; equal scores by image, then as given.

    Attributes:
        kind: whether boxes or masks were compared.
        names: of the classes.
        ranges: (r,) names of `AREA_RANGES`, then those of `OCCLUSIONS` that some truth has.
        keys: (images,) of the images, as given.
        drives: (images,) drive number of each image, from 0.
        conditions: (images,) the names of each, as given.
        scores: (n,) in 0..1.
        classes: (n,) class indices.
        images: (n,) image numbers.
        ranks: (n,) place among the detections of the same image and class, from 0.
        right: (r, n) by range: bit i is set where the detection is right at ``IOU_THRESHOLDS[i]``.
        ignored: (r, n) likewise: where it neither counts as right nor as wrong.
        truths: (images, classes, r) number of true objects that count, by range.
    """

    kind: Kind
    names: tuple[str, ...]
    ranges: tuple[str, ...]
    keys: tuple[str, ...]
    drives: npt.NDArray[np.int64]
    conditions: tuple[tuple[str, ...], ...]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    images: npt.NDArray[np.int64]
    ranks: npt.NDArray[np.int64]
    right: npt.NDArray[np.uint16]
    ignored: npt.NDArray[np.uint16]
    truths: npt.NDArray[np.int64]

    def of_class(self, index: int) -> slice:
        """Where the detections of a class lie."""
        start, end = np.searchsorted(self.classes, [index, index + 1])
        return slice(int(start), int(end))

    def select(self, images: npt.NDArray[np.int64]) -> Matches:
        """These images alone, in this order, each once.

        Args:
            images: (m,) image numbers, no one twice.
        """
        number = np.full(len(self.keys), -1, np.int64)
        number[images] = np.arange(len(images))
        kept = np.flatnonzero(number[self.images] >= 0)
        kept = kept[np.lexsort((number[self.images[kept]], -self.scores[kept], self.classes[kept]))]
        return replace(
            self,
            keys=tuple(self.keys[i] for i in images),
            drives=np.unique(self.drives[images], return_inverse=True)[1].reshape(-1),
            conditions=tuple(self.conditions[i] for i in images),
            scores=self.scores[kept],
            classes=self.classes[kept],
            images=number[self.images[kept]],
            ranks=self.ranks[kept],
            right=self.right[:, kept],
            ignored=self.ignored[:, kept],
            truths=self.truths[images],
        )


def match(results: Sequence[ImageResult], names: Sequence[str], *, kind: Kind = "box") -> Matches:
    """Match all detections, however many an image has; scores that take the most confident choose by `Matches.ranks`.

    Args:
        results: the images, those without objects too, no key twice.
        names: of the classes, by index.
        kind: ``box`` compares boxes, ``mask`` masks.

    Raises:
        ConfigError: two images have one key, an object lacks what is needed, or its class has no name.
    """
    if len({result.key for result in results}) < len(results):
        raise ConfigError("the images to score: a key occurs twice; expected every image once")
    for result in results:
        _check(result, len(names), kind)
    found = [by_score(result.found) for result in results]
    truth = [result.truth for result in results]
    occlusions = tuple(name for name in OCCLUSIONS if any(name in one.occlusions for one in truth))
    ranges = (*AREA_RANGES, *occlusions)
    outcome = [np.zeros((2, len(ranges), 0), np.uint16)]
    for start in range(0, len(results), _IMAGES_AT_ONCE):
        some = slice(start, start + _IMAGES_AT_ONCE)
        outcome.append(_outcome(found[some], truth[some], kind, occlusions))
    right, ignored = np.concatenate(outcome, axis=2)
    scores = np.concatenate([np.zeros(0, np.float32), *(part.scores for part in found if part.scores is not None)])
    classes = np.concatenate([np.zeros(0, np.int64), *(part.classes for part in found)])
    images = np.repeat(np.arange(len(results)), [len(part.classes) for part in found])
    order = np.lexsort((-scores, classes))
    return Matches(
        kind=kind,
        names=tuple(names),
        ranges=ranges,
        keys=tuple(result.key for result in results),
        drives=_drives(results),
        conditions=tuple(result.conditions for result in results),
        scores=scores[order],
        classes=classes[order],
        images=images[order],
        ranks=_ranks(images, classes)[order],
        right=right[:, order],
        ignored=ignored[:, order],
        truths=_truths(truth, len(names), kind, occlusions),
    )


def by_score(found: Objects) -> Objects:
    """The same objects by falling score; equal ones as they were."""
    assert found.scores is not None
    order = np.argsort(-found.scores, kind="stable")
    masks = found.masks and tuple(found.masks[i] for i in order)
    return Objects(found.boxes_xyxy[order], found.classes[order], found.scores[order], masks)


def _outcome(
    found: Sequence[Objects], truth: Sequence[Objects], kind: Kind, occlusions: Sequence[str]
) -> npt.NDArray[np.uint16]:
    """``Matches.right`` and ``ignored``, (2, r, n), of some images, image by image, each by falling score."""
    pairs, skipped = [], []
    for ours, theirs in zip(found, truth, strict=True):
        same = ours.classes[:, None] == theirs.classes[None]
        pairs.append(np.where(same, overlaps(ours, theirs, kind), 0.0))
        skipped.append(_not_counted(theirs, kind, occlusions))
    right, ignored = [], []
    for ours, taken, skip in zip(found, assign(pairs, skipped, IOU_THRESHOLDS), skipped, strict=True):
        # With one more truth at the end that is not to be ignored, -1 (none taken) is an index like any other.
        on_ignored = np.pad(skip, ((0, 0), (0, 1)))[np.arange(len(skip))[:, None], taken]
        outside = np.pad(_outside(areas(ours, kind)), ((0, len(occlusions)), (0, 0))).T
        right.append(_bits((taken >= 0) & ~on_ignored))
        ignored.append(_bits(on_ignored | ((taken < 0) & outside[:, :, None])))
    return np.stack([np.concatenate(right).T, np.concatenate(ignored).T])


def _bits(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint16]:
    """The last axis as one number, its first element in bit 0."""
    return np.asarray((flags * (1 << np.arange(flags.shape[-1], dtype=np.uint16))).sum(axis=-1, dtype=np.uint16))


def _outside(area: Floats) -> npt.NDArray[np.bool_]:
    """(4, n): whether an object lies outside of each area range."""
    low, high = np.array(list(AREA_RANGES.values())).T
    return np.asarray((area < low[:, None]) | (area > high[:, None]))


def _not_counted(truth: Objects, kind: Kind, occlusions: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(r, n): whether a true object lies outside of each range."""
    own = np.array(truth.occlusions or [None] * len(truth.classes), object)
    return np.concatenate([_outside(areas(truth, kind)), *((own != name)[None] for name in occlusions)])


def _ranks(images: npt.NDArray[np.int64], classes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Place of each detection among those of its image and class; detections come image by image, by falling score."""
    order = np.lexsort((classes, images))
    same = (np.diff(images[order], prepend=-1) == 0) & (np.diff(classes[order], prepend=-1) == 0)
    place = np.arange(len(order))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = place - np.maximum.accumulate(np.where(same, 0, place))
    return ranks


def _drives(results: Sequence[ImageResult]) -> npt.NDArray[np.int64]:
    numbers: dict[str | int, int] = {}
    owners = (i if result.drive_id is None else result.drive_id for i, result in enumerate(results))
    return np.array([numbers.setdefault(owner, len(numbers)) for owner in owners], np.int64)


def _truths(truth: Sequence[Objects], classes: int, kind: Kind, occlusions: Sequence[str]) -> npt.NDArray[np.int64]:
    truths = np.zeros((len(truth), classes, len(AREA_RANGES) + len(occlusions)), np.int64)
    for image, objects in enumerate(truth):
        np.add.at(truths[image], objects.classes, ~_not_counted(objects, kind, occlusions).T)
    return truths


def _check(result: ImageResult, classes: int, kind: Kind) -> None:
    for what, objects in (("truth", result.truth), ("detections", result.found)):
        where, n = f"image {result.key}: its {what}", len(objects.classes)
        if len(objects.boxes_xyxy) != n or not np.isfinite(objects.boxes_xyxy).all():
            raise ConfigError(f"{where}: {len(objects.boxes_xyxy)} boxes, {n} classes; expected a finite box an object")
        if len(objects.occlusions) not in (0, n):
            raise ConfigError(f"{where}: {len(objects.occlusions)} occlusions, {n} classes; expected one each or none")
        if n and not 0 <= objects.classes.min() <= objects.classes.max() < classes:
            raise ConfigError(f"{where}: class {objects.classes.max()}; expected 0 to {classes - 1}, one of the names")
        if kind == "mask" and n and len(objects.masks or ()) != n:
            raise ConfigError(
                f"{where}: {len(objects.masks or ())} masks for {n} objects; expected one each, or kind box"
            )
    scores = result.found.scores
    if scores is None or len(scores) != len(result.found.classes) or not np.isfinite(scores).all():
        raise ConfigError(f"image {result.key}: its detections: expected a finite score each")
    sizes = {tuple(mask["size"]) for objects in (result.truth, result.found) for mask in objects.masks or ()}
    if kind == "mask" and len(sizes) > 1:
        raise ConfigError(f"image {result.key}: masks of {sorted(sizes)} pixels; expected one size, the image's own")
