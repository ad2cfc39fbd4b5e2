"""Why an asset is what it is: from its drives' detections to its state, and what more drives would make of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.world import FOV_DEG, HOME, START, Known, World, commit, drive, make_world

import roadscan as public
from roadscan.config import replace_fields
from roadscan.errors import WarehouseError
from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.inventory.explain import Explanation, explain_asset
from roadscan.inventory.explain.read import Records
from roadscan.inventory.explain.reasons import reasons_of
from roadscan.inventory.explain.replay import Looks
from roadscan.inventory.fuse.existence import FLOOR
from roadscan.warehouse import Warehouse

NIGHTS = 4
GOES, GOES_LATE, COMES = 5, 7, 9  # of the world's assets: after the second night, after the third; on the third


def with_changes(world: World) -> World:
    world.assets[GOES].last_night = 1
    world.assets[GOES_LATE].last_night = 2
    world.assets[COMES].first_night = 2
    return world


@pytest.fixture(scope="module")
def roads() -> World:
    return with_changes(make_world(seed=3, length_m=900.0))


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory, roads: World) -> str:
    """The register of four nights: some assets went, one came."""
    files = Warehouse(str(tmp_path_factory.mktemp("explained") / "warehouse"))
    commit(files, *(drive(roads, night) for night in range(NIGHTS)))
    update_inventory(InventoryConfig(warehouse=files.store.uri))
    return files.store.uri


def register(uri: str) -> list[dict]:
    files = Warehouse(uri)
    return files.read(files.current(), "assets").to_pylist()


def of_world(uri: str, world: World, asset: Known) -> str:
    """The id that the register has for an asset of the world: the nearest of its class."""
    x, y = world.xy(asset.s if asset.end_s is None else (asset.s + asset.end_s) / 2, asset.offset_m)
    alike = [row for row in register(uri) if row["class"] == asset.class_name]
    far = [np.hypot(*np.subtract(HOME.to_xy(row["lon"], row["lat"]), (x, y))) for row in alike]
    assert min(far) < 20
    return alike[int(np.argmin(far))]["asset_id"]


def outlook(made: Explanation, *, seen: bool) -> list[tuple[int, str]]:
    return [(one.drives, one.state) for one in made.outlooks if one.seen is seen]


@pytest.mark.slow
def test_the_replayed_drives_end_where_the_register_is(uri):
    """The oracle is the build itself: it made `existence` and `state` from all assets and all looks at once.

    It knew more than a release keeps, such as what has left the register, so the two are not equal to the last digit.
    """
    rows = register(uri)
    assert {row["state"] for row in rows} >= {"confirmed", "suspect", "missing"}
    for row in rows:
        made = explain_asset(uri, row["asset_id"])
        assert made.drives[-1].state == row["state"]
        assert made.drives[-1].probability == pytest.approx(row["existence"], abs=1e-5)
        assert not [note for note in made.notes if "the register has" in note]


def test_what_went_is_told_drive_by_drive_with_the_drives_that_missed_it(uri, roads):
    made = explain_asset(uri, of_world(uri, roads, roads.assets[GOES]))
    assert [(one.drive_id, one.seen, one.state) for one in made.drives] == [
        ("night-01", True, "confirmed"),
        ("night-02", True, "confirmed"),
        ("night-03", False, "suspect"),
        ("night-04", False, "missing"),
    ]
    assert [one.changes for one in made.drives] == [[], [], ["suspect"], ["missing"]]
    assert [np.sign(one.log_likelihood_ratio) for one in made.drives] == [1, 1, -1, -1]
    for one in made.drives[2:]:
        sentence = f"{one.drive_id} had {one.opportunities} opportunities to see it, and did not"
        assert sentence in made.reasons
        assert (one.observations, one.lon, one.from_asset_m) == ([], None, None)


def test_observations_that_point_to_an_asset_are_those_that_showed_it(uri, roads):
    """The oracle is the world: it knows the true direction and distance, all errors of the drive in it."""
    asset = roads.assets[GOES]
    made = explain_asset(uri, of_world(uri, roads, asset))
    x, y = roads.xy(asset.s, asset.offset_m)
    for one in made.drives[:2]:
        assert one.pointing == one.hits == 5  # one a frame, and no two frames within five metres
        assert len(one.observations) == 3
        for seen in one.observations:
            frame = int(seen.observation_id.split("-")[2])
            camera_x, camera_y = roads.xy(frame * 10.0, 0.0)
            assert seen.distance_m == pytest.approx(np.hypot(x - camera_x, y - camera_y), abs=6)
            assert abs(seen.off_bearing_deg) < 4
            assert seen.beside_m == pytest.approx(seen.distance_m * np.sin(np.radians(abs(seen.off_bearing_deg))))


def test_a_frame_that_should_show_a_missing_asset_has_it_in_view(uri, roads):
    asset = roads.assets[GOES]
    made = explain_asset(uri, of_world(uri, roads, asset))
    x, y = roads.xy(asset.s, asset.offset_m)
    for one in made.drives[2:]:
        assert one.frames
        assert all(abs(frame.off_axis_deg) < FOV_DEG / 2 for frame in one.frames)
        for frame in one.frames:
            s = int(frame.frame_id.split("-")[2]) * 10.0
            camera_x, camera_y = roads.xy(s, 0.0)
            off = np.degrees(np.arctan2(x - camera_x, y - camera_y) - roads.course(s))
            assert frame.off_axis_deg == pytest.approx((off + 180) % 360 - 180, abs=12)
            assert frame.image_uri == f"images/{frame.frame_id.split('-')[2]}.jpg"
        assert [frame.distance_m for frame in one.frames] == sorted(frame.distance_m for frame in one.frames)


@pytest.mark.parametrize(
    ("index", "if_missed", "if_seen"),
    [
        (COMES, [(1, "suspect"), (2, "missing")], [(3, "confirmed")]),
        (GOES_LATE, [(1, "missing")], [(1, "confirmed")]),
        (GOES, [(3, "missing")], [(1, "confirmed")]),
    ],
)
def test_what_would_change_it(uri, roads, index, if_missed, if_seen):
    made = explain_asset(uri, of_world(uri, roads, roads.assets[index]))
    assert outlook(made, seen=False) == if_missed
    assert outlook(made, seen=True) == if_seen


@pytest.mark.slow
def test_what_was_said_would_come_comes(tmp_path, roads):
    """An outlook of three nights against the register of four: the asset that goes is missed once, then again."""
    files = Warehouse(str(tmp_path / "warehouse"))
    config = InventoryConfig(warehouse=files.store.uri)
    commit(files, *(drive(roads, night) for night in range(2)))
    update_inventory(config)
    asset_id = of_world(config.warehouse, roads, roads.assets[GOES])
    said = explain_asset(config.warehouse, asset_id)
    assert outlook(said, seen=False) == [(1, "suspect"), (2, "missing")]
    for night, (_, state) in zip((2, 3), outlook(said, seen=False), strict=True):
        commit(files, drive(roads, night))
        update_inventory(config)
        assert explain_asset(config.warehouse, asset_id).asset["state"] == state


def test_an_older_release_is_explained_as_it_was(tmp_path, roads):
    files = Warehouse(str(tmp_path / "warehouse"))
    config = InventoryConfig(warehouse=files.store.uri)
    commit(files, *(drive(roads, night) for night in range(3)))
    update_inventory(config)
    asset_id, moment = of_world(config.warehouse, roads, roads.assets[GOES]), datetime.now(UTC)
    commit(files, drive(roads, 3))
    update_inventory(config)
    states = [explain_asset(config.warehouse, asset_id, as_of=at).asset["state"] for at in (moment, None)]
    assert states == ["suspect", "missing"]


def test_a_line_is_explained_by_the_near_ends_of_its_boxes(uri, roads):
    rail = next(asset for asset in roads.assets if asset.end_s is not None)
    made = explain_asset(uri, of_world(uri, roads, rail))
    assert made.asset["length_m"] == pytest.approx(rail.end_s - rail.s, abs=20)
    for one in made.drives:
        assert one.pointing > 5
        # Four of four opportunities, however many frames: x = 4 log(0.95/0.05) = 11.8, 5 (1 - exp(-x/5)) = 4.53.
        assert one.log_likelihood_ratio == pytest.approx(4.53, abs=0.01)
        assert all(seen.off_bearing_deg is None and seen.beside_m < 4 for seen in one.observations)
    assert outlook(made, seen=False) == [(1, "suspect"), (2, "missing")]


def test_a_bridge_is_explained_although_no_bearing_points_to_its_middle(uri, roads):
    bridge = next(asset for asset in roads.assets if asset.asset_id == "bridge")
    made = explain_asset(uri, of_world(uri, roads, bridge))
    assert made.asset["side"] == "overhead"
    assert all(one.pointing >= one.hits > 0 for one in made.drives)


@pytest.fixture
def weak(tmp_path) -> tuple[Warehouse, InventoryConfig, World]:
    """One pole, seen in two of the frames of one drive: a candidate."""
    world = World(7, 400.0, [Known("p", "Single-Arm Pole", 200.0, 6.0)])
    tables = drive(world, 0, false_per_frame=0.0, recall=1.0)
    few = tables.observations.take([0, 3])
    files = Warehouse(str(tmp_path / "weak"))
    commit(files, type(tables)(tables.drive_id, tables.frames, few))
    config = InventoryConfig(warehouse=files.store.uri)
    update_inventory(config)
    return files, config, world


def test_a_candidate_is_told_what_would_confirm_it_and_what_would_refute_it(weak):
    files, config, world = weak
    (row,) = register(config.warehouse)
    made = explain_asset(config.warehouse, row["asset_id"])
    assert (made.asset["state"], made.drives[-1].state) == ("candidate", "candidate")
    assert any("below 0.8 it is not confirmed" in reason for reason in made.reasons)
    assert outlook(made, seen=True)[-1][1] == "confirmed"
    drives, state = outlook(made, seen=False)[-1]
    assert state == "no longer in the register"
    for night in range(1, drives + 1):  # which look, and detect nothing
        assert register(config.warehouse)
        tables = drive(world, night, false_per_frame=0.0)
        commit(files, type(tables)(tables.drive_id, tables.frames, tables.observations.slice(0, 0)))
        update_inventory(config)
    assert register(config.warehouse) == []
    with pytest.raises(WarehouseError, match="has no assets"):
        explain_asset(config.warehouse, row["asset_id"])


@pytest.mark.parametrize(
    ("state", "existence", "sentence"),
    [
        ("confirmed", 0.8, "it is 0.800 likely to stand: 0.8 or more is confirmed"),
        ("confirmed", 0.4, "it is 0.400 likely to stand"),  # a reviewer accepted it
        ("candidate", 0.95, "it is 0.950 likely to stand"),  # its position is not sure
        ("candidate", 0.7, "it is 0.700 likely to stand: below 0.8 it is not confirmed"),
        ("missing", 0.1, "it was confirmed, and now it is 0.100 likely to stand: 0.1 or less is missing"),
        ("missing", 0.132, "it was missing, and now it is 0.132 likely to stand: below 0.8 it stays so"),
        ("suspect", None, "how likely it stands is not known"),
    ],
)
def test_a_reason_is_true_of_every_probability_that_a_state_may_have(state, existence, sentence):
    row = {"seen": True, "drive_id": "d1", "covering": 5}
    asset = {"asset_id": "a", "state": state, "existence": existence, "pos_sigma_m": 1.0}
    records = Records(1, "a", None, asset, [row], [], [], Looks(np.array([1]), np.array([1])), {}, {})
    assert reasons_of(records, InventoryConfig(warehouse="w"))[1] == sentence


def test_a_position_that_is_not_sure_is_a_reason_and_then_no_drive_confirms(weak):
    _, config, _ = weak
    (row,) = register(config.warehouse)
    strict = replace_fields(config, {"existence.confirm_sigma_m": 1.0})
    made = explain_asset(config.warehouse, row["asset_id"], config=strict)
    assert any(reason.endswith("m only: to be confirmed it must be 1 m") for reason in made.reasons)
    assert outlook(made, seen=True) == [(3, "candidate")]


def test_thresholds_other_than_the_registers_are_noticed(uri, roads):
    asset_id = of_world(uri, roads, roads.assets[GOES])
    other = InventoryConfig(warehouse=uri, existence={"occlusion_probability": 0.5})
    made = explain_asset(uri, asset_id, config=other)
    (note,) = (note for note in made.notes if "the register has" in note)
    floor = 1 / (1 + np.exp(-FLOOR))  # 0.076, below which nothing goes that was confirmed
    assert made.asset["existence"] == pytest.approx(floor, abs=0.005)
    assert note.startswith(f"the register has {made.asset['existence']:.3f} (missing), and its history gives ")
    assert "--config" in note
    assert made.parameters["existence.occlusion_probability"] == 0.5


def review(config: InventoryConfig, folder: Path, *rows: dict) -> None:
    when = {"reviewed_at": START + timedelta(days=300), "reviewer": "somchai", "note": "a billboard"}
    pq.write_table(pa.Table.from_pylist([when | row for row in rows]), folder / "reviews.parquet")
    update_inventory(config.model_copy(update={"reviews": str(folder / "reviews.parquet")}))


@pytest.fixture
def signs(warehouse, config) -> list[str]:
    """Ids of the warning signs of one drive's register."""
    update_inventory(config)
    return [row["asset_id"] for row in register(config.warehouse) if row["class"] == "Warning Sign"]


def test_what_a_reviewer_rejected_says_who_and_why(tmp_path, config, signs):
    review(config, tmp_path, {"asset_id": signs[0], "action": "reject"})
    made = explain_asset(config.warehouse, signs[0])
    assert made.asset["state"] == "rejected"
    assert made.reasons == [
        "2026-12-26: somchai rejected it: it is no asset (a billboard)",
        "no drive changes what a reviewer rejected: only a later review that accepts it does",
    ]
    assert [one["action"] for one in made.reviews] == ["reject"]
    assert made.outlooks == []


def test_a_decision_that_was_taken_back_says_so(tmp_path, config, signs):
    for action in ("reject", "revoke"):
        review(config, tmp_path, {"asset_id": signs[0], "action": action})
    made = explain_asset(config.warehouse, signs[0])
    assert made.asset["state"] != "rejected"
    assert made.reasons[:2] == [
        "2026-12-26: somchai rejected it: it is no asset (a billboard)",
        f"2026-12-26: somchai took back what was decided of {signs[0]} before (a billboard)",
    ]


def test_an_accepted_candidate_says_that_drives_alone_do_not_confirm_it(tmp_path, weak):
    _, config, _ = weak
    (row,) = register(config.warehouse)
    review(config, tmp_path, {"asset_id": row["asset_id"], "action": "accept"})
    made = explain_asset(config.warehouse, row["asset_id"])
    assert (made.asset["state"], made.drives[-1].state) == ("confirmed", "candidate")
    assert "somchai accepted it" in made.reasons[0]
    assert made.outlooks == []
    assert any(note.startswith("what would change it is not told") for note in made.notes)


def test_a_moved_asset_says_that_its_history_is_of_two_places(tmp_path):
    """On the third night a pole stands 14 m further on."""
    poles = [("old", 200.0, 0, 1), ("new", 214.0, 2, 99), ("near", 320.0, 0, 99)]
    world = World(7, 500.0, [Known(name, "Single-Arm Pole", s, 6.0, None, *nights) for name, s, *nights in poles])
    files = Warehouse(str(tmp_path / "moved"))
    commit(files, *(drive(world, night, false_per_frame=0.0, recall=1.0) for night in range(NIGHTS)))
    update_inventory(InventoryConfig(warehouse=files.store.uri))
    made = explain_asset(files.store.uri, of_world(files.store.uri, world, world.assets[1]))
    assert ["moved"] in [one.changes for one in made.drives]
    assert any(note.startswith("it was moved: its history is of both places") for note in made.notes)
    assert made.asset["state"] == "confirmed"


def test_an_id_that_went_is_followed_and_said(tmp_path, config, signs):
    review(config, tmp_path, {"asset_id": signs[0], "action": "merge", "target_id": signs[1]})
    made = explain_asset(config.warehouse, signs[0])
    assert (made.asked, made.asset["asset_id"]) == (signs[0], signs[1])
    assert made.alias == {"reason": "review", "since": START + timedelta(days=300)}
    assert f"made {signs[0]} one with {signs[1]}" in made.reasons[0]
    assert explain_asset(config.warehouse, signs[1]).alias is None


def test_the_second_asset_of_a_split_has_no_drives_and_says_so(tmp_path, config, signs):
    (one,) = (row for row in register(config.warehouse) if row["asset_id"] == signs[0])
    place = {"lon": one["lon"] + 3e-5, "lat": one["lat"]}
    review(config, tmp_path, {"asset_id": signs[0], "action": "split"} | place)
    (new,) = (row["asset_id"] for row in register(config.warehouse) if row["lon"] == place["lon"])
    made = explain_asset(config.warehouse, new)
    assert f"split it off {signs[0]}: it stands where the reviewer said" in made.reasons[0]
    assert (made.reasons[-1], made.drives, made.outlooks) == ("no drive told anything of it", [], [])


def test_an_unknown_id_is_answered_with_those_most_like_it(uri):
    ids = sorted(row["asset_id"] for row in register(uri))
    typo = ids[3][:-1]
    with pytest.raises(WarehouseError, match=f"asset_id: got '{typo}', which the register does not have") as raised:
        explain_asset(uri, typo)
    assert ids[3][:-2] in str(raised.value)
    with pytest.raises(WarehouseError, match='got "it\'s"'):
        explain_asset(uri, "it's")


def test_a_register_without_assets_says_what_to_run(tmp_path):
    files = Warehouse(str(tmp_path))
    commit(files, drive(World(7, 200.0), 0, false_per_frame=0.0))
    with pytest.raises(WarehouseError, match="has no assets; run roadscan inventory --set warehouse="):
        explain_asset(str(tmp_path), "01ABC")


def test_the_command_prints_the_whole_way(here, uri, roads):
    asset_id = of_world(uri, roads, roads.assets[GOES])
    done = here("explain", uri, asset_id)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{asset_id}  {roads.assets[GOES].class_name}  missing, 0.0")
    parts = ["why", "drives", "observations that point to it", "frames that should show it", "what would change it"]
    places = [done.stdout.index(f"\n{part}\n") for part in parts]
    assert places == sorted(places)
    assert "1 more drive that sees it" in done.stdout
    assert "with existence.occlusion_probability 0.03, existence.change_probability 0.01" in done.stdout


@pytest.mark.slow
def test_the_command_gives_json_and_takes_the_inventorys_config(here, uri, roads, tmp_path):
    file = tmp_path / "inventory.yaml"
    file.write_text("existence: {change_probability: 0.2}\n")
    asset_id = of_world(uri, roads, roads.assets[GOES])
    done = here("explain", uri, asset_id, "--json", "--config", str(file))
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    expected = InventoryConfig(warehouse=uri, existence={"change_probability": 0.2})
    assert said == json.loads(json.dumps(explain_asset(uri, asset_id, config=expected).to_dict()))
    assert said["drives"][0]["looked_at"].startswith("2026-03-01T20:0")


def test_the_public_warehouse_explains_too(uri, roads):
    asset_id = of_world(uri, roads, roads.assets[COMES])
    assert public.open_warehouse(uri).explain(asset_id) == explain_asset(uri, asset_id)
