from __future__ import annotations

import numpy as np

from roadscan.inventory.fuse.bias import local_shift


def test_residuals_far_and_few_make_no_local_shift():
    at = np.array([[0.0, 0.0], [10_000.0, 0.0]])
    assert local_shift(np.zeros((2, 2)), np.ones((2, 2)), at, 400.0).tolist() == [[0.0, 0.0]] * 2
    assert local_shift(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 2)), 400.0).shape == (0, 2)
    where = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [5000.0, 0.0], [5001.0, 0.0]])
    residual = np.array([[1.0, 0.0], [1.0, 0.0], [90.0, 0.0], [3.0, 0.0], [3.0, 0.0]])
    assert local_shift(where, residual, at, 400.0).tolist() == [[1.0, 0.0], [3.0, 0.0]]  # near: the median; far: of all


def test_a_local_shift_is_the_median_of_the_residuals_within_the_window():
    rng = np.random.default_rng(4)
    where, residual, at = rng.uniform(0, 2000, (80, 2)), rng.normal(size=(80, 2)), rng.uniform(0, 2000, (40, 2))
    shifts = local_shift(where, residual, at, 300.0)
    near = [np.hypot(*(where - place).T) <= 300.0 for place in at]
    assert {int(rows.sum()) % 2 for rows in near} == {0, 1}
    assert min(rows.sum() for rows in near) < 3
    expected = [np.median(residual[rows] if rows.sum() >= 3 else residual, axis=0) for rows in near]
    assert np.array_equal(shifts, expected)
