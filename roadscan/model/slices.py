"""Slices: an image cut into overlapping windows at its own resolution, for objects that are too small in the whole.

A frame of 1920 columns in a network of 640 shows a sign of 24 px as 8 px. So the network sees the whole image, where
large objects are, and windows of it, where small ones are.

Source: Akyon, Altinuc, Temizel, "Slicing Aided Hyper Inference and Fine-tuning for Small Object Detection", ICIP 2022.
How what several windows show becomes one object again is `image_detections`' own way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from roadscan.config import Config, load_config
from roadscan.model.decode import Letterbox, Pixels, place

STRIDE_PX = 32  # the network's sides are multiples of it
CUT_PX = 4  # of the input: a box that ends nearer than this to a window's border may go on beyond it


class SliceConfig(Config):
    """How images are cut into slices."""

    size_px: int = Field(640, ge=64, le=4096, multiple_of=STRIDE_PX, description="side of a slice in the network")
    scale: float = Field(
        1.0,
        gt=0,
        le=4,
        description="pixels in the network for each of the image: 0.5 halves both sides of the image first",
    )
    overlap_px: int = Field(
        128,
        ge=16,
        description="of neighbours, in the network; an object that is smaller by 8 px is whole in some slice",
    )
    rows: tuple[float, float] = Field(
        (0.0, 1.0), description="what of the image's height is sliced: far objects lie about the horizon; [0.3, 0.6]"
    )

    @model_validator(mode="after")
    def _possible(self) -> SliceConfig:
        if self.overlap_px > self.size_px // 2:
            raise ValueError(
                f"slices.overlap_px: got {self.overlap_px} of slices of {self.size_px} px; expected up to half of them"
            )
        if not 0 <= self.rows[0] < self.rows[1] <= 1:
            raise ValueError(f"slices.rows: got {list(self.rows)}; expected [from, to], 0 ≤ from < to ≤ 1")
        return self


class _Given(Config):
    slices: SliceConfig | None = None


def read_slices(text: str | None) -> SliceConfig | None:
    """Slices as they are written on the command line: YAML, such as ``{size_px: 640}``; None where nothing is.

    Raises:
        ConfigError: they cannot be.
    """
    return load_config(_Given, None, [f"slices={text}"] if text else []).slices


@dataclass(frozen=True, slots=True)
class SliceLayout:
    """The windows of an image, all of one size.

    Attributes:
        image_hw: the image's size in pixels, upright.
        letterbox: how each window lies in the network's input.
        origins_xy: each window's left and top in the image.
    """

    image_hw: tuple[int, int]
    letterbox: Letterbox
    origins_xy: tuple[tuple[int, int], ...]

    @property
    def n_slices(self) -> int:
        """How many windows there are."""
        return len(self.origins_xy)

    @property
    def slice_hw(self) -> tuple[int, int]:
        """The size of each in the network."""
        return self.letterbox.input_hw

    def cut(self, image: npt.NDArray[Any]) -> Pixels:
        """An image (h, w, 3) -> the network's inputs (n, h, w, 3) of its windows."""
        height, width = self.letterbox.image_hw
        return np.stack([place(image[y : y + height, x : x + width], self.letterbox) for x, y in self.origins_xy])

    def is_cut(
        self, boxes_xyxy: npt.NDArray[np.float32], window_xyxy: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.bool_]:
        """Whether an object may go on beyond what a view shows of it; the image's own border cuts nothing.

        Args:
            boxes_xyxy: (n, 4) pixels of the image, found in this view.
            window_xyxy: (4,) what it shows.
        """
        inside = np.array([1, 1, -1, -1]) * (boxes_xyxy - window_xyxy)
        inner = window_xyxy != np.array([0, 0, *self.image_hw[::-1]])
        cut: npt.NDArray[np.bool_] = (inner & (inside < CUT_PX / min(self.letterbox.scale))).any(1)
        return cut


@lru_cache(maxsize=64)
def plan_slices(image_hw: tuple[int, int], config: SliceConfig) -> SliceLayout:
    """An image's size -> its windows, evenly spread, from the left to the right and from the top down.

    >>> plan_slices((1080, 1920), SliceConfig(rows=(0.3, 0.6))).origins_xy
    ((0, 324), (427, 324), (853, 324), (1280, 324))
    """
    height, width = image_hw
    top, bottom = (
        round(config.rows[0] * height),
        max(round(config.rows[1] * height), round(config.rows[0] * height) + 1),
    )
    side, overlap = round(config.size_px / config.scale), round(config.overlap_px / config.scale)
    window = min(side, bottom - top), min(side, width)
    inner = max(round(window[0] * config.scale), 1), max(round(window[1] * config.scale), 1)
    padded = -(-inner[0] // STRIDE_PX) * STRIDE_PX, -(-inner[1] // STRIDE_PX) * STRIDE_PX
    letterbox = Letterbox(window, padded, inner, 0, 0)
    tops = [top + start for start in _starts(bottom - top, window[0], overlap)]
    origins = tuple((left, y) for y in tops for left in _starts(width, window[1], overlap))
    return SliceLayout(image_hw, letterbox, origins)


def n_slices(image_hw: tuple[int, int], config: SliceConfig | None) -> int:
    """How many slices an image has."""
    return 0 if config is None else len(plan_slices(image_hw, config).origins_xy)


def _starts(length: int, window: int, overlap: int) -> list[int]:
    """Where windows begin that cover a length and overlap by at least so much."""
    gaps = -(-(length - window) // (window - overlap)) if length > window else 0
    return [round(number * (length - window) / gaps) for number in range(gaps + 1)] if gaps else [0]
