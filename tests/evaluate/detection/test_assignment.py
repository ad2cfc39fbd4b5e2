from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from roadscan.evaluate.detection.assignment import assign

THRESHOLDS = np.array([0.5, 0.75])


def one_by_one(pairs, ignored, threshold):
    """The same rule as four nested sentences."""
    free, taken = [True] * pairs.shape[1], []
    for row in pairs:
        able = [g for g in range(len(row)) if free[g] and row[g] >= threshold]
        best = max(able, key=lambda g: (not ignored[g], row[g], g), default=-1)
        if best >= 0:
            free[best] = False
        taken.append(best)
    return taken


@given(st.integers(0, 2**32 - 1), st.integers(0, 5))
def test_many_images_at_once_are_as_one_detection_after_another(seed, images):
    rng = np.random.default_rng(seed)
    # Few different overlaps, so that there are ties and values on the thresholds.
    pairs = [rng.integers(0, 9, rng.integers(0, 7, 2)) / 8 for _ in range(images)]
    ignored = [rng.random((3, block.shape[1])) < 0.4 for block in pairs]
    taken = assign(pairs, ignored, THRESHOLDS)
    for block, skip, choices in zip(pairs, ignored, taken, strict=True):
        expected = [[one_by_one(block, area, threshold) for threshold in THRESHOLDS] for area in skip]
        np.testing.assert_array_equal(choices, np.array(expected).transpose(2, 0, 1))


def test_the_most_confident_chooses_first_and_no_truth_is_taken_twice():
    # Both prefer truth 1; the second one must do with truth 0, which it reaches at .5 alone.
    pairs = np.array([[0.6, 0.9], [0.6, 0.95]])
    (taken,) = assign([pairs], [np.zeros((1, 2), bool)], THRESHOLDS)
    assert taken[:, 0].tolist() == [[1, 1], [0, -1]]
