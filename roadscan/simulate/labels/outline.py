"""A mask to one polygon, as the label files of segmentation want it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def outline(mask: NDArray[np.bool_], x0: int, y0: int) -> list[tuple[float, float]]:
    """One polygon around all pixels of a mask, in image pixels; separate pieces are joined by lines of no width.

    Args:
        mask: bool, shape (h, w).
        x0: column of its corner in the image.
        y0: row of its corner.
    """
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    pieces = [np.asarray(c[:, 0, :]) for c in found if len(c) >= 3 and cv2.contourArea(c) >= 8.0]
    if not pieces:
        pieces = [np.asarray(c[:, 0, :]) for c in found if len(c) >= 3][:1]
    if not pieces:
        return []
    pieces.sort(key=lambda piece: -float(cv2.contourArea(piece)))
    whole = pieces[0]
    for piece in pieces[1:]:
        gap = ((whole[:, None, :] - piece[None]) ** 2).sum(axis=2)
        a, b = np.unravel_index(int(gap.argmin()), gap.shape)
        turned = np.roll(piece, -int(b), axis=0)
        whole = np.concatenate([whole[: a + 1], turned, turned[:1], whole[a:]])
    return [(float(x) + x0 + 0.5, float(y) + y0 + 0.5) for x, y in whole]
