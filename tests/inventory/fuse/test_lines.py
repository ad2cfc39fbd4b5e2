"""Lines as drives along a straight road to the north see them; x is the offset to the right."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
import shapely
from support.built import CONFIG, confirmed, run
from support.world import HOME, LINE, Known, World, drive

from roadscan.inventory.build import Built, DriveTables
from roadscan.inventory.drive.estimates import BestView, LineSegment
from roadscan.inventory.drive.passes import Detections, DrivenPath, DrivePass, Poses, moment
from roadscan.inventory.fuse.lines import (
    LINE_OPPORTUNITIES,
    PIECE_M,
    LineAsset,
    LineObservations,
    find_line_assets,
    line_visibility,
    middle_of,
)
from roadscan.inventory.fuse.visibility import AlignedDrive
from roadscan.taxonomy import HIGHWAY

POLE = "Single-Arm Pole"
RAIL = HIGHWAY.get(LINE)
NOTHING = Detections(*([np.zeros(0, np.int64)] * 2), np.zeros(0, str), *([np.zeros(0)] * 12))


def line(start_m: float, end_m: float, x: float = 5.0) -> np.ndarray:
    y = np.append(np.arange(start_m, end_m, 2.0), end_m)
    return np.stack([np.full(len(y), x), y], axis=1)


def segment(xy: np.ndarray, name: str = LINE, course: float = 0.0) -> LineSegment:
    return LineSegment(
        asset_class=replace(RAIL, name=name),
        xy=middle_of(xy),
        cov=np.eye(2) * 0.5,
        sigma_m=1.5,
        line_xy=xy,
        offset_m=float(xy[0, 0]),
        course=course,
        hits=5,
        mean_score=0.8,
        first_seen=moment(0),
        last_seen=moment(1),
        best_view=BestView("a.jpg", [0.0, 0.0, 1.0, 1.0], "m" * 64, 1.0),
    )


def look(*lines: np.ndarray, start_m: float = -60.0, end_m: float = 400.0, back: bool = False, name: str = LINE):
    """A drive from chainage to chainage, a frame every ten metres, that saw these lines."""
    s = np.arange(start_m, end_m, 10.0)
    n = len(s)
    heading = np.full(n, np.pi if back else 0.0)
    poses = Poses(np.zeros(n), s, s, heading, np.full(n, np.radians(35.0)), np.arange(n) * 500_000, *([np.ones(n)] * 2))
    ends = np.array([s[0] - 80, s[-1] + 80])
    passed = DrivePass("d", HOME, poses, DrivenPath(ends, np.zeros(2), ends, np.zeros(2)), NOTHING, pa.table({}))
    segments = [segment(xy, name) for xy in lines]
    return LineObservations(view_of(passed), segments, list(lines), CONFIG.lines.overlap_m)


def view_of(drive: DrivePass) -> AlignedDrive:
    """A drive without bias or yaw error."""
    return AlignedDrive(drive, drive.camera_xy, 0.0)


def spans(assets: list[LineAsset]) -> list[tuple[float, float, float]]:
    """Start, end and offset of each, ascending."""
    return sorted((round(a.outline[:, 1].min()), round(a.outline[:, 1].max()), a.outline[0, 0]) for a in assets)


def found(*looks: LineObservations) -> list[tuple[float, float, float]]:
    return spans(find_line_assets(list(looks), CONFIG))


def said(*looks: LineObservations) -> list[tuple[int, int, int, int]]:
    """Asset, drive, hits and opportunities."""
    rows = line_visibility(find_line_assets(list(looks), CONFIG), list(looks), CONFIG)
    return sorted(
        zip(*(getattr(rows, name).tolist() for name in ("asset", "drive", "hits", "opportunities")), strict=True)
    )


def test_no_drives_and_no_lines():
    assert found() == []
    assert found(look(), look()) == []
    assert said(look()) == []


def test_drives_that_see_the_same_line_make_one():
    assets = find_line_assets([look(line(0, 100)), look(line(1, 99, 6.0)), look(line(0, 101)[::-1])], CONFIG)
    assert spans(assets) == [(0, 100, 5.0)]
    assert [number for number, _ in assets[0].segments] == [0, 1, 2]


def test_lines_on_both_sides_and_of_other_classes_stay_two():
    assert found(*[look(line(0, 100), line(0, 100, -5.0))] * 2) == [(0, 100, -5.0), (0, 100, 5.0)]
    assert found(look(line(0, 100)), look(line(0, 100, 9.5))) == [(0, 100, 5.0), (0, 100, 9.5)]  # lines.overlap_m is 4
    assert found(look(line(0, 100)), look(line(0, 100), name="Fence")) == [(0, 100, 5.0)] * 2


def test_one_after_the_other_stay_two():
    assert found(*[look(line(0, 100), line(120, 200))] * 2) == [(0, 100, 5.0), (120, 200, 5.0)]


@pytest.mark.parametrize("whole_at", [0, 1, 2])
def test_pieces_are_one_once_a_drive_has_seen_it_whole(whole_at):
    looks = [look(line(0, 90), line(110, 200))] * 2
    looks.insert(whole_at, look(line(0, 200)))
    assets = find_line_assets(looks, CONFIG)
    assert len(assets) == 1
    assert sorted({number for number, _ in assets[0].segments}) == [0, 1, 2]
    assert [number for number, _ in assets[0].segments] == sorted(number for number, _ in assets[0].segments)
    assert spans(assets) == [(0, 200, 5.0)]


@pytest.mark.parametrize(("end_m", "lines"), [(110.0, 2), (130.0, 2), (140.0, 1)])
def test_two_are_one_once_a_line_was_seen_that_runs_beside_both(end_m, lines):
    """From 80 m on: beside the first for 20 m, and beside the second, from 120 m on, for less than PIECE_M or more."""
    assert PIECE_M == 15.0
    assert len(find_line_assets([look(line(0, 100), line(120, 220)), look(line(80, end_m))], CONFIG)) == lines


def test_short_drives_have_no_vote_where_they_did_not_look():
    short = look(line(0, 100), end_m=95.0)
    assert found(look(line(0, 300)), short, short, short) == [(0, 300, 5.0)]


def test_a_drive_that_looked_there_has_a_vote():
    whole, half = look(line(0, 300)), look(line(0, 150))
    (most,) = found(whole, half, half)
    assert most[:2] == pytest.approx((0, 150), abs=4)
    assert found(whole, whole, half) == [(0, 300, 5.0)]


def test_seen_looked_along_and_not_looked_at():
    seen, blind, away = look(line(0, 200)), look(), look(start_m=-900.0, end_m=-500.0)
    near = look(start_m=-60.0, end_m=60.0)  # looks along less than half of it
    assert said(seen, blind, away, near) == [
        (0, 0, LINE_OPPORTUNITIES, LINE_OPPORTUNITIES),
        (0, 1, 0, LINE_OPPORTUNITIES),
    ]


def test_a_drive_along_half_of_a_line_can_miss_it():
    """The last frames at 120 m see to about 160 m, and the camera's field of view begins 8 m ahead."""
    assert (0, 1, 0, LINE_OPPORTUNITIES) in said(look(line(0, 200)), look(end_m=130.0))


def test_a_camera_that_looks_at_its_back_does_not_miss_a_line():
    assert said(look(line(0, 200)), look(back=True)) == [(0, 0, LINE_OPPORTUNITIES, LINE_OPPORTUNITIES)]


def test_frames_of_a_standstill_do_not_miss_a_line():
    """Forty frames at one place are one opportunity, and absence takes two."""
    assert CONFIG.visibility.line_opportunities == 2
    seen, one = look(line(0, 40)), look()
    still = np.full(40, 5)  # 10 m before it begins
    poses = Poses(**{name: value[still] for name, value in vars(one.view.drive.poses).items()})
    stood = LineObservations(view_of(replace(one.view.drive, poses=poses)), [], [], one.width_m)
    assert said(seen, stood) == [(0, 0, LINE_OPPORTUNITIES, LINE_OPPORTUNITIES)]
    assert (0, 1, 0, LINE_OPPORTUNITIES) in said(seen, one)


def test_a_third_of_a_line_is_no_absence():
    assert said(look(line(0, 300)), look(line(0, 100))) == [
        (0, 0, LINE_OPPORTUNITIES, LINE_OPPORTUNITIES),
        (0, 1, LINE_OPPORTUNITIES, LINE_OPPORTUNITIES),
    ]


def test_few_frames_are_few_hits():
    seen, glance = look(line(0, 200)), look(line(0, 200))
    glance.segments[0] = replace(glance.segments[0], hits=2)
    assert said(seen, glance) == [(0, 0, LINE_OPPORTUNITIES, LINE_OPPORTUNITIES), (0, 1, 2, LINE_OPPORTUNITIES)]


def test_a_line_of_another_class_beside_it_is_not_the_line():
    """A fence 2 m behind the rail is still there when the rail is gone."""
    rail, fence = look(line(0, 200)), look(line(0, 200, 7.0), name="Fence")
    assert said(rail, fence)[:2] == [(0, 0, LINE_OPPORTUNITIES, LINE_OPPORTUNITIES), (0, 1, 0, LINE_OPPORTUNITIES)]


@pytest.mark.parametrize(("xy", "middle"), [(line(0, 100), (5, 50)), (np.array([[0.0, 0], [0, 1], [99, 1]]), (49, 1))])
def test_the_middle_is_half_way_along(xy, middle):
    assert middle_of(xy).tolist() == pytest.approx(list(middle))


# The whole register.


def long_rail() -> World:
    world = World(7, 1500.0, [Known("r", LINE, 100.0, 5.0, 1400.0)])
    world.assets += [Known(f"p{k}", POLE, float(s), -8.0) for k, s in enumerate(range(40, 1480, 60))]
    return world


@cache
def night(number: int, end_s: float | None = None) -> DriveTables:
    return drive(long_rail(), number, end_s=end_s, false_per_frame=0.0)


def rails(built: Built) -> list[dict]:
    return [row for row in built.assets.to_pylist() if row["class"] == LINE]


@pytest.mark.parametrize("ends", [(None, 700.0), (None, 900.0, 900.0), (900.0, 900.0, None)])
def test_short_drives_cut_nothing_off_a_long_rail(ends):
    built = run(*(night(number, end) for number, end in enumerate(ends)))
    assert [row["length_m"] for row in rails(built)] == [pytest.approx(1300, rel=0.01)]
    (row,) = rails(built)
    shape = shapely.from_wkb(row["geometry"])
    x, y = HOME.to_xy(*shapely.get_coordinates(shape.interpolate([0.0, 1.0], normalized=True)).T)
    known = np.array([long_rail().xy(s, 5.0) for s in (100.0, 1400.0)])
    off = np.hypot(*(np.stack([x, y], axis=1)[:, None] - known[None]).transpose(2, 0, 1)).min(axis=1)
    assert off.max() < 12  # metres, of its ends
    assert row["state"] == "confirmed"


def test_a_rail_that_two_drives_do_not_see_is_missing():
    blind = []
    for tables in (night(1), night(2)):
        others = [row["class"] != LINE for row in tables.observations.select(["class"]).to_pylist()]
        blind.append(DriveTables(tables.drive_id, tables.frames, tables.observations.filter(pa.array(others))))
    built = run(night(0), *blind)
    (row,) = rails(built)
    assert row["state"] == "missing"
    told = [change["change"] for change in built.changes.to_pylist() if change["asset_id"] == row["asset_id"]]
    assert told == ["suspect", "missing"]
    assert run(night(0), *blind[:1]).assets.num_rows == built.assets.num_rows
    assert rails(run(night(0), *blind[:1]))[0]["state"] == "suspect"


def test_a_line_is_as_unsure_as_one_drives_outline():
    """Any metre of it lies where one drive saw it: many drives do not make it surer than one drive's GNSS."""
    floor = np.sqrt(2) * CONFIG.noise.gnss_sigma_m
    sigma = [rails(run(*(night(number) for number in range(count))))[0]["pos_sigma_m"] for count in (1, 3)]
    assert min(sigma) >= floor
    assert sigma[1] == pytest.approx(sigma[0], rel=0.05)


def backwards(world: World) -> DriveTables:
    """A drive whose camera looks back: what a camera ahead sees on the way back, in reverse."""
    back = World(world.seed, world.length_m)
    back.xy = lambda s, offset: world.xy(world.length_m - np.asarray(s), -np.asarray(offset))
    back.course = lambda s: world.course(world.length_m - np.asarray(s)) + np.pi
    for a in world.assets:
        end = None if a.end_s is None else world.length_m - a.s
        back.assets.append(Known(a.asset_id, a.class_name, world.length_m - (a.end_s or a.s), -a.offset_m, end))
    tables = drive(back, 0, false_per_frame=0.0)
    times = tables.frames["captured_at"].cast(pa.int64()).to_numpy()

    def reverse(table: pa.Table) -> pa.Table:
        time = times.max() + times.min() - table["captured_at"].cast(pa.int64()).to_numpy()
        index = table.schema.get_field_index("captured_at")
        return table.set_column(index, table.schema.field(index), pa.array(time).cast(table.schema.field(index).type))

    return DriveTables(tables.drive_id, reverse(tables.frames), reverse(tables.observations))


def test_a_camera_that_looks_back_makes_points_and_no_lines():
    classes = confirmed(run(backwards(long_rail())))["class"].to_pylist()
    assert LINE not in classes
    assert len(classes) == pytest.approx(24, abs=2)


def test_a_camera_that_looks_back_does_not_miss_the_lines_of_one_that_looks_ahead():
    built = run(night(0), replace(backwards(long_rail()), drive_id="back"))
    (row,) = rails(built)
    assert row["state"] == "confirmed"
    assert [change for change in built.changes.to_pylist() if change["class"] == LINE] == []
