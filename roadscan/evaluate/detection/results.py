"""What was there and what was found, image by image: the input of every score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects in one image.

    Attributes:
        boxes_xyxy: (n, 4) float32, pixels of the original image.
        classes: (n,) int64 class indices.
        scores: (n,) float32 in 0..1; None for truth.
        masks: one COCO compressed RLE dict (``size``, ``counts``) an object; None where only boxes are known.
        occlusions: of truth, as of `LabelledImage`.
    """

    boxes_xyxy: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32] | None = None
    masks: tuple[dict[str, Any], ...] | None = None
    occlusions: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageResult:
    """One image: its truth and what a model found in it.

    Attributes:
        key: of the image.
        truth, found: objects there and objects found.
        drive_id: confidence intervals resample drives; None makes the image a drive of its own.
        conditions: night, rain and the like.
    """

    key: str
    truth: Objects
    found: Objects
    drive_id: str | None = None
    conditions: tuple[str, ...] = ()
