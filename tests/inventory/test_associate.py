from __future__ import annotations

import numpy as np
import pytest
from inventory.test_locate import CONFIG, look, straight_north

from roadscan.inventory.associate import merge_tracks, nearby_pairs, one_to_one, track_landmarks


def labels_of(places, frames_of):
    """The set of labels that each place's detections got."""
    drive = straight_north()
    seen = look(places, frames_of, drive)
    label = track_landmarks(drive, seen, CONFIG)
    truth = [k for _, k in sorted((f, k) for k, frames in enumerate(frames_of) for f in frames)]
    return [set(label[np.array(truth) == k].tolist()) for k in range(len(places))]


def test_no_detections_are_no_tracks():
    drive = straight_north()
    assert track_landmarks(drive, look([], [], drive), CONFIG).tolist() == []


@pytest.mark.parametrize(
    ("places", "frames_of"),
    [
        ([(6, 60)], [[0, 1, 2, 3, 4, 5]]),
        ([(6, 60)], [[0, 3, 5]]),  # missed in between
        ([(6, 50), (-6, 50)], [range(5), range(5)]),  # one on either side
        ([(6, 50), (6, 80)], [range(5), range(2, 8)]),  # one behind the other
        ([(6, 50), (9, 56)], [range(5), range(5)]),  # two signs 6.7 m apart, always seen together
    ],
)
def test_each_asset_is_one_track(places, frames_of):
    labels = labels_of(places, frames_of)
    assert all(len(found) == 1 for found in labels)
    assert len(set.union(*labels)) == len(places)


def test_a_track_ends_when_it_was_not_seen_for_long():
    # Seen at y = 0 and again from y = 100, beyond the 60 m of `track_gap_m`.
    (found,) = labels_of([(6, 130)], [[0, 10]])
    assert len(found) == 2


def test_tracks_near_each_other_are_merged_unless_seen_side_by_side():
    xy = np.array([[0.0, 0.0], [3.0, 0.0], [20.0, 0.0], [23.0, 0.0], [50.0, 0.0], [51.0, 0.0]])
    frames = [frozenset(f) for f in ([1, 2], [3, 4], [5, 6], [5, 6], [7, 8], [7, 8])]
    label = merge_tracks(xy, frames, merge_m=4.0).tolist()
    assert label[0] == label[1]  # 3 m apart, never in one frame: two halves of one track
    assert label[2] != label[3]  # 3 m apart, always in one frame: two assets
    assert label[4] == label[5]  # 1 m apart: two boxes on one asset
    assert len(set(label)) == 4


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


def test_one_to_one_of_nothing():
    nothing = np.zeros(0, np.int64)
    assert one_to_one(nothing, nothing, np.zeros(0), 1.0).tolist() == []


def test_nearby_pairs_keeps_pairs_at_the_very_same_place():
    i, j, distance = nearby_pairs(np.array([[0.0, 0.0], [9.0, 0.0]]), np.array([[0.0, 0.0]]), 5.0)
    assert (i.tolist(), j.tolist(), distance.tolist()) == ([0], [0], [0.0])
