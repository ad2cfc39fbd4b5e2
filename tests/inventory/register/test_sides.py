"""A road along x = 0: offsets to the east, as one sees them who goes north."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.passes import straight_north

from roadscan.inventory.drive.passes import DrivenPath
from roadscan.inventory.fuse.visibility import AlignedDrive
from roadscan.inventory.register.sides import sides

WEST_AND_EAST = np.array([[-6.0, 30.0], [6.0, 30.0]])


def north(x: float = 0.0) -> AlignedDrive:
    drive = straight_north()
    return AlignedDrive(drive, drive.camera_xy + np.array([x, 0.0]), 0.0)


def south(x: float = 0.0) -> AlignedDrive:
    """The same frames, the last one first."""
    drive = straight_north()
    course = np.full(2, np.pi)
    path = DrivenPath(drive.path.s, drive.path.x, drive.path.y[::-1], course)
    poses = replace(drive.poses, y=drive.poses.y[::-1], heading=drive.poses.heading + np.pi)
    back = replace(drive, poses=poses, path=path)
    return AlignedDrive(back, back.camera_xy + np.array([x, 0.0]), 0.0)


@pytest.mark.parametrize("drives", [[north(), south()], [south(), north()], [south(-3.5), north(), south(-3.0)]])
def test_where_both_ways_are_driven_left_is_west_whoever_saw_it(drives):
    """Both poles were seen on the left of travel, one by each way."""
    assert sides(WEST_AND_EAST, np.array([-6.0, -6.0]), drives).tolist() == ["left", "right"]
    assert sides(WEST_AND_EAST, np.array([6.0, 6.0]), drives).tolist() == ["left", "right"]


def test_a_carriageway_of_one_way_has_the_sides_of_travel():
    """Going south the west is right; a carriageway 12 m away that goes north changes nothing."""
    for drives in ([south()], [south(), south(3.0)], [south(), north(12.0)]):
        assert sides(WEST_AND_EAST, np.array([6.0, -6.0]), drives).tolist() == ["right", "left"]


def test_a_drive_that_ends_before_an_asset_or_is_on_another_road_has_no_part():
    far = np.array([[-6.0, 300.0], [-70.0, 30.0]])
    assert sides(far, np.array([6.0, 6.0]), [north(), south()]).tolist() == ["right", "right"]
    assert sides(np.zeros((0, 2)), np.zeros(0), [north()]).tolist() == []
    assert sides(WEST_AND_EAST, np.array([-1.0, 1.0]), []).tolist() == ["left", "right"]
