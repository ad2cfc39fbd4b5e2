from __future__ import annotations

import numpy as np
import pytest

from roadscan.inventory.drive.join import join_tracks

SURE = np.eye(2) * 0.1**2


def frames(*members: list[int]) -> list[frozenset[int]]:
    return [frozenset(one) for one in members]


def test_no_tracks_are_none() -> None:
    assert join_tracks(np.zeros((0, 2)), np.zeros((0, 2, 2)), [], 4.0).tolist() == []


def test_tracks_near_each_other_are_one_unless_seen_side_by_side() -> None:
    xy = np.array([[0.0, 0.0], [3.0, 0.0], [20.0, 0.0], [23.0, 0.0], [50.0, 0.0], [51.0, 0.0]])
    seen = frames([1, 2], [3, 4], [5, 6], [5, 6], [7, 8], [7, 8])
    label = join_tracks(xy, np.tile(SURE, (6, 1, 1)), seen, merge_m=4.0).tolist()
    assert label[0] == label[1]  # 3 m apart, never in one frame: two halves of one track
    assert label[2] != label[3]  # 3 m apart, always in one frame: two assets
    assert label[4] == label[5]  # 1 m apart: two boxes on one asset
    assert len(set(label)) == 4


@pytest.mark.parametrize(("sigma_m", "labels"), [(0.5, [0, 1]), (3.0, [0, 0])])
def test_tracks_are_one_where_both_may_stand_at_one_place(sigma_m: float, labels: list[int]) -> None:
    """10 m apart: of 0.5 m each 200 in chi-square, of 3 m each 5.6; the gate is 13.8."""
    cov = np.tile(np.eye(2) * sigma_m**2, (2, 1, 1))
    assert join_tracks(np.array([[0.0, 0.0], [10.0, 0.0]]), cov, frames([1], [2]), 4.0).tolist() == labels


def test_nothing_vague_is_joined_to_what_is_farther_than_25_m() -> None:
    cov = np.tile(np.eye(2) * 50.0**2, (3, 1, 1))
    label = join_tracks(np.array([[0.0, 0.0], [0.0, 24.0], [30.0, 0.0]]), cov, frames([1], [2], [3]), 4.0)
    assert label.tolist() == [0, 0, 1]


def test_a_vague_track_goes_to_the_asset_that_it_is_likelier_to_be() -> None:
    """A look along the street, 8 m by 1 m, points past one asset to another, which is nearer than the gate to none."""
    xy = np.array([[0.0, 0.0], [12.0, 0.0], [7.0, 1.0]])
    cov = np.array([SURE, SURE, np.diag([8.0**2, 1.0])])
    assert join_tracks(xy, cov, frames([1, 2], [3, 4], [5]), 4.5).tolist() == [0, 1, 1]


def test_what_is_joined_is_asked_again_and_in_whichever_order_the_same() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([[0.0, 0.0], [20.0, 0.0], [40.0, 0.0]])
    of = np.repeat(np.arange(3), 8)
    xy, cov = truth[of] + rng.normal(0, 2.0, (24, 2)), np.tile(np.eye(2) * 4.0, (24, 1, 1))
    seen = frames(*([k] for k in range(24)))
    order = rng.permutation(24)
    label = join_tracks(xy, cov, seen, 4.5)
    again = join_tracks(xy[order], cov[order], [seen[k] for k in order], 4.5)
    assert len(set(zip(label.tolist(), of.tolist(), strict=True))) == 3  # an asset each, and all of it
    assert len(set(zip(label[order].tolist(), again.tolist(), strict=True))) == 3
