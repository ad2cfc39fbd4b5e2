"""A straight road: every drive is at chainage y, and a bias is what it must be moved by to stand at the truth."""

from __future__ import annotations

import numpy as np
import pytest

from roadscan.inventory.fuse.adjustment import ITERATIONS, Neighbours, adjusted_shifts
from roadscan.inventory.fuse.pool import ALIGNED_SHARE, PRIOR, Pool

MEMORY_M = 2500.0


def pool(drive, xy, sigma_m, *, cov_m=0.5, overhead=()) -> Pool:
    """Estimates of drives, each with the standard error of its own errors and that of its drive."""
    n, xy = len(drive), np.array(xy, float)
    frames = np.array([frozenset({k}) for k in range(n)], object)
    return Pool(
        drive=np.array(drive),
        class_index=np.zeros(n, int),
        xy=xy,
        raw_xy=xy,
        cov=np.eye(2) * np.broadcast_to(cov_m, n)[:, None, None] ** 2,
        sigma_m=np.broadcast_to(np.asarray(sigma_m, float), n),
        s=xy[:, 1],
        offset_m=xy[:, 0],
        course=np.zeros(n),
        starts=np.ones(n, bool),
        gate_m=np.full(n, 6.0),
        merge_m=np.full(n, 4.0),
        overhead=np.isin(np.arange(n), overhead),
        frames=frames,
    )


def adjusted(estimates: Pool, asset, mean=None) -> np.ndarray:
    zero = np.zeros_like(estimates.xy)
    mean = zero if mean is None else np.array(mean, float)
    return adjusted_shifts(estimates, np.array(asset), zero, zero, mean, Neighbours.of(estimates, MEMORY_M))


def two_drives(sigma_a: float, sigma_b: float, off=(3.0, -1.0)) -> np.ndarray:
    """Both saw five assets 30 m apart; by b they are all off by so much. The shifts of a, then those of b."""
    places = np.stack([np.full(5, 6.0), np.arange(5) * 30.0], axis=1)
    both = pool([0] * 5 + [1] * 5, np.concatenate([places, places + off]), np.repeat([sigma_a, sigma_b], 5))
    return adjusted(both, [*range(5), *range(5)])


def test_drives_that_are_equally_sure_meet_half_way():
    found = two_drives(1.5, 1.5)
    assert found[:5] == pytest.approx(-found[5:], abs=1e-9)
    assert (found[:5] - found[5:]).mean(axis=0) == pytest.approx([3.0, -1.0], abs=0.35)  # a prior of 1.5 m holds back


def test_a_drive_that_is_sure_stays_where_it_is():
    found = two_drives(0.02, 2.0)
    assert np.abs(found[:5]).max() < 0.002
    assert found[5:].mean(axis=0) == pytest.approx([-3.0, 1.0], abs=0.35)


def dense(estimates: Pool, asset, rounds: int) -> np.ndarray:
    """The same by the covariance of the biases, full matrices, and one unknown after the other."""
    n, assets = len(estimates.drive), max(asset) + 1
    covariance = np.zeros((2 * n, 2 * n))
    for i in range(n):
        for j in range(n):
            if estimates.drive[i] == estimates.drive[j]:
                like = np.exp(-abs(estimates.s[i] - estimates.s[j]) / MEMORY_M)
                value = estimates.sigma_m[i] * estimates.sigma_m[j] * like
                covariance[2 * i, 2 * j] = covariance[2 * i + 1, 2 * j + 1] = value
    z = estimates.xy.ravel()
    own = [estimates.cov[k] + np.eye(2) * (ALIGNED_SHARE * estimates.sigma_m[k]) ** 2 for k in range(n)]
    at = np.zeros((assets, 2))
    for one in range(assets):
        mine = [k for k in range(n) if asset[k] == one]
        total = sum(np.linalg.inv(own[k]) for k in mine)
        at[one] = np.linalg.solve(total, sum(np.linalg.inv(own[k]) @ estimates.xy[k] for k in mine))
    h = np.zeros((n, 2))
    for _ in range(rounds):
        normal, right = np.zeros((2 * (n + assets),) * 2), np.zeros(2 * (n + assets))
        normal[: 2 * n, : 2 * n] = np.linalg.inv(covariance)
        for k in range(n):
            off = estimates.xy[k] + h[k] - at[asset[k]]
            weight = np.linalg.inv(own[k]) / np.sqrt(1 + off @ np.linalg.inv(own[k]) @ off)
            rows = np.zeros((2, 2 * (n + assets)))
            rows[:, 2 * k : 2 * k + 2] = np.eye(2)
            rows[:, 2 * (n + asset[k]) : 2 * (n + asset[k]) + 2] = -np.eye(2)
            normal += rows.T @ weight @ rows
            right -= rows.T @ weight @ z[2 * k : 2 * k + 2]
        solved = np.linalg.solve(normal, right).reshape(-1, 2)
        h, at = solved[:n], solved[n:]
    return h


def test_the_adjustment_is_the_dense_solution():
    rng = np.random.default_rng(2)
    places = np.stack([rng.uniform(-8, 8, 9), np.sort(rng.uniform(0, 3000, 9))], axis=1)
    places[:, 1] += np.arange(9) * 2.0  # no two within the least step
    drive, asset = np.repeat([0, 1, 2], 9), np.tile(np.arange(9), 3)
    xy = places[asset] + rng.normal(0, 2, (27, 2))
    estimates = pool(drive, xy, np.repeat([0.1, 1.5, 3.0], 9), cov_m=rng.uniform(0.2, 2.0, 27))
    estimates.cov[:, 0, 1] = estimates.cov[:, 1, 0] = 0.5 * estimates.cov[:, 0, 0]
    order = np.lexsort((estimates.s, drive))  # by chainage, as the covariance has it
    estimates, asset = estimates.take(order), asset[order]
    found = adjusted(estimates, asset)
    assert found == pytest.approx(dense(estimates, asset.tolist(), ITERATIONS), abs=1e-8)


def test_one_wild_estimate_bends_the_bias_little():
    places = np.stack([np.full(40, 6.0), np.arange(40) * 50.0], axis=1)
    off_m = np.array([1.0, -0.5])
    said = places + off_m
    said[20] += [40.0, 0.0]
    both = pool([0] * 40 + [1] * 40, np.concatenate([places, said]), np.repeat([0.01, 1.5], 40))
    off = np.abs(adjusted(both, [*range(40), *range(40)])[40:] + off_m)
    assert np.delete(off, 20, axis=0).max() < 0.5  # by least squares 1.4


def test_what_one_drive_saw_ties_nothing_and_is_moved_with_its_drive():
    """The third asset of b, between two that a saw too; a bridge is at no one place."""
    xy = [[6, 0], [6, 100], [8, 0], [8, 50], [8, 100]]
    found = adjusted(pool([0, 0, 1, 1, 1], xy, [0.01, 0.01, 2, 2, 2]), [0, 1, 0, 2, 1])
    assert found[3] == pytest.approx((found[2] + found[4]) / 2, abs=0.02)
    assert found[3, 0] < -1.0
    spanning = pool([0, 1], [[6, 0], [9, 0]], 1.5, overhead=[0, 1])
    assert adjusted(spanning, [0, 0]).tolist() == [[0.0, 0.0]] * 2


def test_the_prior_is_expected_where_its_drives_put_it():
    """Two assets of it, 3 m east of what they are now; a drive that is far less sure follows."""
    xy = [[6, 0], [6, 40], [6, 0], [6, 40]]
    mean = [[3, 0], [3, 0], [0, 0], [0, 0]]
    found = adjusted(pool([PRIOR, PRIOR, 0, 0], xy, [0.1, 0.1, 5.0, 5.0]), [0, 1, 0, 1], mean)
    assert found[:2] == pytest.approx(np.array([[3.0, 0.0]] * 2), abs=0.02)
    assert (found[2:, 0] > 2.5).all()  # held back by what it is off itself


def test_a_prior_of_which_few_drives_saw_some_assets_moves_as_a_drive_does_that_is_as_sure():
    """Every other asset was seen by a ninth of its drives; all that saw it put it where the others are."""
    places = np.stack([np.full(20, 6.0), np.arange(20) * 30.0], axis=1)
    sigma = np.concatenate([np.tile([0.5, 1.5], 10), np.full(20, 0.5)])
    both = pool([PRIOR] * 20 + [0] * 20, np.concatenate([places, places + np.array([0.6, -0.2])]), sigma)
    found = adjusted(both, [*range(20), *range(20)])
    assert found[:20].mean(axis=0) == pytest.approx([0.3, -0.1], abs=0.05)
    assert found[20:].mean(axis=0) == pytest.approx([-0.3, 0.1], abs=0.05)


def test_the_prior_is_joined_by_its_nearest_whichever_road_they_are_on():
    places = np.array([[0.0, 0], [30, 0], [60, 0], [0, 4], [0, 4], [5000, 0]])
    tree = Neighbours.of(pool([PRIOR] * 6, places, 1.0), MEMORY_M)
    edges = {frozenset(pair) for pair in zip(tree.a.tolist(), tree.b.tolist(), strict=True)}
    assert len(edges) == 5
    assert {frozenset({3, 4}), frozenset({0, 1}), frozenset({1, 2}), frozenset({2, 5})} < edges
    assert tree.likeness == pytest.approx(
        np.exp(-np.maximum(np.linalg.norm(places[tree.a] - places[tree.b], axis=1), 1) / MEMORY_M)
    )
    assert len(Neighbours.of(pool([PRIOR], [[0, 0]], 1.0), MEMORY_M).a) == 0


def test_two_estimates_at_one_place_are_solvable():
    found = adjusted(pool([0, 0, 1], [[6, 0], [6, 0], [7, 0]], 1.5), [0, 0, 0])
    assert np.isfinite(found).all()
