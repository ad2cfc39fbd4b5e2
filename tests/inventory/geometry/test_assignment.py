from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.known_assets import scene

from roadscan.inventory.geometry.assignment import nearby_pairs, one_to_one


def test_one_to_one_takes_the_least_total_cost():
    # Rows 0, 1 and columns 0, 1: both rows prefer column 0; 1+9 > 2+3, so they cross.
    i, j, cost = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), np.array([1.0, 3.0, 2.0, 9.0])
    chosen = one_to_one(i, j, cost, miss_cost=100.0)
    assert [(int(i[k]), int(j[k])) for k in chosen] == [(0, 1), (1, 0)]


def test_one_to_one_leaves_out_what_a_sure_pair_would_have_to_give_up():
    # A chain a0-b0 (5), a1-b0 (0.5), a1-b1 (5): the sure pair alone costs 0.5 + 6 left out, both long ones 10.
    i, j, cost = np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([5.0, 0.5, 5.0])
    assert one_to_one(i, j, cost, miss_cost=6.0).tolist() == [1]
    assert one_to_one(i, j, cost, miss_cost=1000.0).tolist() == [0, 2]


@given(scene, scene, st.integers(0, 400))
def test_the_sparse_method_for_large_groups_is_as_good_as_the_dense_one(a_xy, b_xy, dense_cells):
    distance = np.linalg.norm(a_xy[:, None] - b_xy[None], axis=2)
    i, j = np.nonzero(distance <= 4)
    cost = distance[i, j]
    chosen = one_to_one(i, j, cost, 100.0, dense_cells)
    assert len(np.unique(i[chosen])) == len(np.unique(j[chosen])) == len(chosen)
    dense = one_to_one(i, j, cost, 100.0, dense_cells=10**9)
    assert (cost[chosen] - 100).sum() == pytest.approx((cost[dense] - 100).sum())


def test_one_to_one_of_nothing():
    nothing = np.zeros(0, np.int64)
    assert one_to_one(nothing, nothing, np.zeros(0), 1.0).tolist() == []


def test_nearby_pairs_keeps_pairs_at_the_very_same_place():
    i, j, distance = nearby_pairs(np.array([[0.0, 0.0], [9.0, 0.0]]), np.array([[0.0, 0.0]]), 5.0)
    assert (i.tolist(), j.tolist(), distance.tolist()) == ([0], [0], [0.0])
