from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from support.built import CONFIG
from support.world import HOME, Known, World, drive

from roadscan.inventory.drive.estimates import estimate
from roadscan.inventory.drive.passes import Detections, DrivenPath, DrivePass, Poses, read_pass
from roadscan.inventory.fuse.points import PointAssets, fuse_points, sectors_of
from roadscan.inventory.fuse.visibility import (
    OPPORTUNITY_M,
    SECTORS,
    AlignedDrive,
    PointObservations,
    Targets,
    in_view,
    opportunity_of,
    pointed_at,
    sector_of,
)
from roadscan.taxonomy import HIGHWAY

HALF_FOV_DEG = 32.0
POLE, SIGN = "Single-Arm Pole", "Warning Sign"
ANY_WAY = np.ones(SECTORS, bool)


def passing(heading_deg=0.0, *, s=(0.0,), fov_deg: float = HALF_FOV_DEG, seen: list[dict] | None = None) -> DrivePass:
    """A drive to the north with frames at chainages `s`, whose cameras look elsewhere if told to."""
    s = np.asarray(s, float)
    n = len(s)
    rows = seen or []

    def column(name: str, default: float, kind: type = float) -> np.ndarray:
        return np.array([row.get(name, default) for row in rows], kind)

    detections = Detections(
        frame_index=column("frame", 0, int),
        row=np.arange(len(rows)),
        class_name=np.array([row.get("name", POLE) for row in rows], str),
        score=column("score", 0.9),
        bearing=np.radians(column("bearing_deg", 0.0)),
        bearing_sigma=np.full(len(rows), np.radians(0.8)),
        bearing_factor=np.ones(len(rows)),
        log_range=np.log(column("range_m", 30.0)),
        log_sigma=column("sigma", 0.1),
        jitter_m=np.full(len(rows), 0.4),
        near_bearing_deg=column("near_bearing_deg", np.nan),
        near_range_m=column("near_range_m", np.nan),
        far_bearing_deg=column("far_bearing_deg", np.nan),
        far_range_m=column("far_range_m", np.nan),
        box_height_px=column("height", 60.0),
    )
    poses = Poses(
        x=np.zeros(n),
        y=s,
        s=s,
        heading=np.broadcast_to(np.radians(np.asarray(heading_deg, float)), n),
        half_fov=np.full(n, np.radians(fov_deg)),
        time_us=np.arange(n) * 500_000,
        sigma_m=np.full(n, 1.5),
        heading_sigma=np.full(n, np.radians(1.5)),
    )
    path = DrivenPath(np.array([s[0] - 80, s[-1] + 80]), np.zeros(2), np.array([s[0] - 80, s[-1] + 80]), np.zeros(2))
    return DrivePass("d", HOME, poses, path, detections, pa.table({}))


def viewed(one: DrivePass, xy, sectors=ANY_WAY) -> list[tuple[int, int]]:
    places = np.array(xy, float).reshape(-1, 2)
    mask = np.broadcast_to(sectors, (len(places), SECTORS))
    targets = Targets(places, np.zeros(len(places), int), np.full(len(places), np.inf), mask)
    asset, frame = in_view(aligned(one), targets, CONFIG.visibility)
    return sorted(zip(asset.tolist(), frame.tolist(), strict=True))


def aligned(one: DrivePass) -> AlignedDrive:
    """A drive without bias or yaw error."""
    return AlignedDrive(one, one.camera_xy, 0.0)


def polar(r: float, bearing_deg: float) -> tuple[float, float]:
    return r * np.sin(np.radians(bearing_deg)), r * np.cos(np.radians(bearing_deg))


def test_no_assets_are_in_no_view():
    assert viewed(passing(), []) == []


@pytest.mark.parametrize(
    ("r", "bearing_deg", "heading_deg", "expected"),
    [
        (30.0, 0.0, 0.0, True),
        (30.0, 29.9, 0.0, True),  # half the field of view is 32 degrees, less a margin of 2
        (30.0, 30.1, 0.0, False),
        (30.0, -29.9, 0.0, True),
        (30.0, -30.1, 0.0, False),
        (30.0, 160.0, -175.0, True),  # 25 degrees apart, across north by way of south
        (30.0, 150.0, -175.0, False),
        (30.0, 1.0, 359.0, True),
        (30.0, 180.0, 0.0, False),
        (6.1, 0.0, 0.0, True),  # visibility.near_m = 6
        (5.9, 0.0, 0.0, False),
        (49.9, 0.0, 0.0, True),  # visibility.far_m = 50
        (50.1, 0.0, 0.0, False),
    ],
)
def test_the_field_of_view_near_and_far(r, bearing_deg, heading_deg, expected):
    assert viewed(passing(heading_deg), [polar(r, bearing_deg)]) == ([(0, 0)] if expected else [])


def test_a_frame_without_a_heading_has_nothing_in_view():
    assert viewed(passing(fov_deg=np.nan), [polar(30.0, 0.0)]) == []


@pytest.mark.parametrize(
    ("seen_from_deg", "looks_deg", "expected"),
    [(0, 0, True), (0, 89, True), (0, 91, False), (0, 180, False), (180, 180, True), (60, 149, True), (60, 151, False)],
)
def test_a_sign_has_a_back(seen_from_deg, looks_deg, expected):
    sectors = np.zeros(SECTORS, bool)
    sectors[sector_of(np.radians(float(seen_from_deg)))] = True
    assert viewed(passing(looks_deg), [polar(30.0, looks_deg)], sectors) == ([(0, 0)] if expected else [])


def test_what_was_seen_both_ways_has_no_back_and_what_nobody_saw_no_front():
    both = np.zeros(SECTORS, bool)
    both[[0, SECTORS // 2]] = True
    assert viewed(passing(180.0), [polar(30.0, 180.0)], both) == [(0, 0)]
    assert viewed(passing(), [polar(30.0, 0.0)], np.zeros(SECTORS, bool)) == []


def test_in_view_against_a_loop_over_all_pairs():
    rng = np.random.default_rng(4)
    s = np.arange(0.0, 300.0, 10.0)
    one = passing(rng.uniform(-180, 360, len(s)), s=s)
    xy = np.stack([rng.uniform(-40, 40, 80), rng.uniform(-40, 340, 80)], axis=1)
    sectors = rng.random((80, SECTORS)) < 0.3
    expected = []
    for a, (x, y) in enumerate(xy):
        for f in range(len(s)):
            r = np.hypot(x, y - s[f])
            off = np.degrees(np.arctan2(x, y - s[f])) - np.degrees(one.poses.heading[f])
            apart = abs((off + 180) % 360 - 180)
            ways = [np.cos(one.poses.heading[f] - np.radians(30.0 * k)) > 0 for k in np.flatnonzero(sectors[a])]
            if 6 <= r <= 50 and apart <= HALF_FOV_DEG - 2 and any(ways):
                expected.append((a, f))
    assert 60 < len(expected) < 200  # of 2400 pairs
    assert viewed(one, xy, sectors) == expected


@pytest.mark.parametrize(
    ("degrees", "sector"),
    [(0, 0), (14.9, 0), (15.1, 1), (90, 3), (345.1, 0), (344.9, 11), (-14.9, 0), (-90, 9), (720, 0)],
)
def test_sectors(degrees, sector):
    assert sector_of(np.radians(float(degrees))) == sector


def test_opportunities_are_five_metres_of_travel():
    assert OPPORTUNITY_M == 5.0
    assert opportunity_of(passing(s=(0.0, 1.0, 4.9, 5.1, 12.0, 12.0, 30.0))).tolist() == [0, 0, 0, 1, 2, 2, 6]
    assert opportunity_of(passing(s=(103.0, 104.0, 105.0))).tolist() == [0, 0, 1]
    assert opportunity_of(passing(s=(17.0,) * 40)).tolist() == [0] * 40  # behind a lorry


def pointing(xy, seen: list[dict], *, s=(0.0,), frames=None, free=None, classes=(0,)) -> list[int]:
    """The assets at `xy`, all of them looked at in all frames, to which some of the detections point."""
    one = passing(s=s, seen=seen)
    places = np.array(xy, float).reshape(-1, 2)
    asset, frame = (part.ravel() for part in np.meshgrid(np.arange(len(places)), np.arange(len(s)), indexing="ij"))
    shows = np.full(len(seen), -1 if free is None else len(places))
    shows[[] if free is None else free] = -1
    class_index = np.array([{POLE: 0, SIGN: 1}.get(str(name), -1) for name in one.detections.class_name], int)
    targets = Targets(places, np.array(classes), np.zeros(len(places)), np.ones((len(places), SECTORS), bool))
    return pointed_at(PointObservations(aligned(one), class_index, shows), targets, asset, frame).tolist()


def test_nothing_points_anywhere():
    assert pointing([polar(30.0, 0.0)], []) == []
    assert pointing([], [{}], classes=()) == []


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({}, True),  # at 30 m ahead, as the asset is
        ({"bearing_deg": 6.1}, True),  # 1.5 degrees and 2.5 m beside, at 30 m: 6.27 degrees
        ({"bearing_deg": 6.5}, False),
        ({"bearing_deg": 353.9}, True),
        ({"bearing_deg": 353.5}, False),
        ({"range_m": 38.9}, True),  # two sigmas of 0.1, and 2.5 m in 30: a factor of e^0.283 = 1.33
        ({"range_m": 41.0}, False),
        ({"range_m": 23.0}, True),
        ({"range_m": 22.0}, False),
        ({"range_m": 60.0, "sigma": 1.0}, True),  # a range that is a guess fits
        ({"name": SIGN}, False),
        ({"name": "Speed Camera"}, False),  # of a class that no asset here has
    ],
)
def test_a_detection_points_to_an_asset_of_its_class_there(seen, expected):
    assert pointing([polar(30.0, 0.0)], [seen]) == ([0] if expected else [])


def test_detections_that_show_an_asset_do_not_point_to_another():
    seen = [{"frame": 0}, {"frame": 1, "bearing_deg": 20.0}]
    assert pointing([polar(30.0, 0.0)], seen, s=(0.0, 1.0), free=[1]) == []
    assert pointing([polar(30.0, 0.0)], seen, s=(0.0, 1.0), free=[0]) == [0]


def test_each_frame_points_from_where_it_was_taken():
    """Frames 20 m apart; two assets 30 m and 70 m ahead of the first."""
    places = [polar(30.0, 0.0), polar(70.0, 0.0), polar(71.0, 180.0)]
    third = {"frame": 2, "range_m": 30.0}  # taken at 40 m: it shows the one at 70 m
    many = [{"frame": 0, "bearing_deg": 90.0}, {"frame": 1, "bearing_deg": 90.0}, third, third]
    assert pointing(places, many, s=(0.0, 20.0, 40.0), classes=(0, 0, 0)) == [1]


# What a second drive past one pole says of it.
ROAD = World(7, 400.0, [Known("p", POLE, 200.0, 6.0), Known("q", POLE, 60.0, -6.0)])


def second_drive(change) -> PointAssets:
    """What is found when a second drive saw nothing, and its frames are `change`d."""
    tables = drive(ROAD, 0, bias_m=0.0, yaw_deg=0.0, false_per_frame=0.0)
    first = read_pass(tables.drive_id, tables.frames, tables.observations)
    second = read_pass("second", tables.frames, tables.observations.slice(0, 0), enu=first.enu)
    drives = [first, replace(second, poses=change(second.poses))]
    return fuse_points(drives, [estimate(one, HIGHWAY, CONFIG) for one in drives], HIGHWAY, CONFIG)


def missed(found: PointAssets) -> list[int]:
    """How many opportunities the second drive had to see each asset."""
    said = found.visibility
    rows = said.drive == 1
    return np.bincount(said.asset[rows], said.opportunities[rows], len(found.class_index)).astype(int).tolist()


def test_frames_that_saw_nothing_miss_both():
    found = second_drive(lambda poses: poses)
    assert min(missed(found)) >= 3
    assert found.standing.change == ["suspect", "suspect"]


def test_frames_of_a_standstill_are_one_opportunity():
    """40 frames 30 m before a pole, behind a lorry: no more than one."""

    def stop(poses: Poses) -> Poses:
        still = np.full(40, np.flatnonzero(poses.s < 170)[-1])
        return Poses(**{name: value[still] for name, value in vars(poses).items()})

    found = second_drive(stop)
    assert sorted(missed(found)) == [0, 1]
    passed = second_drive(lambda poses: poses)
    assert found.ratio[found.visibility.drive == 1].min() > passed.ratio[passed.visibility.drive == 1].max() + 0.5


def test_frames_that_look_at_its_back_do_not_miss_it():
    found = second_drive(lambda poses: replace(poses, heading=poses.heading + np.pi))
    assert missed(found) == [0, 0]
    assert found.standing.change == []


def test_a_panorama_looks_where_a_thing_is_and_so_sees_its_back_from_behind():
    """Signs 20 m ahead and behind, and one a degree off straight behind, seen by cameras that looked to the north."""
    around = passing(0.0, fov_deg=180.0)
    assert viewed(around, [polar(20, 0), polar(20, 180), polar(20, 179)]) == [(0, 0), (1, 0), (2, 0)]
    north = np.arange(SECTORS) == sector_of(np.array(0.0))
    assert viewed(around, [polar(20, 0), polar(20, 180), polar(20, 80)], north) == [(0, 0), (2, 0)]


def test_a_panorama_remembers_the_way_to_what_it_saw():
    around = passing(0.0, fov_deg=180.0, seen=[{"bearing_deg": 180.0}])
    ahead = passing(0.0, seen=[{"bearing_deg": 20.0}])
    for one, expected in ((around, np.pi), (ahead, 0.0)):
        seen = PointObservations(aligned(one), np.zeros(1, int), np.zeros(1, int))
        assert np.flatnonzero(sectors_of([seen], 1)[0]).tolist() == [sector_of(np.array(expected))]
