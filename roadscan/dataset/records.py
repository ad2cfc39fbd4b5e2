"""A labelled image and a dataset of them, whatever format they were read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Task: TypeAlias = Literal["detect", "segment"]
Outline: TypeAlias = npt.NDArray[np.float32]  # (k, 2) x, y in pixels, k >= 3


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


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled images by split.

    Attributes:
        root: folder or ``s3://`` prefix that the images' keys are below.
        task: segment where every object has an outline, else detect.
        names: class names; a class index counts in them.
        splits: images by split name (train, val, test).
    """

    root: str
    task: Task
    names: tuple[str, ...]
    splits: Mapping[str, tuple[LabelledImage, ...]]
