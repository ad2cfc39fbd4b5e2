"""A labelled image and a dataset of them, whatever format they were read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Task: TypeAlias = Literal["detect", "segment", "semantic"]
Outline: TypeAlias = npt.NDArray[np.float32]  # (k, 2) x, y in pixels, k >= 3


BACKGROUND_PIXELS, VOID_PIXELS = -1, -2  # in a palette, beside the indices of classes


@dataclass(frozen=True)
class Palette:
    """What the values of a dataset's label maps mean.

    Attributes:
        meaning: of each value that may be there: the index of a class, `BACKGROUND_PIXELS`, or `VOID_PIXELS` for what
            is neither learnt nor scored.
        of_colours: a value is a colour, red * 65536 + green * 256 + blue; else it is the number of the pixel itself.
    """

    meaning: Mapping[int, int]
    of_colours: bool


@dataclass(frozen=True, slots=True)
class LabelMapFile:
    """An image file whose pixels are the classes of another image's.

    Attributes:
        key: below the dataset's root.
        palette: what its values mean.
    """

    key: str
    palette: Palette


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image and the objects in it.

    Attributes:
        key: of the image file, below the dataset's root.
        width_px, height_px: upright, with EXIF orientation applied.
        classes: (n,) int64 indices into the dataset's names.
        boxes_xyxy: (n, 4) float32 pixels, inside the image.
        outlines: one an object, each of one or more polygons; None in a dataset of boxes.
        drive_id: the survey drive it was taken on; None where the dataset does not say.
        conditions: night, rain, blur and the like, each once, sorted; empty where the dataset does not say.
        occlusions: a name of `occlusion.OCCLUSIONS` an object, None where it is not known; empty where none is.
        label_map: the classes of its pixels, where a file has them; there are no objects then.
    """

    key: str
    width_px: int
    height_px: int
    classes: npt.NDArray[np.int64]
    boxes_xyxy: npt.NDArray[np.float32]
    outlines: tuple[tuple[Outline, ...], ...] | None = None
    drive_id: str | None = None
    conditions: tuple[str, ...] = ()
    occlusions: tuple[str | None, ...] = ()
    label_map: LabelMapFile | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled images by split.

    Attributes:
        root: folder or ``s3://`` prefix that the images' keys are below.
        task: detect, segment where every object has an outline, semantic where classes of pixels are wanted: every
            object has an outline, or every image a label map.
        names: class names; a class index counts in them.
        splits: images by split name (train, val, test).
    """

    root: str
    task: Task
    names: tuple[str, ...]
    splits: Mapping[str, tuple[LabelledImage, ...]]
