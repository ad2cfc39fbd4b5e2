from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.passes import CONFIG, look, straight_north

from roadscan.inventory.drive.track import track_detections


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


def test_the_same_frames_are_the_same_tracks_in_whichever_order_they_were_taken():
    places = [(6, 50), (-6, 52), (6, 80), (9, 86), (-5, 20)]
    drive = straight_north()
    seen = look(places, [range(5), range(5), range(1, 8), range(2, 8), range(2)], drive)
    order = np.random.default_rng(0).permutation(len(drive.poses.s))
    poses, place = drive.poses.take(order), np.argsort(order)
    there = replace(seen, frame_index=place[seen.frame_index])
    by_frame = np.argsort(there.frame_index, kind="stable")
    label = track_detections(replace(drive, poses=poses), there.take(by_frame), CONFIG)
    assert np.array_equal(label[np.argsort(by_frame)], track_detections(drive, seen, CONFIG))


def test_without_a_range_a_bearing_goes_on_for_200_m_and_no_farther():
    """A camera on each of two parallel streets sees something straight east: 300 m apart that is not one thing."""
    drive = straight_north(2)

    def tracks(apart_m: float) -> int:
        poses = replace(drive.poses, x=np.array([0.0, apart_m]), y=np.zeros(2))
        seen = look([(apart_m + 30.0, 0.0)], [[0, 1]], replace(drive, poses=poses))
        unknown = replace(seen, log_range=np.full(2, np.log(30.0)), log_sigma=np.full(2, 1.0))
        return len(set(track_detections(replace(drive, poses=poses), unknown, CONFIG).tolist()))

    gap = CONFIG.tracking.gap_m
    assert [tracks(0.5 * gap), tracks(300.0)] == [1, 2]
