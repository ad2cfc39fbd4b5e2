"""Which drives a region's next build leaves out: those whose road has been driven often enough since.

Legend: D drives, F frames of one, C cells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from roadscan.arrays import Bools
from roadscan.inventory.drive.passes import DrivePass

CELL_M = 1000.0
WAYS = 4  # directions of travel that are told apart: a carriageway is not seen from the other one
SHARE = 0.9  # of a drive's frames that must be in such cells: the others may be where it alone strayed to


def left_out(drives: Sequence[DrivePass], window: int) -> Bools:
    """Which drives (D,) have, almost wherever they were, at least `window` later ones on the same way.

    So have those that were driven before one of them in the same places: what a prior says must be of earlier drives.

    Args:
        drives: in the order in which they were driven, all in the same ENU metres.
        window: how many passes of each stretch of road are weighed together.
    """
    later: Counter[tuple[int, ...]] = Counter()
    settled: set[tuple[int, ...]] = set()
    out = np.zeros(len(drives), bool)
    for number in range(len(drives) - 1, -1, -1):
        cells, frames = _cells(drives[number])
        enough = sum(n for cell, n in zip(cells, frames, strict=True) if later[cell] >= window)
        out[number] = enough >= SHARE * sum(frames) or not settled.isdisjoint(cells)
        if out[number]:
            settled.update(cells)
        later.update(cells)
    return out


def _cells(drive: DrivePass) -> tuple[list[tuple[int, ...]], list[int]]:
    """Where a drive was, (C,): cells of `CELL_M` by `CELL_M` and one of `WAYS`, and how many frames were in each."""
    way = np.round(drive.path.course_at(drive.poses.s) / (2 * np.pi) * WAYS) % WAYS
    places = np.stack([*(drive.camera_xy / CELL_M).T, way], axis=1)
    cells, frames = np.unique(np.floor(places).astype(np.int64), axis=0, return_counts=True)
    return [tuple(cell) for cell in cells.tolist()], frames.tolist()
