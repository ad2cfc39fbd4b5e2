from __future__ import annotations

import numpy as np
import pytest

from roadscan.inventory.drive.order import order_along

ROAD = np.stack([np.zeros(40), np.arange(40) * 10.0], axis=1)  # north, a frame each 10 m
NORTH = np.zeros(40)


def test_one_frame_and_two_are_in_their_order() -> None:
    assert order_along(ROAD[:1], NORTH[:1]).tolist() == [0]
    assert order_along(ROAD[[5, 0]], NORTH[:2]).tolist() == [0, 1]


def test_frames_stay_as_they_were_taken_where_times_tell_a_way() -> None:
    """Twice up the road and once back, and one pause: three jumps of a hundred steps."""
    laps = np.concatenate([ROAD, ROAD, ROAD[::-1]])
    assert order_along(laps, np.zeros(120)).tolist() == list(range(120))


def test_frames_far_between_stay_as_they_were_taken() -> None:
    """150 m apart each step is a jump, but no order is shorter; from east to west, which by place would be turned."""
    sparse = np.stack([-np.arange(20) * 150.0, np.zeros(20)], axis=1)
    assert order_along(sparse, np.full(20, np.nan)).tolist() == list(range(20))


@pytest.mark.parametrize("heading", [0.0, np.pi])
def test_shuffled_frames_come_as_the_cameras_look(heading: float) -> None:
    shuffle = np.random.default_rng(0).permutation(40)
    found = shuffle[order_along(ROAD[shuffle], NORTH + heading)]
    assert found.tolist() == (list(range(40)) if heading == 0 else list(range(40))[::-1])


def test_shuffled_frames_without_a_heading_are_one_way_whichever_of_both() -> None:
    shuffle = np.random.default_rng(1).permutation(40)
    found = shuffle[order_along(ROAD[shuffle], np.full(40, np.nan))].tolist()
    assert found in (list(range(40)), list(range(40))[::-1])


def test_both_carriageways_are_a_way_each() -> None:
    """10 m apart, as near as the next frame: a way that goes from one to the other has no direction."""
    both, heading = np.concatenate([ROAD, np.add(ROAD[::-1], [10.0, 5.0])]), np.repeat([0.0, np.pi], 40)
    shuffle = np.random.default_rng(2).permutation(80)
    found = shuffle[order_along(both[shuffle], heading[shuffle])].tolist()
    assert found == list(range(80))


def test_streets_that_nothing_joins_come_from_west_to_east() -> None:
    streets = np.concatenate([np.add(ROAD, [500.0, 0.0]), ROAD])
    shuffle = np.random.default_rng(3).permutation(80)
    found = shuffle[order_along(streets[shuffle], np.zeros(80))].tolist()
    assert found == [*range(40, 80), *range(40)]


def test_frames_at_one_place_stay_together() -> None:
    """Four faces of each panorama: all that a frame's nearest neighbours may be."""
    faces = np.repeat(ROAD, 4, axis=0)
    heading = np.tile(np.radians([0.0, 90.0, 180.0, 270.0]), 40)
    shuffle = np.random.default_rng(4).permutation(160)
    found = order_along(faces[shuffle], heading[shuffle])
    assert sorted(found.tolist()) == list(range(160))
    steps = np.hypot(*np.diff(faces[shuffle][found], axis=0).T)
    assert np.median(steps) <= 10.0
