"""A register that weighs only the last drives of a road together, and carries on what earlier ones came to."""

from __future__ import annotations

import itertools
from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from support.world import HOME, LINE, Known, World, commit, drive, make_world

from roadscan.inventory import InventoryConfig, run_audit, update_inventory
from roadscan.inventory.build import build_together
from roadscan.inventory.drive.passes import DrivePass
from roadscan.inventory.drive.record import DriveAlone, read_alone
from roadscan.inventory.fuse.prior import Prior
from roadscan.inventory.fuse.record import prior_of, prior_record
from roadscan.inventory.fuse.window import left_out
from roadscan.inventory.query import query
from roadscan.inventory.tiles.kept import read_prior, tile_of
from roadscan.schemas import ASSETS
from roadscan.survey.geodesy import WGS84
from roadscan.taxonomy import HIGHWAY
from roadscan.warehouse import Warehouse

pytestmark = pytest.mark.slow
NIGHTS, WINDOW = 9, 3
GONE, CAME = "Bus Stop", "Warning Sign"


@pytest.fixture(scope="module")
def world() -> World:
    """A road over the border of two tiles, at 100.5 degrees; on night 5 a bus stop is gone and a sign has come."""
    world = make_world(seed=3, length_m=700.0)
    world.assets += [
        Known("gone", GONE, s=300.0, offset_m=-11.0, last_night=4),
        Known("came", CAME, s=420.0, offset_m=-9.0, first_night=5),
    ]
    return world


@pytest.fixture(scope="module")
def nightly(world, tmp_path_factory) -> Warehouse:
    """Brought up to date after every drive."""
    warehouse = Warehouse(str(tmp_path_factory.mktemp("nightly")))
    for night in range(NIGHTS):
        commit(warehouse, drive(world, night))
        update(warehouse)
    return warehouse


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory) -> Warehouse:
    """Built of all drives together."""
    warehouse = Warehouse(str(tmp_path_factory.mktemp("whole")))
    commit(warehouse, *(drive(world, night) for night in range(NIGHTS)))
    update(warehouse, window=NIGHTS)
    return warehouse


def update(warehouse: Warehouse, window: int = WINDOW):
    return update_inventory(InventoryConfig(warehouse=warehouse.store.uri, matching={"window_drives": window}))


def read(warehouse: Warehouse, name: str) -> pa.Table:
    return warehouse.read(warehouse.current(), name)


def standing(warehouse: Warehouse) -> pa.Table:
    assets = read(warehouse, "assets")
    return assets.filter(pc.is_in(assets["state"], pa.array(["confirmed", "suspect", "missing"])))


def paired(one: pa.Table, other: pa.Table) -> list[tuple[dict, dict, float]]:
    """Each asset with the nearest of its class in the other register, and how many metres off that is."""
    pairs = []
    for row in one.to_pylist():
        alike = [found for found in other.to_pylist() if found["class"] == row["class"]]
        off = [WGS84.inv(row["lon"], row["lat"], found["lon"], found["lat"])[2] for found in alike]
        nearest = int(np.argmin(off))
        pairs.append((row, alike[nearest], off[nearest]))
    return pairs


def test_what_stands_is_what_all_drives_together_say(nightly, whole):
    one, other = standing(nightly), standing(whole)
    assert one.num_rows == other.num_rows > 20
    pairs = paired(one, other)
    assert len({found["asset_id"] for _, found, _ in pairs}) == other.num_rows
    points = [pair for pair in pairs if pair[0]["length_m"] is None]
    assert max(off for _, _, off in points) < 1.0  # two orders of weighing; a drive is off by 1.5 m an axis
    for name in ("state", "side", "first_seen", "last_seen", "n_nights", "last_drive_id"):
        assert [row[name] for row, _, _ in points] == [found[name] for _, found, _ in points], name
    said = [(row["n_observations"], found["n_observations"]) for row, found, _ in points]
    assert sum(mine == theirs for mine, theirs in said) >= 0.9 * len(said)  # a detection between two may go to either
    assert all(row["existence"] == pytest.approx(found["existence"], abs=0.05) for row, found, _ in points)
    for row, found, _ in pairs:
        if row["length_m"] is not None:
            assert row["length_m"] == pytest.approx(found["length_m"], abs=6.0)
            assert (row["first_seen"], row["n_nights"]) == (found["first_seen"], found["n_nights"])


def test_what_came_and_what_went_stays_told_once_the_drives_that_showed_it_are_left_out(nightly, whole):
    sql = "SELECT class, change, drive_id FROM asset_changes WHERE change IN ('new', 'missing') ORDER BY ALL"
    told = query(nightly.store.uri, sql).to_pylist()
    assert told == query(whole.store.uri, sql).to_pylist()
    assert {row["class"] for row in told if row["change"] == "new"} == {CAME}
    assert {row["class"] for row in told if row["change"] == "missing"} == {GONE}


def test_every_drive_has_said_its_word_once_and_settled_rows_are_not_written_again(nightly, world, whole):
    history = read(nightly, "asset_history")
    said = list(zip(history["asset_id"].to_pylist(), history["drive_id"].to_pylist(), strict=True))
    assert len(set(said)) == len(said)
    assert len(set(history["drive_id"].to_pylist())) == NIGHTS
    ids = set(standing(nightly)["asset_id"].to_pylist())
    told = sum(one in ids for one, _ in said)
    theirs = set(standing(whole)["asset_id"].to_pylist())
    assert told == pytest.approx(
        sum(one in theirs for one in read(whole, "asset_history")["asset_id"].to_pylist()), rel=0.02
    )


def test_a_night_keeps_only_the_drives_that_the_next_one_weighs(nightly):
    kept = read(nightly, "drive_estimates")
    for tile in {tile_of(file) for file in nightly.files(nightly.current(), "tile_priors")}:
        name = f"{tile[0]},{tile[1]}"
        prior = read_prior(nightly, nightly.current(), tile)
        weighed = kept.filter(pc.equal(kept["tile"], name))["drive_id"].to_pylist()
        assert len(weighed) == WINDOW
        assert len(prior["drive_ids"][0].as_py()) == NIGHTS - WINDOW
        assert not set(weighed) & set(prior["drive_ids"][0].as_py())


def test_an_audit_finds_what_stands_where_the_nights_have_it(nightly):
    audit = run_audit(InventoryConfig(warehouse=nightly.store.uri, matching={"window_drives": WINDOW}))
    states = {row["asset_id"]: row["state"] for row in read(nightly, "assets").to_pylist()}
    standing_ids = {one for one, state in states.items() if state in ("confirmed", "suspect")}
    assert not standing_ids & {one for kind in ("gone", "state") for one in audit.named.get(kind, [])}


def test_a_drive_of_the_prior_that_is_scanned_again_is_weighed_with_all_others(tmp_path, world):
    """What it said is in the sums, so these are of no use; also of a drive that is gone."""
    warehouse = Warehouse(str(tmp_path / "nightly"))
    for night in range(5):
        commit(warehouse, drive(world, night))
        update(warehouse)
    blind = drive(world, 0, recall=0.0)
    commit(warehouse, blind)
    summary = update(warehouse)
    assert summary.drives_read == 2  # of the others of the prior there was one; what the rest says alone was kept
    together = Warehouse(str(tmp_path / "together"))
    commit(together, blind, *(drive(world, night) for night in range(1, 5)))
    update(together)
    mine, theirs = (
        sorted((row["class"], row["lon"], row["lat"], row["n_observations"]) for row in read(one, "assets").to_pylist())
        for one in (warehouse, together)
    )
    assert mine == theirs
    history = read(warehouse, "asset_history")
    seen = history.filter(pc.and_(history["seen"], pc.equal(history["drive_id"], blind.drive_id)))
    assert seen.num_rows == 0


def test_a_drive_that_arrives_late_is_weighed_although_later_ones_are_settled(tmp_path, world):
    warehouse = Warehouse(str(tmp_path))
    for night in (0, 2, 3, 4, 5, 6):
        commit(warehouse, drive(world, night))
        update(warehouse)
    late = drive(world, 1)
    commit(warehouse, late)
    assert update(warehouse).drives_read == 1
    history = read(warehouse, "asset_history")
    assert pc.equal(history["drive_id"], late.drive_id).to_pylist().count(True) > 10


def test_what_is_said_of_assets_on_a_border_is_said_once(tmp_path):
    """A rail over the border of two tiles and a stop on it, which both have under one id from the second night on."""
    world = make_world(seed=3, length_m=700.0)
    world.take(np.full(len(world.s), np.pi / 2))  # due east …
    world.move(-450.0)  # … over the border at 100.5 degrees, 350 m from its start
    world.assets = [one for one in world.assets if one.end_s is None]
    world.assets += [Known("rail", LINE, 250.0, -4.0, 450.0), Known("stop", GONE, s=350.0, offset_m=6.0)]
    nightly, whole = Warehouse(str(tmp_path / "nightly")), Warehouse(str(tmp_path / "whole"))
    for night in range(6):
        commit(nightly, drive(world, night))
        update(nightly)
    commit(whole, *(drive(world, night) for night in range(6)))
    update(whole, window=9)
    for table, key in (("asset_history", "drive_id"), ("asset_observations", "observation_id")):
        rows, theirs = read(nightly, table), read(whole, table)
        said = set(zip(rows["asset_id"].to_pylist(), rows[key].to_pylist(), strict=True))
        assert len(said) == rows.num_rows == theirs.num_rows > 100


@pytest.mark.parametrize("window", [2, 3])
def test_no_drive_is_weighed_after_later_ones_of_its_road_are_left_out(window):
    """The first two went on along a road that nobody else took, and the road runs along the border of two cells."""
    world = make_world(seed=3, length_m=2200.0)
    world.take(np.full(len(world.s), np.pi / 2))
    config = InventoryConfig(warehouse="unused")
    drives = [one_alone(world, night, config, end_s=2100.0 if night < 2 else 700.0).drive for night in range(8)]
    weighed: list[DrivePass] = []
    settled: list[str] = []
    for one in drives:
        weighed.append(one)
        out = left_out(weighed, window)
        settled += [drive.drive_id for drive, gone in zip(weighed, out, strict=True) if gone]
        weighed = [drive for drive, gone in zip(weighed, out, strict=True) if not gone]
        assert max(settled, default="") < min(drive.drive_id for drive in weighed)
    assert len(settled) >= 3


def test_drives_almost_without_a_bias_are_matched_to_a_prior_too(world):
    """Its covariance by itself is none, so that nothing may be taken from it."""
    config = InventoryConfig(warehouse="unused", matching={"window_drives": 2}, noise={"gnss_sigma_m": 0.1})
    alone = [one_alone(world, night, config, bias_m=0.0) for night in range(7)]
    built, prior = together(alone[:6], config)
    built, _ = together(alone[4:], config, built.assets, prior)
    stands = pc.is_in(built.assets["state"], pa.array(["confirmed", "suspect"]))
    assert max(built.assets.filter(stands)["n_nights"].to_pylist()) == 7
    assert np.isfinite(built.assets["lon"].to_numpy()).all()


def test_the_register_stands_where_all_drives_do_on_average_however_few_are_weighed(world):
    """Of n drives that are each off by as much, the mean is off by a part of 1 / sqrt(n); so it stays, night by night.

    If drives that are left out counted as where the register stood that night, and not as where they were themselves,
    the last ones would draw it away.
    """
    nights = 16
    few, all_of_them = (
        InventoryConfig(warehouse="unused", matching={"window_drives": window}) for window in (2, nights)
    )
    alone = [one_alone(world, night, few, bias_m=2.5) for night in range(nights)]
    whole, _ = together(alone, all_of_them)
    built, prior, weighed = None, None, list[DriveAlone]()
    for one in alone:
        weighed.append(one)
        built, prior = together(weighed, few, built and built.assets, prior)
        weighed = [one for one in weighed if one.drive.drive_id not in prior.drive_ids]
    assert len(weighed) == 2
    apart = [
        HOME.to_xy(np.array([row["lon"], found["lon"]]), np.array([row["lat"], found["lat"]]))
        for row, found, off in paired(points_of(built.assets), points_of(whole.assets))
        if off < 3.0
    ]
    assert len(apart) > 15
    along, across = np.diff(np.array(apart), axis=2)[:, :, 0].mean(axis=0)
    assert np.hypot(along, across) < 0.25  # one drive's mean is off by about 2.5 m


def points_of(assets: pa.Table) -> pa.Table:
    """The point assets that stand."""
    return assets.filter(pc.and_(pc.is_null(assets["length_m"]), pc.equal(assets["state"], "confirmed")))


def one_alone(world: World, night: int, config: InventoryConfig, **settings: float) -> DriveAlone:
    tables = drive(world, night, **settings)
    return read_alone(tables.drive_id, tables.frames, tables.observations, HIGHWAY, config, HOME)


def together(alone: list[DriveAlone], config: InventoryConfig, previous: pa.Table | None = None, prior=None):
    ids = itertools.count()
    previous = ASSETS.empty_table() if previous is None else previous
    return build_together(alone, previous, HIGHWAY, config, lambda: f"a{next(ids)}", HOME, prior=prior)


def test_the_prior_is_the_same_once_it_was_written_and_read(world):
    config = InventoryConfig(warehouse="unused", matching={"window_drives": WINDOW})
    _, prior = together([one_alone(world, night, config) for night in range(NIGHTS)], config)
    assert len(prior.drive_ids) == NIGHTS - WINDOW
    assert len(prior.points.class_name) > 20
    assert prior.lines.class_names.count(LINE) >= 1
    again = prior_of(prior_record(prior), HIGHWAY)
    assert same(again, prior)
    assert same(prior_of(prior_record(Prior.none()), HIGHWAY), Prior.none())


def same(one: object, other: object) -> bool:
    """Whether two things are equal, through dataclasses, arrays and tables."""
    if isinstance(one, pa.Table):
        return one.to_pylist() == other.to_pylist()
    if isinstance(one, np.ndarray):
        return one.shape == other.shape and bool(np.all((one == other) | (one != one)))
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if hasattr(one, "__dataclass_fields__"):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    return one == other
