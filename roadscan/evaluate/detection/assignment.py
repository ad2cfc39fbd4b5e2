"""Who gets which truth: detections choose one after another, the most confident first, in many images at once.

A detection takes the free truth that it overlaps most, if that is at least the threshold; one that counts before one
that is to be ignored. This is the rule of the COCO evaluation. (pycocotools runs it in one loop over images, thresholds
and detections; here the k-th detections of all images choose together, at all thresholds and for all area ranges.)

Letters in shapes: a area ranges, t thresholds, d detections of an image, g truths of an image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats


def assign(
    overlaps: Sequence[Floats], ignored: Sequence[npt.NDArray[np.bool_]], thresholds: Floats
) -> list[npt.NDArray[np.int16]]:
    """Give every detection its truth.

    Args:
        overlaps: an (d, g) array an image, detections by falling score; 0 where the pair must not be made.
        ignored: an (a, g) array an image: truths that do not count. With equal overlap the later truth is taken.
        thresholds: (t,), each above 0.

    Returns:
        A (d, a, t) array an image: index of the truth taken, or -1.
    """
    taken = [
        np.full((len(pairs), len(skip), len(thresholds)), -1, np.int16)
        for pairs, skip in zip(overlaps, ignored, strict=True)
    ]
    # Only detections that reach the lowest threshold can take a truth. Images with about as many truths go together,
    # so that little room is lost to padding.
    rows = [np.flatnonzero((pairs >= thresholds.min()).any(axis=1)) for pairs in overlaps]
    together: defaultdict[int, list[int]] = defaultdict(list)
    for image, candidates in enumerate(rows):
        if len(candidates):
            together[1 << (overlaps[image].shape[1] - 1).bit_length()].append(image)
    for width, images in together.items():
        images.sort(key=lambda image: -len(rows[image]))
        pairs = _padded([overlaps[image][rows[image]] for image in images], width)
        skip = np.stack([np.pad(ignored[image], ((0, 0), (0, width - ignored[image].shape[1]))) for image in images])
        counts = np.array([len(rows[image]) for image in images])
        choices = np.split(_choose(pairs, skip, thresholds, counts), np.cumsum(counts)[:-1])
        for image, chosen in zip(images, choices, strict=True):
            taken[image][rows[image]] = chosen
    return taken


def _padded(blocks: Sequence[Floats], width: int) -> Floats:
    return np.concatenate([np.pad(block, ((0, 0), (0, width - block.shape[1]))) for block in blocks])


def _choose(
    pairs: Floats, ignored: npt.NDArray[np.bool_], thresholds: Floats, counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int16]:
    """The choices of candidates, concatenated over images of falling number of candidates.

    Args:
        pairs: (sum of counts, g).
        ignored: (images, a, g).
        thresholds: (t,).
        counts: (images,), falling.
    """
    width = pairs.shape[1]
    # Overlaps become ranks, so that "counts before ignored, then overlap, then the later one" is one integer.
    rank = np.argsort(np.argsort(pairs, axis=1, kind="stable"), axis=1).astype(np.int32)
    bonus = np.where(ignored, 0, width).astype(np.int32)
    free = np.ones((len(counts), ignored.shape[1], len(thresholds), width), np.bool_)
    starts = np.cumsum(counts) - counts
    chosen = np.full((len(pairs), ignored.shape[1], len(thresholds)), -1, np.int16)
    for turn in range(int(counts[0])):
        n = int(np.searchsorted(-counts, -turn))  # images with more than `turn` candidates
        row = starts[:n] + turn
        eligible = free[:n] & (pairs[row][:, None, :] >= thresholds[:, None])[:, None]
        wish = np.where(eligible, (rank[row][:, None] + bonus[:n])[:, :, None], -1)
        best = wish.argmax(axis=3)
        granted = np.take_along_axis(wish, best[..., None], axis=3)[..., 0] >= 0
        chosen[row] = np.where(granted, best, -1)
        image, area, threshold = np.nonzero(granted)
        free[image, area, threshold, best[granted]] = False
    return chosen
