"""What two label maps come to, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from roadscan.dataset.label_maps import VOID_VALUE
from roadscan.evaluate.semantic.results import TOLERANCE, boundary_f1_of, confusion_of

SIZE = 400  # of whose diagonal, 565.7, the tolerance is 4.24 pixels


def with_square(left: int, top: int, side: int, *, number: int = 0) -> np.ndarray:
    """A class on the background, of two classes."""
    made = np.full((SIZE, SIZE), 2, np.uint8)
    made[top : top + side, left : left + side] = number
    return made


def test_the_confusion_counts_pixels_that_are_not_void() -> None:
    truth = np.array([[0, 0, 1], [2, 2, VOID_VALUE]], np.uint8)
    found = np.array([[0, 1, 1], [2, 0, 1]], np.uint8)
    assert confusion_of(truth, found, 2).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]


def test_a_boundary_within_the_tolerance_is_right_and_one_beyond_it_is_not() -> None:
    assert pytest.approx(4.24, abs=0.01) == TOLERANCE * np.hypot(SIZE, SIZE)
    truth = with_square(100, 100, 100)
    near, _ = boundary_f1_of(truth, with_square(104, 100, 100), 2)
    assert near == 1
    # A square that is 20 pixels smaller on each side: its corners, too, are 20 pixels from the nearest boundary.
    far, _ = boundary_f1_of(truth, with_square(120, 120, 60), 2)
    assert far == 0


def test_precision_and_recall_of_a_boundary_are_shares_of_its_pixels() -> None:
    truth, found = with_square(100, 100, 100), with_square(100, 100, 100)
    found[300:310, 300:310] = 0  # as well, where nothing is
    # Boundaries are rings of 4 (side - 1) pixels: 396 right ones of 396 + 36 found.
    precision = 396 / (396 + 36)
    assert boundary_f1_of(truth, found, 2)[0] == pytest.approx(2 * precision / (precision + 1))


def test_classes_that_are_in_one_map_alone_have_0_and_those_in_neither_nothing() -> None:
    truth, found = with_square(100, 100, 50), with_square(100, 100, 50, number=1)
    truth[truth == 2] = found[found == 2] = 3  # the background of three classes
    scores = boundary_f1_of(truth, found, 3)
    assert scores[:2].tolist() == [0, 0]
    assert np.isnan(scores[2])


def test_neither_the_edge_of_the_image_nor_void_is_a_boundary() -> None:
    left = np.full((SIZE, SIZE), 2, np.uint8)
    left[:, :200] = 0
    shifted = np.full((SIZE, SIZE), 2, np.uint8)
    shifted[:, :150] = 0
    assert boundary_f1_of(left, shifted, 2)[0] == 0
    hidden = left.copy()
    hidden[:, 140:210] = VOID_VALUE  # where the two differ
    everywhere = np.zeros((SIZE, SIZE), np.uint8)
    assert boundary_f1_of(hidden, shifted, 2)[0] == 1
    assert boundary_f1_of(everywhere, everywhere, 2)[0] == 1
