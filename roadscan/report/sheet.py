"""A sheet of images, one a row, with what is drawn on them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from roadscan.arrays import Image
from roadscan.errors import DatasetError
from roadscan.report.drawing import INK, SOFT
from roadscan.storage import MAX_IMAGE_BYTES, open_store

Handle: TypeAlias = Patch | Line2D

# Inches.
PANEL_WIDTH = {2: 7.0, 3: 5.4}  # by the number of columns
PANEL_WIDTH_OF_MANY = 4.4
PANEL_WIDTH_OF_MORE = 2.6  # than MANY columns, so that what is written stays legible where the whole is scaled down
MANY = 5
HEAD, FOOT, LEGEND_LINE, MARGIN, GAP, CAPTION = 0.5, 0.3, 0.26, 0.34, 0.09, 0.27


class Sheet:
    """A grid of panels with headings, captions, and a legend below; lengths in inches from the upper left corner."""

    def __init__(self, headings: Sequence[str], aspects: Sequence[float], handles: Sequence[Handle]) -> None:
        many = PANEL_WIDTH_OF_MANY if len(headings) <= MANY else PANEL_WIDTH_OF_MORE
        self.width = PANEL_WIDTH.get(len(headings), many)
        self.heights = [self.width * aspect for aspect in aspects]
        self._tops = HEAD + np.cumsum([0.0, *(height + CAPTION + GAP for height in self.heights)])
        across = MARGIN + len(headings) * (self.width + GAP)
        per_line = max(int(across // (0.6 + 0.07 * max(len(str(handle.get_label())) for handle in handles))), 1)
        foot = FOOT + LEGEND_LINE * -(-len(handles) // per_line)
        self.figure = Figure(figsize=(across, float(self._tops[-1]) + foot))
        for column, heading in enumerate(headings):
            self._text(self._left(column), HEAD / 2, heading, color=INK, fontsize=13, fontweight="bold")
        self.figure.legend(
            handles=handles, loc="lower center", bbox_to_anchor=(0.5, 0.0), ncols=min(per_line, len(handles)),
            frameon=False, fontsize=10, labelcolor=INK, handlelength=1.7, columnspacing=1.6,
        )  # fmt: skip

    def axis(self, row: int, column: int, caption: str) -> Axes:
        """Axes for a panel, without a frame."""
        (across, down), left, top = self.figure.get_size_inches(), self._left(column), float(self._tops[row])
        height = self.heights[row]
        axis = self.figure.add_axes((left / across, 1 - (top + height) / down, self.width / across, height / down))
        axis.set_axis_off()
        self._text(left, top + height + CAPTION / 2, caption, color=SOFT, fontsize=9)
        return axis

    def label(self, row: int, text: str) -> None:
        """What stands at the left of a row."""
        middle = float(self._tops[row]) + self.heights[row] / 2
        self._text(MARGIN / 2, middle, text, rotation=90, ha="center", color=SOFT, fontsize=10)

    def _left(self, column: int) -> float:
        return MARGIN + column * (self.width + GAP)

    def _text(self, x: float, y: float, text: str, **style: Any) -> None:
        across, down = self.figure.get_size_inches()
        self.figure.text(x / across, 1 - y / down, text, va="center", **style)


def read_rgb(root: str | Path, key: str) -> Image:
    """An image of a dataset, (h, w, 3) uint8 RGB.

    Raises:
        DatasetError: it cannot be decoded.
    """
    data = np.frombuffer(open_store(root).read(key, max_bytes=MAX_IMAGE_BYTES), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if image is None:
        raise DatasetError(f"{root}/{key}: cannot be decoded as an image")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def shrunk_to(width_px: int, image: Image) -> Image:
    """An image (h, w, 3), as wide as it is in the picture."""
    scale = width_px / image.shape[1]
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
