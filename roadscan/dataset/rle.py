"""COCO's run-length encoding (RLE) of masks: decoded, and turned into outlines."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from roadscan.dataset.draft import Points


def outlines_of_rle(rle: Any, width_px: int, height_px: int) -> list[Points]:
    """An RLE mask -> its outer contours, in pixels, along the pixels' edges: a mask of one pixel is a square of side 1.

    Contours are simplified by at most half a pixel. Holes are filled, since an outline has none.

    Args:
        rle: COCO RLE, ``{"size": [h, w], "counts": …}``, the counts compressed (text) or a list.
        width_px: of the image.
        height_px: of the image.

    Raises:
        ValueError: it is no RLE, or of another size than the image.
    """
    return outlines_of_mask(mask_of_rle(rle, width_px, height_px))


def outlines_of_mask(mask: npt.NDArray[np.uint8]) -> list[Points]:
    """A mask (h, w), 1 inside -> its outer contours; pixels that touch at a corner belong together."""
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(ys):
        return []
    top, left = int(ys[0]), int(xs[0])
    inner = mask[top : int(ys[-1]) + 1, left : int(xs[-1]) + 1]
    # OpenCV's contours run through the centres of the outermost pixels, which makes masks half a pixel too small. So
    # the grid is doubled: odd cells are pixels, even cells the edges between them, set where a pixel beside them is.
    doubled = np.zeros((2 * inner.shape[0] + 1, 2 * inner.shape[1] + 1), np.uint8)
    doubled[1::2, 1::2] = inner
    doubled = cv2.dilate(doubled, np.ones((3, 3), np.uint8))
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [_simplified(np.asarray(contour, np.int32)) / 2 + np.array([left, top], np.float64) for contour in contours]


def _simplified(contour: npt.NDArray[np.int32]) -> Points:
    """The contour (k, 1, 2) with fewer points, at most one cell of the doubled grid away."""
    simpler = cv2.approxPolyDP(contour, 1.0, closed=True)
    kept = simpler if len(simpler) >= 3 else contour
    points: Points = kept.reshape(-1, 2).astype(np.float64)
    return points


def mask_of_rle(rle: Any, width_px: int, height_px: int) -> npt.NDArray[np.uint8]:
    """An RLE mask -> the mask (h, w), 1 inside.

    Not by pycocotools, which believes the counts: with too few of them it returns memory that it never wrote.

    Args:
        rle: as for `outlines_of_rle`.
        width_px: of the image.
        height_px: of the image.

    Raises:
        ValueError: it is no RLE, or of another size than the image.
    """
    size, counts, pixels = rle.get("size"), rle.get("counts"), width_px * height_px
    if size != [height_px, width_px]:
        raise ValueError(f"mask size is {size}; expected [height, width] of the image, [{height_px}, {width_px}]")
    if isinstance(counts, str):
        lengths = _run_lengths(counts)
    elif isinstance(counts, list) and all(isinstance(count, int) for count in counts):
        lengths = np.array(counts, object)
    else:
        raise ValueError(f"counts is a {type(counts).__name__}; expected text or a list of whole numbers")
    if (lengths < 0).any() or lengths.sum() != pixels:
        raise ValueError(f"counts do not add up to {pixels}, the image's pixels")
    values = np.arange(len(lengths), dtype=np.uint8) % 2  # outside first; pixels go down the columns
    return values.repeat(lengths.astype(np.int64)).reshape(width_px, height_px).T


def _run_lengths(text: str) -> npt.NDArray[Any]:
    """COCO's compressed text -> the lengths of the runs.

    Six bits a character, from 48: five of the number, lowest first, and whether more follow; the highest of the last
    five is the sign. From the fourth on, a number is the difference to the one two before.

    Source: cocodataset/cocoapi, common/maskApi.c, rleFrString.
    """
    codes = np.frombuffer(text.encode(), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((codes & 32) == 0)
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or ends[-1:].tolist() != [len(codes) - 1]:
        raise ValueError("counts is not COCO's compressed text")
    starts = np.concatenate([[0], ends[:-1] + 1])
    places = 5 * (np.arange(len(codes)) - starts.repeat(ends - starts + 1))
    if places.max() > 30:  # more than any image has
        raise ValueError("counts is not COCO's compressed text")
    numbers = np.add.reduceat((codes & 31) << places, starts)
    numbers -= np.where(codes[ends] & 16, 1 << (places[ends] + 5), 0)
    numbers[1::2] = numbers[1::2].cumsum()
    numbers[2::2] = numbers[2::2].cumsum()
    return numbers
