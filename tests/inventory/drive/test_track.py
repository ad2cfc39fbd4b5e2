from __future__ import annotations

import numpy as np
import pytest
from support.passes import CONFIG, look, straight_north

from roadscan.inventory.drive.track import merge_tracks, track_detections


def labels_of(places, frames_of):
    """The set of labels that each place's detections got."""
    drive = straight_north()
    seen = look(places, frames_of, drive)
    label = track_detections(drive, seen, CONFIG)
    truth = [k for _, k in sorted((f, k) for k, frames in enumerate(frames_of) for f in frames)]
    return [set(label[np.array(truth) == k].tolist()) for k in range(len(places))]


def test_no_detections_are_no_tracks():
    drive = straight_north()
    assert track_detections(drive, look([], [], drive), CONFIG).tolist() == []


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
    # Seen at y = 0 and again from y = 100, beyond the 60 m of `tracking.gap_m`.
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
