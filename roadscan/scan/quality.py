"""How light and how blurred a frame is: why a drive may have seen little.

Both are measured on the network's input, so that a frame is decoded once: light on all of it, blur on the middle half
of its rows, where roads and what stands beside them are, brought to one width, so that cameras and models compare.

Source: Crete, Dolmiere, Ladret and Nicolas, The Blur Effect: Perception and Estimation with a New No-reference
Perceptual Blur Metric, Proceedings of SPIE 6492, 2007 (https://doi.org/10.1117/12.702790). A picture that is blurred
once more loses most of the differences between neighbours if it was sharp, and few if it was not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.model.image_input import ImageInput

#: Longer side at which frames are compared.
LONGER_PX = 640
#: Neighbours that the mean of the source is over.
TAPS = 9
#: Sensor noise looks sharp, also in a picture that is not; it is averaged over so many pixels first.
NOISE_PX = (3, 3)
#: ITU-R BT.601.
LUMINANCE_BGR = (0.114, 0.587, 0.299)

#: Below this mean luminance a frame is dark: simulated nights are, and no photograph by day.
DARK = 0.3
#: From this blur on a frame is blurred. Of 40 photographs of roads none is (up to 0.51); of the same, moved by 15 px,
#: more than half are, and by 27 px nearly all. At night noise hides some of it.
BLURRED = 0.55


Neighbours: TypeAlias = "tuple[cv2.typing.MatLike, cv2.typing.MatLike]"


@dataclass(frozen=True, slots=True)
class HardFrames:
    """How many frames are dark, and how many blurred."""

    dark: int = 0
    blurred: int = 0


@dataclass(frozen=True, slots=True)
class Quality:
    """How a frame looks.

    Attributes:
        light: mean luminance, 0 black to 1 white.
        blur: 0 sharp to 1; that of the direction in which it is more, so that motion counts.
    """

    light: float
    blur: float


def quality_of(image: ImageInput) -> Quality:
    """A frame as the network is given it -> how light and how blurred it is."""
    box = image.letterbox
    height, width = box.inner_hw
    inner = image.pixels[box.top : box.top + height, box.left : box.left + width]
    light = float(np.dot(cv2.mean(inner)[:3], LUMINANCE_BGR)) / 255
    grey = cv2.cvtColor(inner[height // 4 : max(height * 3 // 4, 1)], cv2.COLOR_BGR2GRAY)
    scale = LONGER_PX / max(height, width)
    if scale != 1:
        size = max(round(grey.shape[1] * scale), 1), max(round(grey.shape[0] * scale), 1)
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return Quality(light, blur_effect(cv2.blur(grey, NOISE_PX)))


def blur_effect(grey: cv2.typing.MatLike) -> float:
    """A grey picture (h, w), uint8 -> its blur effect, 0 sharp to 1; of a picture of one value it is 1."""
    across, down = cv2.blur(grey, (TAPS, 1)), cv2.blur(grey, (1, TAPS))
    return max(
        _kept((grey[:, 1:], grey[:, :-1]), (across[:, 1:], across[:, :-1])),
        _kept((grey[1:], grey[:-1]), (down[1:], down[:-1])),
    )


def _kept(before: Neighbours, after: Neighbours) -> float:
    """The share of the differences between neighbours that stays when the picture is blurred."""
    differences = cv2.absdiff(*before)
    total = cv2.sumElems(differences)[0]
    lost = cv2.sumElems(cv2.subtract(differences, cv2.absdiff(*after)))[0]  # what is below 0 is 0
    return 1 - lost / total if total else 1.0


def hard_frames(frames: pa.Table) -> HardFrames:
    """Rows of `FRAMES` -> how many are dark, and blurred; one may be both. Where neither is known it is neither."""
    return HardFrames(
        dark=pc.sum(pc.less(frames["light"], DARK)).as_py() or 0,
        blurred=pc.sum(pc.greater_equal(frames["blur"], BLURRED)).as_py() or 0,
    )
