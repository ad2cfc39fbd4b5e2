from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from support.built import confirmed, run
from support.world import LINE, POINTS, Known, World, drive, make_world

from roadscan.evaluate.register.changes import score_changes
from roadscan.evaluate.register.scores import score_assets
from roadscan.inventory.build import DriveTables
from roadscan.schemas import ASSETS


def with_changes(seed: int) -> World:
    world = make_world(seed)
    points = [a for a in world.assets if a.class_name in POINTS]
    for asset in points[5:60:14]:
        asset.last_night = 0
    for asset in points[8:60:14]:
        asset.first_night = 1
    return world


# Seeds that no threshold was tuned on (20 to 31 were).
@pytest.mark.parametrize("seed", [200, 201, 202, 203])
def test_two_nights_give_the_assets_that_stand_there(seed):
    world = with_changes(seed)
    scores = score_assets(confirmed(run(drive(world, 0), drive(world, 1))), world.truth(1))
    assert scores.overall.precision >= 0.9
    assert scores.overall.recall >= 0.9
    assert scores.lines[LINE].precision >= 0.9
    assert scores.lines[LINE].recall >= 0.85
    assert scores.position_p50_m <= 2.5


@pytest.mark.slow
def test_changes_between_nights_are_found_once_a_second_night_shows_them():
    reported: list[tuple[str, str]] = []
    known: list[tuple[str, str]] = []
    for seed in range(200, 206):
        world = with_changes(seed)
        built = run(drive(world, 0), drive(world, 1), drive(world, 2))
        before = score_assets(built.assets, world.truth(0)).matches
        after = score_assets(built.assets, world.truth(2)).matches
        for row in (row for row in built.changes.to_pylist() if row["change"] != "suspect"):
            kind, names = {"missing": ("removed", before), "new": ("added", after)}.get(row["change"], ("wrong", after))
            reported.append((f"{seed}/{names.get(row['asset_id'], row['asset_id'])}", kind))
        points = [a for a in world.assets if a.class_name in POINTS]
        known += [(f"{seed}/{a.asset_id}", "removed") for a in points if a.last_night == 0]
        known += [(f"{seed}/{a.asset_id}", "added") for a in points if a.first_night == 1]
    score = score_changes(reported, known)
    assert score.recall >= 0.75
    assert score.precision >= 0.75


def test_more_nights_place_assets_better():
    world = make_world(210)
    errors = []
    for nights in (1, 4):
        built = run(*(drive(world, n) for n in range(nights)))
        errors.append(score_assets(confirmed(built), world.truth(0)).position_p50_m)
    assert errors[1] < errors[0]


def test_pos_sigma_is_honest():
    world = make_world(211)
    found = confirmed(run(drive(world, 0), drive(world, 1)))
    matches = score_assets(found, world.truth(1), radius_m=15).matches
    truth = {row["asset_id"]: row for row in world.truth(1).to_pylist()}
    points = [row for row in found.to_pylist() if row["asset_id"] in matches and row["class"] in POINTS]
    ratio = []
    for row in points:
        known = truth[matches[row["asset_id"]]]
        east = (row["lon"] - known["lon"]) * 111_320 * np.cos(np.radians(13.75))
        ratio.append(np.hypot(east, (row["lat"] - known["lat"]) * 110_600) / row["pos_sigma_m"])
    # An error is below two of its own standard deviations for nearly all, and not a tenth of it for most.
    assert np.mean(np.array(ratio) < 2) > 0.9
    assert np.median(ratio) > 0.2


def test_what_was_not_surveyed_is_never_missing():
    world = make_world(212)
    whole, half = drive(world, 0), drive(world, 1, end_s=800.0)
    built = run(whole, half)
    cut_lonlat = half.frames["camera_lon"][-1].as_py(), half.frames["camera_lat"][-1].as_py()
    east, north = np.sin(world.course(800.0)), np.cos(world.course(800.0))
    for row in built.changes.to_pylist():
        ahead = (row["lon"] - cut_lonlat[0]) * east + (row["lat"] - cut_lonlat[1]) * north
        assert ahead * 108_000 < 60  # nothing beyond the last frame's sight changed


def test_frames_that_were_not_scanned_cover_nothing():
    world = make_world(212)
    second = drive(world, 1)
    failed = second.frames.set_column(
        second.frames.schema.get_field_index("status"), "status", pa.array(["failed"] * second.frames.num_rows)
    )
    built = run(drive(world, 0), DriveTables("night-02", failed, second.observations.slice(0, 0)))
    assert built.changes.num_rows == 0
    assert "missing" not in built.assets["state"].to_pylist()


def test_drives_that_saw_nothing_make_everything_suspect_then_missing_and_the_next_brings_it_back():
    world = make_world(213, length_m=700.0)
    blind = [drive(world, night) for night in (1, 2)]
    blind = [DriveTables(one.drive_id, one.frames, one.observations.slice(0, 0)) for one in blind]
    there = confirmed(run(drive(world, 0))).num_rows
    doubted = run(drive(world, 0), blind[0])
    assert set(doubted.changes["change"].to_pylist()) == {"suspect"}
    assert doubted.changes.num_rows > 0.6 * there
    gone = run(drive(world, 0), *blind)
    missing = gone.assets.filter(pc.equal(gone.assets["state"], "missing")).num_rows
    assert missing > 0.6 * there
    back = run(drive(world, 0), *blind, drive(world, 3))
    changes = back.changes["change"].to_pylist()
    assert changes.count("reappeared") >= 0.8 * missing
    assert changes.count("missing") == pytest.approx(missing, abs=2)


def test_a_drive_the_other_way_finds_the_same_assets():
    world = make_world(214, length_m=800.0)
    mirror = World(214, world.length_m)
    mirror.xy = lambda s, offset: world.xy(world.length_m - np.asarray(s), -np.asarray(offset))
    mirror.course = lambda s: world.course(world.length_m - np.asarray(s)) + np.pi
    for a in world.assets:
        end = None if a.end_s is None else world.length_m - a.s
        start = world.length_m - (a.s if a.end_s is None else a.end_s)
        mirror.assets.append(Known(a.asset_id, a.class_name, start, -a.offset_m, end))
    built = run(drive(world, 0), drive(mirror, 1))
    scores = score_assets(confirmed(built), world.truth(0))
    assert scores.overall.precision >= 0.9
    assert scores.overall.recall >= 0.9


def test_an_empty_drive_and_no_drive_at_all():
    world = make_world(215, length_m=300.0)
    tables = drive(world, 0)
    nothing = DriveTables("n", tables.frames.slice(0, 0), tables.observations.slice(0, 0))
    for built in (run(), run(nothing)):
        assert built.assets.num_rows == 0
        assert b"geo" in built.assets.schema.metadata
        assert built.assets.schema.equals(ASSETS)


def test_building_again_with_the_ids_of_before_is_the_same_table():
    world = make_world(216)
    drives = [drive(world, 0), drive(world, 1)]
    first = run(*drives)
    assert run(*drives, previous=first.assets).assets.equals(first.assets)


def test_an_unknown_class_without_ranges_is_a_point_asset():
    world = World(217, 400.0, [Known("x", "Bus Stop", 200.0, 7.0)])
    tables = drive(world, 0, recall=1.0, false_per_frame=0.0)
    observations = tables.observations
    for name, value in (("class", "Speed Camera"), ("range_m", None), ("range_sigma_m", None), ("range_source", None)):
        field = observations.schema.field(name)
        column = pa.array([value] * observations.num_rows, field.type)
        observations = observations.set_column(observations.schema.get_field_index(name), field, column)
    (row,) = run(DriveTables("d", tables.frames, observations)).assets.to_pylist()
    assert (row["class"], row["side"], row["state"]) == ("Speed Camera", "right", "confirmed")
    truth = world.truth(0).to_pylist()[0]
    assert abs(row["lat"] - truth["lat"]) * 110_600 < 8


def test_frames_without_a_heading_cover_nothing():
    """In a traffic jam the importers give no heading, so detections have no bearing: that is no absence."""
    world = make_world(213)
    second = drive(world, 1)
    nothing = pa.nulls(second.frames.num_rows, pa.float64())
    frames = second.frames.set_column(second.frames.schema.get_field_index("heading_deg"), "heading_deg", nothing)
    blind = pa.nulls(second.observations.num_rows, pa.float64())
    at = second.observations.schema.get_field_index("bearing_deg")
    observations = second.observations.set_column(at, "bearing_deg", blind)
    built = run(drive(world, 0), DriveTables(second.drive_id, frames, observations))
    assert built.changes.num_rows == 0


@pytest.mark.slow
def test_nights_on_which_nothing_changed_report_little():
    """Five nights over each of three worlds: about 240 assets, four times looked at again."""
    changes = []
    for seed in (300, 301, 302):
        world = make_world(seed)
        changes += run(*(drive(world, night) for night in range(5))).changes["change"].to_pylist()
    assert changes.count("missing") <= 0.02 * 240 * 4


def test_a_short_drive_does_not_register_a_long_rail_again():
    world = World(214, 1500.0, [Known("rail", LINE, 50, 5.0, 1400), *make_world(214).assets[:8]])
    built = run(drive(world, 0), drive(world, 1, end_s=500.0))
    found = score_assets(confirmed(built), world.truth(1)).lines[LINE]
    assert found.found <= 1350  # metres; a second rail over the same ground would be counted again
    assert found.recall > 0.9


@pytest.mark.parametrize("back_sees", [True, False])
def test_poles_between_two_carriageways_are_one_asset_each(back_sees: bool):
    """Median poles, 8 m to the right of either way; the other way they are seen, or show only their backs."""
    world = World(215, 1500.0, [Known(f"p{k}", "Single-Arm Pole", 60.0 + 60 * k, 8.0) for k in range(22)])
    there = [drive(world, night, false_per_frame=0.0) for night in range(2)]
    back = [drive(world, night, way_back_m=16.0, recall=0.85 if back_sees else 0.0) for night in (2, 3)]
    built = run(there[0], back[0], there[1], back[1])
    points = [
        row for row in built.assets.to_pylist() if row["class"] == "Single-Arm Pole" and row["state"] == "confirmed"
    ]
    assert len(points) == pytest.approx(22, abs=2)
    assert built.changes["change"].to_pylist().count("missing") <= 3  # 22 poles, three times looked at again
