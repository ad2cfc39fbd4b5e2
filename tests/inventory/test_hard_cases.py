"""What monocular survey drives find hard, and what the register makes of it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from support.built import confirmed, run
from support.world import HOME, LINE, STEP_M, Known, World, drive

from roadscan.evaluate.register.scores import score_assets
from roadscan.inventory.build import Built, DriveTables

POLE, SIGN, STOP = "Single-Arm Pole", "Warning Sign", "Bus Stop"


def bend(radius_m: float, length_m: float = 1200.0) -> World:
    """A road that turns right for 60 degrees at that radius, then left for as much, again and again."""
    world = World(61, length_m)
    arc = radius_m * np.pi / 3
    turn = np.where((world.s // arc).astype(int) % 2 == 0, 1.0, -1.0) / radius_m
    world.take(np.radians(20) + np.cumsum(turn))
    return world


def beside(world: World, offset_m: float) -> World:
    """Another road, along the first one."""
    other = World(world.seed + 1, world.length_m)
    other.xy = lambda s, offset: world.xy(s, np.asarray(offset) + offset_m)
    other.course = world.course
    return other


def row_of(
    name: str, offset_m: float, every_m: float = 70.0, until_m: float = 1150.0, start_m: float = 50.0
) -> list[Known]:
    return [
        Known(f"{name}{s:.0f}{offset_m:+.0f}", name, float(s), offset_m) for s in np.arange(start_m, until_m, every_m)
    ]


def replaced(table: pa.Table, **columns) -> pa.Table:
    for name, values in columns.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(index), pa.array(values, table.schema.field(index).type))
    return table


def changes(built: Built) -> list[str]:
    return built.changes["change"].to_pylist()


@pytest.mark.parametrize("radius_m", [150.0, 250.0])
def test_a_winding_road_is_as_good_as_a_straight_one(radius_m):
    world = bend(radius_m)
    world.assets += [*row_of(SIGN, 6.0), *row_of(POLE, -6.0, start_m=80.0), Known("r", LINE, 300.0, 5.0, 620.0)]
    built = run(*(drive(world, night, false_per_frame=0.0) for night in range(3)))
    scores = score_assets(confirmed(built), world.truth(0))
    assert scores.overall.precision >= 0.97
    assert scores.overall.recall >= 0.97
    assert scores.position_p50_m <= 1.8
    assert {row["side"] for row in confirmed(built).to_pylist() if row["class"] == SIGN} == {"right"}
    assert {row["side"] for row in confirmed(built).to_pylist() if row["class"] == POLE} == {"left"}
    (rail,) = (row for row in confirmed(built).to_pylist() if row["class"] == LINE)
    assert rail["length_m"] == pytest.approx(320, abs=20)


def test_signs_for_the_other_carriageway_are_one_each_and_not_missing():
    """A divided road driven there and back in turn: each way sees its own signs, and the backs of no others."""
    there = World(62, 1000.0, row_of(SIGN, -7.0, until_m=950.0))
    back = World(62, 1000.0, row_of(SIGN, 25.0, until_m=950.0, start_m=85.0))
    drives = []
    for night in range(3):
        drives += [
            drive(there, 2 * night, false_per_frame=0.0),
            drive(back, 2 * night + 1, way_back_m=18.0, false_per_frame=0.0, drive_id=f"night-{2 * night + 2:02d}"),
        ]
    built = run(*drives)
    both = World(62, 1000.0, [*there.assets, *back.assets])
    scores = score_assets(confirmed(built), both.truth(0))
    assert scores.overall.precision == pytest.approx(1, abs=0.04)
    assert scores.overall.recall == pytest.approx(1, abs=0.04)
    assert "missing" not in changes(built)
    sides = {row["side"] for row in confirmed(built).to_pylist()}
    assert sides == {"left"}  # beyond the median, both stand on the left of who reads them


def test_a_frontage_road_keeps_its_own_signs():
    world = World(63, 1200.0, row_of(SIGN, 6.0))
    front = beside(world, 25.0)
    front.assets += row_of(SIGN, 5.0, start_m=60.0)
    nights = [drive(world, n, false_per_frame=0.0) for n in range(3)]
    nights += [drive(front, n, false_per_frame=0.0, drive_id=f"front-{n}") for n in range(3)]
    built = run(*nights)
    known = pa.concat_tables([world.truth(0), front.truth(0)])
    scores = score_assets(confirmed(built), known)
    assert (scores.overall.precision, scores.overall.recall) == (pytest.approx(1, abs=0.04), pytest.approx(1, abs=0.04))
    assert "missing" not in changes(built)


def test_two_classes_two_metres_apart_are_two_and_one_class_is_one():
    """No two warning signs stand within 4.5 m, the taxonomy says; a sign and a bus stop may."""
    world = World(64, 600.0, [Known("a", SIGN, 200.0, 6.0), Known("b", STOP, 202.0, 6.0)])
    world.assets += [Known("c", SIGN, 400.0, 6.0), Known("d", SIGN, 402.0, 6.0)]
    rows = confirmed(run(*(drive(world, night, false_per_frame=0.0) for night in range(3)))).to_pylist()
    assert sorted(row["class"] for row in rows if HOME.to_xy(row["lon"], row["lat"])[1] < world.xy(300.0, 0.0)[1]) == [
        STOP,
        SIGN,
    ]
    assert len(rows) in (3, 4)


@pytest.mark.parametrize("late", [0, 2])
def test_a_clock_that_is_a_second_late_doubles_nothing(late):
    world = bend(800.0)
    world.assets += [
        *row_of(SIGN, 6.0, every_m=83.0),
        *row_of(POLE, -6.0, every_m=47.0),
        *row_of(STOP, -7.0, every_m=190.0),
    ]
    nights = [drive(world, night, false_per_frame=0.0) for night in range(5)]
    one = nights[late]
    s = np.arange(0.0, world.length_m, STEP_M) - 22.0
    lon, lat = HOME.to_lonlat(*world.xy(s, 0.0))
    nights[late] = DriveTables(one.drive_id, replaced(one.frames, camera_lon=lon, camera_lat=lat), one.observations)
    built = run(*nights)
    scores = score_assets(confirmed(built), world.truth(0))
    assert scores.overall.precision >= 0.97
    assert scores.overall.recall >= 0.97
    assert scores.position_p50_m <= 1.6
    assert changes(built).count("missing") == 0


@pytest.mark.parametrize("frozen", [False, True])
def test_a_gps_outage_makes_nothing_missing_and_nothing_new(frozen):
    """300 m without a position, or with one that stands still while the vehicle drives on."""
    world = World(66, 1200.0, [*row_of(SIGN, 6.0), *row_of(POLE, -6.0)])
    nights = [drive(world, night, false_per_frame=0.0) for night in range(4)]
    for hit in (1, 2):
        one = nights[hit]
        s = np.arange(0.0, world.length_m, STEP_M)
        out = (s >= 400) & (s < 700)
        lon, lat = (one.frames[name].to_numpy().copy() for name in ("camera_lon", "camera_lat"))
        if frozen:
            lon[out], lat[out] = lon[np.flatnonzero(out)[0]], lat[np.flatnonzero(out)[0]]
            frames = replaced(one.frames, camera_lon=lon, camera_lat=lat)
        else:
            mask = {"camera_lon": np.where(out, None, lon), "camera_lat": np.where(out, None, lat)}
            frames = replaced(one.frames, **{name: values.tolist() for name, values in mask.items()})
        nights[hit] = DriveTables(one.drive_id, frames, one.observations)
    built = run(*nights)
    scores = score_assets(confirmed(built), world.truth(0))
    assert changes(built).count("missing") == 0
    assert scores.overall.recall >= 0.96  # of 32
    assert scores.overall.precision >= (0.9 if frozen else 0.97)


def test_a_lorry_in_a_jam_hides_a_sign_and_it_is_not_missing():
    """Three minutes beside it: 360 frames that should have shown it, and are one look."""
    world = World(67, 500.0, [*row_of(POLE, -6.0, until_m=450.0), Known("w", SIGN, 300.0, 6.0)])
    nights = [drive(world, night, recall=0.95, false_per_frame=0.0) for night in range(3)]
    last = nights[2]
    stop = int(280 / STEP_M)
    frames = pa.concat_tables(
        [last.frames.slice(0, stop), *[last.frames.slice(stop, 1)] * 360, last.frames.slice(stop)]
    )
    seen = last.observations.filter(pa.array([name != SIGN for name in last.observations["class"].to_pylist()]))
    built = run(nights[0], nights[1], DriveTables(last.drive_id, frames, seen))
    (sign,) = (row for row in built.assets.to_pylist() if row["class"] == SIGN)
    assert sign["state"] in ("confirmed", "suspect")
    assert "missing" not in changes(built)
