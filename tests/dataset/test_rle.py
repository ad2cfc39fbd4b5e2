"""Masks as outlines."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy
from pycocotools import mask as coco
from scipy import ndimage

from roadscan.dataset.rle import mask_of_rle, outlines_of_mask

masks = of_numpy.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1))


def drawn(outlines: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """The outlines as a mask again, as COCO draws them."""
    runs = coco.frPyObjects([outline.ravel().tolist() for outline in outlines], *shape)
    return coco.decode(coco.merge(runs))


@settings(max_examples=150, deadline=None)
@given(masks)
def test_one_outline_a_part_and_the_same_extents(mask: np.ndarray) -> None:
    outlines = outlines_of_mask(mask)
    _, count = ndimage.label(mask, np.ones((3, 3)))
    filled = ndimage.binary_fill_holes(mask, np.ones((3, 3)))
    outer, _ = ndimage.label(filled, np.ones((3, 3)))
    assert len(outlines) == outer.max() <= count
    assert all(len(outline) >= 3 for outline in outlines)
    if not count:
        return
    ys, xs = np.nonzero(mask)
    extent = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    points = np.concatenate(outlines)
    np.testing.assert_allclose([*points.min(0), *points.max(0)], extent, atol=0.5)  # simplified by up to half a pixel


def test_a_pixel_is_a_square() -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[2, 3] = 1
    (outline,) = outlines_of_mask(mask)
    assert sorted(outline.tolist()) == [[3, 2], [3, 3], [4, 2], [4, 3]]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools with NumPy 2
@pytest.mark.parametrize("radius", [6, 20, 60])
def test_a_drawn_outline_covers_its_mask(radius: int) -> None:
    mask = np.zeros((160, 200), np.uint8)
    cv2.ellipse(mask, (90, 75), (radius, radius * 2 // 3), 30, 0, 360, 1, -1)
    outlines = outlines_of_mask(mask)
    again = drawn(outlines, mask.shape)
    overlap = (mask & again).sum() / (mask | again).sum()
    assert overlap > 0.97
    assert len(outlines[0]) <= 2 * np.pi * radius / 2 + 8  # about half as many points as the outline has pixels


@settings(max_examples=150, deadline=None)
@given(masks)
def test_runs_are_read_as_coco_writes_them(mask: np.ndarray) -> None:
    height, width = mask.shape
    runs = coco.encode(np.asfortranarray(mask))
    compressed = {"size": [height, width], "counts": str(runs["counts"], "ascii")}
    assert mask_of_rle(compressed, width, height).tolist() == mask.tolist()
    changes = np.flatnonzero(np.diff(mask.ravel(order="F"), prepend=0))
    counts = np.diff([0, *changes, mask.size]).tolist()
    assert mask_of_rle({"size": [height, width], "counts": counts}, width, height).tolist() == mask.tolist()


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(max_codepoint=130), max_size=12))
def test_any_text_is_a_mask_or_refused(text: str) -> None:
    try:
        mask = mask_of_rle({"size": [20, 30], "counts": text}, 30, 20)
    except ValueError:
        return
    assert mask.shape == (20, 30)
    assert mask.max() <= 1
