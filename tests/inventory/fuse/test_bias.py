from __future__ import annotations

import numpy as np
import pytest

from roadscan.inventory.config import NoiseConfig
from roadscan.inventory.fuse.bias import local_shift, smooth_bias

NOISE = NoiseConfig()


def test_residuals_far_and_few_make_no_local_shift():
    at = np.array([[0.0, 0.0], [10_000.0, 0.0]])
    assert local_shift(np.zeros((2, 2)), np.ones((2, 2)), at, 400.0).tolist() == [[0.0, 0.0]] * 2
    assert local_shift(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 2)), 400.0).shape == (0, 2)
    where = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [5000.0, 0.0], [5001.0, 0.0]])
    residual = np.array([[1.0, 0.0], [1.0, 0.0], [90.0, 0.0], [3.0, 0.0], [3.0, 0.0]])
    assert local_shift(where, residual, at, 400.0).tolist() == [[1.0, 0.0], [3.0, 0.0]]  # near: the median; far: of all


def dense_bias(s, residual, variance, noise, rounds: int) -> np.ndarray:
    """The same with full matrices and plain loops."""
    n = len(s)
    smooth = np.zeros((n, n))
    for k in range(n - 1):
        step = 2 * noise.gnss_sigma_m**2 * max(s[k + 1] - s[k], 1.0) / noise.gnss_memory_m
        difference = np.zeros(n)
        difference[k], difference[k + 1] = -1.0, 1.0
        smooth += np.outer(difference, difference) / step
    bias = np.tile(np.median(residual, axis=0), (n, 1))
    for _ in range(rounds):
        weight = [1 / np.sqrt(1 + ((residual[k] - bias[k]) ** 2).sum() / variance[k]) / variance[k] for k in range(n)]
        bias = np.linalg.solve(smooth + np.diag(weight), np.diag(weight) @ residual)
    return bias


@pytest.mark.parametrize("n", [2, 3, 40])
def test_smooth_bias_is_the_dense_solution(n):
    rng = np.random.default_rng(n)
    s = np.sort(rng.uniform(0, 3000, n))
    s[n // 2 :] += 0.0 if n < 3 else s[n // 2 - 1] - s[n // 2]  # two at one place: a step of nothing
    residual, variance = rng.normal(0, 2, (n, 2)), rng.uniform(0.3, 4.0, n)
    found = smooth_bias(s, residual, variance, NOISE)
    assert found == pytest.approx(dense_bias(s, residual, variance, NOISE, rounds=4))


def test_one_wild_residual_bends_the_bias_little():
    """Where least squares would be drawn a metre away."""
    s, residual, variance = np.arange(0.0, 2000.0, 50.0), np.tile([1.0, -0.5], (40, 1)), np.full(40, 0.7)
    residual[20] += [40.0, 0.0]
    off = np.abs(smooth_bias(s, residual, variance, NOISE) - [1.0, -0.5])
    plain = np.linalg.solve(np.eye(40) / 0.7 + _walk(s), residual / 0.7)
    assert np.abs(plain - [1.0, -0.5]).max() > 1.0
    assert off.max() < 0.25  # 0.18
    assert off[:5].max() < 0.02


def _walk(s) -> np.ndarray:
    step = 2 * NOISE.gnss_sigma_m**2 * np.diff(s) / NOISE.gnss_memory_m
    difference = np.diff(np.eye(len(s)), axis=0)
    return difference.T @ np.diag(1 / step) @ difference


def test_a_true_change_of_the_bias_is_followed():
    s = np.arange(0.0, 4000.0, 25.0)
    residual = np.stack([np.where(s < 2000, 0.0, 3.0), np.zeros(len(s))], axis=1)
    found = smooth_bias(s, residual, np.full(len(s), 0.7), NOISE)[:, 0]
    assert np.abs(found[s < 1000]).max() < 0.1
    assert np.abs(found[s > 3000] - 3.0).max() < 0.1
    assert (np.diff(found) >= -1e-9).all()


def test_a_local_shift_is_the_median_of_the_residuals_within_the_window():
    rng = np.random.default_rng(4)
    where, residual, at = rng.uniform(0, 2000, (80, 2)), rng.normal(size=(80, 2)), rng.uniform(0, 2000, (40, 2))
    shifts = local_shift(where, residual, at, 300.0)
    near = [np.hypot(*(where - place).T) <= 300.0 for place in at]
    assert {int(rows.sum()) % 2 for rows in near} == {0, 1}
    assert min(rows.sum() for rows in near) < 3
    expected = [np.median(residual[rows] if rows.sum() >= 3 else residual, axis=0) for rows in near]
    assert np.array_equal(shifts, expected)


def test_the_least_sigma_that_a_config_may_have_makes_one_bias_of_all_the_way():
    s = np.array([0.0, 0.0, 500.0, 1000.0])
    residual = np.array([[1.0, 0.0], [1.2, 0.0], [0.8, 0.1], [1.0, -0.1]])
    found = smooth_bias(s, residual, np.full(4, 0.5), NoiseConfig(gnss_sigma_m=0.01, gnss_memory_m=100_000.0))
    assert found == pytest.approx(np.tile([1.0, 0.0], (4, 1)), abs=0.01)
