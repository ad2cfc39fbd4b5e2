"""The register over several drives, where the order, the direction or the extent of drives matters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import shapely
from inventory.test_build import CONFIG, confirmed, run
from inventory.world import HOME, LINE, Known, World, drive

from roadscan.inventory.assets import new_asset
from roadscan.inventory.build import DriveTables
from roadscan.inventory.drive_pass import read_pass
from roadscan.inventory.lifecycle import Register
from roadscan.inventory.sightings import Evidence, Sighting
from roadscan.taxonomy import HIGHWAY

POLE = HIGHWAY.get("Single-Arm Pole")  # its merge_m is 8 m
EVIDENCE = Evidence("a.jpg", (0.0, 0.0, 1.0, 1.0), "m" * 64, 1.0)
EMPTY = World(7, 400.0)


def passing(night: int, world: World = EMPTY):
    tables = drive(world, night, bias_m=0.0, false_per_frame=0.0)
    return read_pass(tables.drive_id, tables.frames, tables.observations)


def sighting(drive_pass, s: float, offset_m: float, *, hits: int = 4, sigma_m: float = 1.0, is_sure: bool = True):
    """A pole beside the road of `EMPTY`, seen in the frames before it."""
    lon, lat = HOME.to_lonlat(*EMPTY.xy(s, offset_m))
    xy = np.array(drive_pass.frame.to_xy(lon, lat))
    frames = np.flatnonzero(drive_pass.poses.s < s)[-hits - 1 : -1]
    return Sighting(
        asset_class=POLE,
        xy=xy,
        cov=np.eye(2) * sigma_m**2 / 2,
        line_xy=None,
        offset_m=offset_m,
        course=float(EMPTY.course(s)),
        rows=np.zeros(0, np.int64),
        frames=frames,
        mean_score=0.8,
        confirmed=is_sure,
        first_seen=drive_pass.started_at,
        last_seen=drive_pass.ended_at,
        evidence=EVIDENCE,
    )


def register(*sightings_of_night: list[tuple[float, float, dict]]) -> Register:
    """The register after a night for each list of (chainage, offset, what `sighting` takes)."""
    made = Register(CONFIG)
    for night, places in enumerate(sightings_of_night):
        one = passing(night)
        made.add(one, [sighting(one, s, offset, **more) for s, offset, more in places])
    return made


def states(made: Register) -> list[str]:
    return [asset.state for asset in made.assets]


def kinds(made: Register) -> list[str]:
    return [change.change for change in made.changes]


def test_an_estimate_too_far_off_to_match_is_no_second_asset():
    made = register([(200.0, 6.0, {})], [(207.5, 6.0, {})])  # outside match_gate_m, within merge_m
    assert (states(made), kinds(made)) == (["confirmed"], [])
    x, y = HOME.to_xy(made.assets[0].lon, made.assets[0].lat)
    first, second = (np.array(EMPTY.xy(s, 6.0)) for s in (200.0, 207.5))
    assert np.hypot(*(np.array([x, y]) - (first + second) / 2)) < 1.0  # both are equally sure


def test_two_that_one_drive_saw_stay_two():
    assert states(register([(200.0, 6.0, {}), (207.5, 6.0, {})])) == ["confirmed"] * 2


def test_one_that_stands_beside_is_still_missed_when_neither_is_seen():
    made = register([(200.0, 6.0, {}), (207.5, 6.0, {})], [])
    assert (states(made), kinds(made)) == (["missing"] * 2, ["missing"] * 2)


def test_a_missing_asset_found_a_little_off_has_reappeared():
    made = register([(200.0, 6.0, {})], [], [(207.5, 6.0, {})])
    assert (states(made), kinds(made)) == (["confirmed"], ["missing", "reappeared"])


def test_a_weak_sighting_does_not_bring_back_what_is_missing():
    weak = {"hits": 2, "is_sure": False}
    assert kinds(register([(200.0, 6.0, {})], [], [(200.0, 6.0, weak)])) == ["missing"]
    assert kinds(register([(200.0, 6.0, {})], [], [(200.0, 6.0, {})])) == ["missing", "reappeared"]


def test_two_estimates_of_nowhere_confirm_nothing():
    far = {"sigma_m": 40.0, "is_sure": False}
    assert states(register([(200.0, 6.0, far)], [(200.0, 6.0, far)])) == ["candidate"]
    near = {"sigma_m": 3.0, "is_sure": False}
    assert states(register([(200.0, 6.0, near)], [(200.0, 6.0, near)])) == ["confirmed"]


def test_frames_of_a_standstill_are_one_look():
    made = register([(200.0, 6.0, {"hits": 8})])
    look = passing(1)
    stop = np.full(40, np.flatnonzero(look.poses.s < 170)[-1])  # 30 m before it, behind a lorry
    poses = replace(look.poses, **{name: value[stop] for name, value in vars(look.poses).items()})
    made.add(replace(look, poses=poses), [])
    assert kinds(made) == []


def test_frames_that_look_at_its_back_do_not_miss_it():
    made = register([(200.0, 6.0, {})])
    look = passing(1)
    poses = replace(look.poses, heading=look.poses.heading + np.pi)
    made.add(replace(look, poses=poses), [])
    assert kinds(made) == []


def test_a_line_is_as_unsure_as_one_drives_outline():
    one = passing(0)
    line = replace(sighting(one, 200.0, 6.0), asset_class=HIGHWAY.get(LINE), line_xy=np.array([[0.0, 0], [0, 50]]))
    assert new_asset(one, line, 1.5).pos_sigma_m == pytest.approx(np.sqrt(0.5 * 2 + 1.5**2 * 2))
    made = Register(CONFIG)
    for night in range(4):
        made.add(passing(night), [line])
    assert made.assets[0].pos_sigma_m >= new_asset(one, line, 1.5).pos_sigma_m


def long_rail() -> World:
    world = World(7, 1500.0, [Known("r", LINE, 100.0, 5.0, 1400.0)])
    world.assets += [Known(f"p{k}", POLE.name, float(s), -8.0) for k, s in enumerate(range(40, 1480, 60))]
    return world


def rail_lengths(built) -> list[float]:
    return [row["length_m"] for row in built.assets.to_pylist() if row["class"] == LINE]


@pytest.mark.parametrize("ends", [(None, 700.0), (None, 900.0, 900.0), (900.0, 900.0, None)])
def test_short_drives_cut_nothing_off_a_long_rail(ends):
    nights = [drive(long_rail(), n, end_s=end, false_per_frame=0.0) for n, end in enumerate(ends)]
    assert rail_lengths(run(*nights)) == [pytest.approx(1300, rel=0.01)]


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


def test_the_older_of_two_ids_stays():
    world = World(5, 400.0, [Known("p", POLE.name, 200.0, 7.0)])
    first = run(drive(world, 0, false_per_frame=0.0))
    (row,) = first.assets.to_pylist()
    twin = row | {"asset_id": "TWIN", "lon": row["lon"] + 1e-5, "first_seen": row["last_seen"]}
    moved = row | {"lon": row["lon"] + 3e-5, "geometry": shapely.to_wkb(shapely.Point(row["lon"] + 3e-5, row["lat"]))}
    previous = pa.Table.from_pylist([twin, moved], schema=first.assets.schema)  # the twin lies nearer
    again = run(drive(world, 0, false_per_frame=0.0), previous=previous)
    assert again.assets["asset_id"].to_pylist() == [row["asset_id"]]
