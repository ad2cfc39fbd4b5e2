from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from support.world import HOME, Known, World, drive

from roadscan.inventory import InventoryConfig
from roadscan.inventory.build import DriveTables
from roadscan.inventory.drive.gather import gathered
from roadscan.inventory.drive.record import DriveAlone, from_record, read_alone, to_record
from roadscan.taxonomy import HIGHWAY

CONFIG = InventoryConfig(warehouse="unused")
WORLD = World(5, 600.0, [Known("p", "Bus Stop", 200.0, 6.0), Known("q", "Warning Sign", 300.0, -6.0)])
NIGHT = drive(WORLD, 0, false_per_frame=0.0)


def alone(tables: DriveTables) -> DriveAlone:
    found = read_alone(tables.drive_id, tables.frames, tables.observations, HIGHWAY, CONFIG, HOME)
    assert found is not None
    return found


def photographs(tables: DriveTables) -> list[DriveTables]:
    """Each frame a drive of its own."""
    return [
        DriveTables(frame_id, tables.frames.slice(row, 1), tables.observations.filter(pa.array(mine)))
        for row, frame_id in enumerate(tables.frames["frame_id"].to_pylist())
        for mine in [np.array(tables.observations["frame_id"].to_pylist(), object) == frame_id]
    ]


def gather(drives: Sequence[DriveAlone]) -> list[DriveAlone]:
    return gathered(drives, HIGHWAY, CONFIG)


def test_drives_that_moved_stay_as_they_are() -> None:
    drives = [alone(NIGHT), alone(drive(WORLD, 1))]
    assert gather(drives) == drives
    assert gather([]) == []


def test_photographs_of_a_day_say_what_one_drive_says() -> None:
    (survey,) = gather([alone(one) for one in photographs(NIGHT)])
    whole = alone(NIGHT)
    assert survey.estimates.xy == pytest.approx(whole.estimates.xy)
    assert survey.estimates.cov == pytest.approx(whole.estimates.cov)
    assert survey.estimates.label.tolist() == whole.estimates.label.tolist()
    assert survey.drive.poses.s == pytest.approx(whole.drive.poses.s)
    shown = survey.drive.observations["observation_id"].take(pa.array(survey.drive.detections.row))
    assert (
        shown.to_pylist()
        == whole.drive.observations["observation_id"].take(pa.array(whole.drive.detections.row)).to_pylist()
    )


def test_photographs_say_nothing_alone_and_the_same_from_what_was_kept() -> None:
    fresh = [alone(one) for one in photographs(NIGHT)]
    assert {len(one.estimates.xy) for one in fresh} == {0}
    kept = [from_record({"drive_id": one.drive.drive_id} | to_record(one), HOME, HIGHWAY) for one in fresh]
    (first,), (second,) = gather(fresh), gather([one for one in kept if one])
    assert np.array_equal(first.estimates.xy, second.estimates.xy)
    assert first.drive.drive_ids == second.drive.drive_ids == tuple(NIGHT.frames["frame_id"].to_pylist())


def test_each_day_is_a_survey_where_its_last_drive_was() -> None:
    first, second = photographs(NIGHT)[:3], photographs(drive(WORLD, 1))[:2]
    moving = alone(drive(WORLD, 2))
    drives = [alone(first[0]), moving, *map(alone, first[1:]), *map(alone, second)]
    found = gather(drives)
    assert [one.drive.drive_id for one in found] == [moving.drive.drive_id, first[2].drive_id, second[1].drive_id]
    assert [len(one.drive.poses.s) for one in found] == [len(moving.drive.poses.s), 3, 2]


def test_one_photograph_without_a_heading_looks_nowhere() -> None:
    frames = NIGHT.frames.set_column(
        NIGHT.frames.schema.get_field_index("heading_deg"),
        NIGHT.frames.schema.field("heading_deg"),
        pa.nulls(NIGHT.frames.num_rows, pa.float64()),
    )
    (survey,) = gather([alone(photographs(DriveTables("d", frames, NIGHT.observations))[20])])
    assert survey.drive.poses.heading.tolist() == [0.0]
    assert np.isnan(survey.drive.poses.half_fov).all()
