"""What a dataset's label files say, before the images themselves have been looked at.

Each format makes a `Draft`; `Draft.finish` makes the `Dataset` once the sizes of the images are known. What is wrong
with a dataset is collected as `Problem`s, so that a user sees all of it at once and not one a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from roadscan.dataset.files import Files
from roadscan.dataset.records import Dataset, LabelledImage, LabelMapFile, Task
from roadscan.errors import DatasetError

Points: TypeAlias = npt.NDArray[np.float64]  # (k, 2) x, y as shares of the image's width and height
Kind: TypeAlias = Literal[
    "bad label",
    "missing image",
    "corrupt image",
    "wrong size",
    "drive in two splits",
    "image in two splits",
    "similar images in two splits",
    "image twice",
    "label twice",
    "label without image",
    "label left out",
    "class without object",
    "missing split",
    "split without objects",
    "name not in NFC",
    "file not read",
    "path elsewhere",
]

SPLITS = ("train", "val", "test")
LISTED = 20  # problems that a message lists; thousands are usually one mistake
#: A box may reach this share of the image's side over its edge and is clipped; more is a mistake. Labels with three
#: decimals are off by 0.0005.
EDGE_TOLERANCE = 1e-3


class Size(NamedTuple):
    """The size of an upright image, in pixels."""

    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with a dataset.

    Attributes:
        kind: what sort.
        where: the file, below the dataset's root, with the line or the annotation.
        text: what was got and what was expected.
    """

    kind: Kind
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(frozen=True, slots=True)
class DraftImage:
    """One image as its labels describe it; coordinates are shares of its size.

    Attributes:
        key: of the image file, below the dataset's root.
        size: where the labels say it.
        classes: one index an object.
        boxes: (n, 4) x1, y1, x2, y2.
        outlines: one an object, each of one or more polygons; empty in a dataset of boxes.
        drive_id, conditions, occlusions, label_map: as in `LabelledImage`.
    """

    key: str
    size: Size | None
    classes: Sequence[int]
    boxes: npt.NDArray[np.float64]
    outlines: Sequence[tuple[Points, ...]]
    drive_id: str | None = None
    conditions: tuple[str, ...] = ()
    occlusions: tuple[str | None, ...] = ()
    label_map: LabelMapFile | None = None


@dataclass(frozen=True)
class Reading:
    """A dataset and what is wrong with it; images and objects with errors are left out.

    Attributes:
        dataset: the rest.
        errors: why it must not be used as it is.
        warnings: what a user may want to know.
        without_label_file: keys of images that have none, so that they count as background.
    """

    dataset: Dataset
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    without_label_file: frozenset[str]


@dataclass
class Draft:
    """A dataset as its label files describe it.

    Attributes:
        files: where images and labels are.
        task: as in `Dataset`.
        names: of the classes.
        splits: images by split.
        errors, warnings, without_label_file: as in `Reading`.
    """

    files: Files
    task: Task
    names: tuple[str, ...]
    splits: dict[str, list[DraftImage]]
    errors: list[Problem]
    warnings: list[Problem]
    without_label_file: frozenset[str] = frozenset()

    @property
    def image_keys(self) -> list[str]:
        """All images, each once."""
        return list(dict.fromkeys(image.key for images in self.splits.values() for image in images))

    @property
    def label_map_keys(self) -> list[str]:
        """All label maps, each once."""
        files = [image.label_map for images in self.splits.values() for image in images]
        return list(dict.fromkeys(file.key for file in files if file is not None))

    @property
    def has_sizes(self) -> bool:
        """Whether the labels give every image's size."""
        return all(image.size is not None for images in self.splits.values() for image in images)

    def finish(self, sizes: Mapping[str, Size | Problem]) -> Reading:
        """The dataset.

        Args:
            sizes: of the images, or what is wrong with them; one that is not in it has the size that the labels say.
        """
        errors = list(self.errors)
        splits = {}
        for split, images in self.splits.items():
            made = []
            for image in images:
                size = _agreed_size(image, sizes.get(image.key, image.size))
                if isinstance(size, Problem):
                    errors.append(size)
                else:
                    made.append(_finished(image, size, self.task))
            splits[split] = tuple(made)
        dataset = Dataset(self.files.store.uri, self.task, self.names, splits)
        return Reading(dataset, tuple(dict.fromkeys(errors)), tuple(self.warnings), self.without_label_file)


def refuse(errors: Sequence[Problem], uri: str) -> None:
    """Raise `DatasetError` with the first `LISTED` errors and their number, if there are any."""
    if errors:
        raise DatasetError(
            f"dataset {uri}: {len(errors)} {'errors' if len(errors) > 1 else 'error'}:\n{listed(errors)}\n"
            "correct them; 'roadscan dataset check' lists them all"
        )


def listed(problems: Sequence[Problem], most: int = LISTED) -> str:
    """The first problems, one a line, and how many more there are."""
    lines = [f"  {problem}" for problem in problems[:most]]
    if len(problems) > most:
        lines.append(f"  and {len(problems) - most} more")
    return "\n".join(lines)


def fault_of(points: Points) -> str | None:
    """Why corners or an outline are no object; None if they are one.

    >>> fault_of(np.array([[0.2, 0.2], [1.3, 0.4]]))
    'reaches outside of the image: x 0.2 to 1.3, y 0.2 to 0.4; expected 0 to 1'
    """
    if not np.isfinite(points).all():
        return "has a coordinate that is not a finite number"
    (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
    if min(left, top) < -EDGE_TOLERANCE or max(right, bottom) > 1 + EDGE_TOLERANCE:
        return (
            f"reaches outside of the image: x {left:.6g} to {right:.6g}, y {top:.6g} to {bottom:.6g}; expected 0 to 1"
        )
    if not (min(right, 1) > max(left, 0) and min(bottom, 1) > max(top, 0)):
        return f"has no area: x {left:.6g} to {right:.6g}, y {top:.6g} to {bottom:.6g}"
    return None


def boxes_around(outlines: Iterable[tuple[Points, ...]]) -> npt.NDArray[np.float64]:
    """(n, 4) extents of objects."""
    extents = [
        (*np.min([part.min(0) for part in parts], 0), *np.max([part.max(0) for part in parts], 0)) for parts in outlines
    ]
    return np.array(extents, np.float64).reshape(-1, 4)


def check_names(names: Sequence[Any], where: str) -> tuple[str, ...]:
    """Class names, as a tuple.

    Raises:
        DatasetError: there are none, one is empty, or two are the same.
    """
    texts = tuple(str(name).strip() for name in names)
    if not texts or not all(texts) or len(set(texts)) < len(texts):
        raise DatasetError(f"{where}: class names are {list(names)}; expected at least one, each once, none empty")
    return texts


def _agreed_size(image: DraftImage, measured: Size | Problem | None) -> Size | Problem:
    if measured is None:
        return Problem("corrupt image", image.key, "its size is not known")
    if isinstance(measured, Problem) or image.size in (None, measured):
        return measured
    got, said = f"{measured[0]}x{measured[1]}", f"{image.size[0]}x{image.size[1]}"
    return Problem("wrong size", image.key, f"the upright image is {got} px, its labels say {said} px")


def _finished(image: DraftImage, size: Size, task: Task) -> LabelledImage:
    scale = np.array(size, np.float64)
    outlines = tuple(tuple((part.clip(0, 1) * scale).astype(np.float32) for part in parts) for parts in image.outlines)
    return LabelledImage(
        key=image.key,
        width_px=size.width_px,
        height_px=size.height_px,
        classes=np.array(image.classes, np.int64),
        boxes_xyxy=(image.boxes.clip(0, 1) * np.tile(scale, 2)).astype(np.float32),
        outlines=outlines if task != "detect" else None,
        drive_id=image.drive_id,
        conditions=image.conditions,
        occlusions=image.occlusions,
        label_map=image.label_map,
    )
