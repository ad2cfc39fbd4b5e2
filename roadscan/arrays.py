"""The array types that signatures name, and grouping; what the axes are stands in each module's legend."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Floats32: TypeAlias = npt.NDArray[np.float32]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Image: TypeAlias = npt.NDArray[np.uint8]  # (height, width) or (height, width, channels)


def group_by(values: Ints, label: Ints) -> list[Ints]:
    """The values of each label, in the order of the labels.

    >>> [part.tolist() for part in group_by(np.array([5, 6, 7]), np.array([1, 0, 1]))]
    [[6], [5, 7]]
    """
    order = np.argsort(label, kind="stable")
    return np.split(values[order], np.flatnonzero(np.diff(label[order])) + 1) if len(label) else []
