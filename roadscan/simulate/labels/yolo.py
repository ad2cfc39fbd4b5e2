"""Labels and outlines to the lines of a YOLO label file.

A line is ``class cx cy w h`` of a box, or ``class x1 y1 x2 y2 …`` of an outline, all in 0..1 of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from roadscan.simulate.labels.policy import Label

Task = Literal["detect", "segment", "semantic"]


def label_lines(
    labels: Sequence[Label],
    outlines: Sequence[Sequence[tuple[float, float]]],
    names: tuple[str, ...],
    size_wh: tuple[int, int],
    task: Task,
) -> list[tuple[Label, str]]:
    """Labels of a frame to those that have a line in its label file, each with it.

    Args:
        labels: of the frame.
        outlines: but for task detect, the polygon of each label in pixels.
        names: the data set's classes; labels of others are left out.
        size_wh: width and height of the image in pixels.
        task: boxes or outlines.
    """
    size = np.array(size_wh, np.float64)
    lines: list[tuple[Label, str]] = []
    for index, label in enumerate(labels):
        if label.name not in names:
            continue
        if task == "detect":
            low, high = np.array(label.box_xyxy[:2]) / size, np.array(label.box_xyxy[2:]) / size
            values = np.concatenate([(low + high) / 2, high - low])
        else:
            values = (np.array(outlines[index]).reshape(-1, 2) / size).ravel()
            if len(values) < 6:
                continue
        line = " ".join([str(names.index(label.name)), *(f"{v:.6f}" for v in np.clip(values, 0, 1))])
        lines.append((label, line))
    return lines
