from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.passes import BASE, CONFIG, look, straight_north

from roadscan.config import replace_fields
from roadscan.inventory.drive.lines import find_lines


def rail(drive, start_m: float, end_m: float, x_m: float, skip=()):
    """The base of a rail along x = x_m from each frame that has it in view: from 35° off the axis to 45 m ahead."""
    rows = []
    for frame, y in enumerate(drive.poses.y):
        near, far = max(start_m, y + abs(x_m) / np.tan(np.radians(35)) + 2), min(end_m, y + 45)
        if far > near + 1 and frame not in skip:
            ends = [(np.degrees(np.arctan2(x_m, p - y)), np.hypot(x_m, p - y)) for p in (near, far)]
            rows.append((frame, [*ends[0], *ends[1]]))
    seen = look([(x_m, 0.0)] * len(rows), [[frame] for frame, _ in rows], drive)
    columns = np.array([base for _, base in rows]).reshape(-1, 4).T
    return replace(seen, **dict(zip(BASE, columns, strict=True)))


@pytest.mark.parametrize("x_m", [-4.0, 5.0])
def test_a_rail_is_found_where_it_stands(x_m):
    drive = straight_north(30)
    (line,) = find_lines(drive, rail(drive, 60, 200, x_m), CONFIG)
    assert (line.start_s, line.end_s) == (pytest.approx(60, abs=2), pytest.approx(200, abs=2))
    assert line.offset_m == pytest.approx(np.full(len(line.s), x_m), abs=0.05)


def test_no_boxes_are_no_lines():
    drive = straight_north()
    assert find_lines(drive, rail(drive, 500, 500, 4.0), CONFIG) == []


def test_a_frame_that_missed_it_does_not_break_it():
    drive = straight_north(30)
    assert len(find_lines(drive, rail(drive, 60, 200, 4.0, skip=(8, 11)), CONFIG)) == 1


def test_one_box_alone_is_no_line():
    drive = straight_north(30)
    assert find_lines(drive, rail(drive, 60, 200, 4.0, skip=set(range(30)) - {6}), CONFIG) == []


def test_two_boxes_in_one_frame_are_one_look():
    drive = straight_north(30)
    twice = rail(drive, 60, 90, 4.0, skip=set(range(30)) - {6})
    twice = replace(twice, **{name: np.concatenate([value, value]) for name, value in vars(twice).items()})
    assert find_lines(drive, twice, replace_fields(CONFIG, {"lines.hit_ratio": 0.01})) == []


@pytest.mark.parametrize("turn_deg", [75.0, 180.0])
def test_a_camera_that_does_not_look_ahead_sees_no_line_and_covers_none(turn_deg):
    drive = straight_north(30)
    seen = rail(drive, 60, 200, 4.0)
    turned = replace(drive, poses=replace(drive.poses, heading=np.full(30, np.radians(turn_deg))))
    assert find_lines(turned, seen, CONFIG) == []
    half = np.where(np.arange(30) % 3 == 0, 0.0, np.radians(turn_deg))  # one camera of three looks ahead
    mixed = replace(drive, poses=replace(drive.poses, heading=half))
    (line,) = find_lines(mixed, rail(drive, 60, 200, 4.0, skip=set(np.flatnonzero(half))), CONFIG)
    assert line.end_s - line.start_s > 100


@pytest.mark.parametrize(("gap_m", "lines"), [(6.0, 1), (40.0, 2)])
def test_short_gaps_are_closed_and_long_ones_kept(gap_m, lines):
    drive = straight_north(40)
    first, second = rail(drive, 60, 150, 4.0), rail(drive, 150 + gap_m, 260, 4.0)
    both = replace(
        first, **{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in vars(first)}
    )
    assert len(find_lines(drive, both, CONFIG)) == lines
