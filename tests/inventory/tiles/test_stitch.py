from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely
from support.built import CONFIG
from support.highway import Highway, Noise, drive
from support.registers import EARLY, POLE, RAIL, SIGN, Mint, kept_ids, register

from roadscan.inventory.build import Built, DriveTables, build
from roadscan.inventory.tiles.partition import Tile, halo, owned, partition
from roadscan.inventory.tiles.stitch import merge_tiles
from roadscan.schemas import ASSET_ALIAS, ASSET_CHANGES, ASSET_HISTORY, ASSETS
from roadscan.survey.geodesy import LocalFrame
from roadscan.taxonomy import HIGHWAY

BORDER_LAT = 14.1
QUIET = Noise(yaw_sigma_deg=0.3, recall=0.95, false_per_frame=0.0, hidden=0.01)


def road_across() -> Highway:
    """5 km of road over a border between tiles, with two poles on the border, and a rail and its twin across it."""
    road = Highway(5, 5000.0, lon=100.55, lat=14.05, nights=3, changing=0.1)
    middle = road.home.to_lonlat(*road.xy(np.array([2500.0]), np.zeros(1)).T)[1][0]
    road.home = LocalFrame(100.55, float(14.05 + BORDER_LAT - middle))
    away = np.abs(road.s - 2500) > 50
    for name in ("kind", "s", "d", "height", "first", "last"):
        setattr(road, name, getattr(road, name)[away])
    at = [border_s(road, side) for side in (-6.0, 6.0)]
    road.kind, road.s, road.d = np.r_[road.kind, 0, 0], np.r_[road.s, at], np.r_[road.d, -6.0, 6.0]
    road.height = np.r_[road.height, 9.0, 9.0]
    road.first, road.last = np.r_[road.first, 1, 1], np.r_[road.last, 99, 99]
    kept = (road.lines[:, 1] < 1900) | (road.lines[:, 0] > 3100)
    road.lines = np.concatenate([road.lines[kept], [[2200.0, 2750.0, 4.5], [2350.0, 2800.0, -4.5]]])
    return road


def border_s(road: Highway, offset_m: float) -> float:
    """The chainage at which what stands that far to the right stands on the border."""
    s = np.arange(2400.0, 2600.0, 0.01)
    lat = road.home.to_lonlat(*road.xy(s, np.full(len(s), offset_m)).T)[1]
    return float(s[np.argmin(np.abs(lat - BORDER_LAT))])


def parts_of(drives: list[DriveTables]) -> dict[Tile, list[DriveTables]]:
    tiles: dict[Tile, list[DriveTables]] = {}
    for tables in drives:
        for tile, part in partition(tables):
            tiles.setdefault(tile, []).append(part)
    return tiles


def by_tile(drives: list[DriveTables], mint: Mint, before: Built | None = None) -> Built:
    """The register, built in pieces."""
    old = ASSETS.empty_table() if before is None else before.assets
    aliases = ASSET_ALIAS.empty_table() if before is None else before.aliases
    parts = []
    for tile, part in sorted(parts_of(drives).items()):
        made = build(part, halo(old, tile), HIGHWAY, CONFIG, mint, aliases=aliases)
        parts.append(owned(made, tile, mint))
    return merge_tiles(parts, mint)


@pytest.fixture(scope="module")
def nights() -> list[DriveTables]:
    road = road_across()
    return [drive(road, night, QUIET) for night in (1, 2, 3)]


@pytest.fixture(scope="module")
def whole(nights) -> Built:
    return build(nights, ASSETS.empty_table(), HIGHWAY, CONFIG, Mint("w"))


@pytest.fixture(scope="module")
def pieces(nights) -> Built:
    return by_tile(nights, Mint("p"))


@pytest.fixture(scope="module")
def pieces_again(nights, pieces) -> Built:
    return by_tile(nights, Mint("q"), pieces)


def metres(table: pa.Table) -> np.ndarray:
    """Where assets stand, (n, 2)."""
    return np.stack(LocalFrame(100.55, BORDER_LAT).to_xy(table["lon"].to_numpy(), table["lat"].to_numpy()), axis=1)


def of_class(table: pa.Table, name: str) -> pa.Table:
    return table.filter(pc.equal(table["class"], name))


def points(built: Built) -> pa.Table:
    """Point and overhead assets that were ever believed."""
    kept = pc.and_(pc.is_null(built.assets["length_m"]), pc.not_equal(built.assets["state"], "candidate"))
    return built.assets.filter(kept)


def test_the_road_is_in_two_tiles(nights):
    parts = parts_of(nights)
    assert sorted(parts) == [(1005, 140), (1005, 141)]
    total = sum(one.frames.num_rows for one in nights)
    assert all(0.4 * total < sum(one.frames.num_rows for one in part) < 0.75 * total for part in parts.values())


def test_two_tiles_give_the_points_that_one_build_gives(whole, pieces):
    one, two = points(whole), points(pieces)
    assert one.num_rows > 150
    assert two.num_rows == one.num_rows
    assert {"confirmed", "missing", "suspect"} == set(one["state"].to_pylist())
    for name in set(one["class"].to_pylist()):
        a, b = of_class(one, name), of_class(two, name)
        assert a.num_rows == b.num_rows, name
        off = np.hypot(*(metres(a)[:, None] - metres(b)[None]).transpose(2, 0, 1))
        nearest = off.argmin(axis=1)
        assert len(np.unique(nearest)) == a.num_rows, name
        assert off.min(axis=1).max() < 0.3, name
        assert b["state"].take(nearest).to_pylist() == a["state"].to_pylist(), name
        assert b["existence"].take(nearest).to_pylist() == pytest.approx(a["existence"].to_pylist(), abs=0.05)


def test_the_same_changes_are_reported(whole, pieces):
    def told(built: Built) -> list[tuple]:
        believed = set(points(built)["asset_id"].to_pylist())
        rows = [row for row in built.changes.to_pylist() if row["asset_id"] in believed]
        return sorted((row["drive_id"], row["class"], row["change"]) for row in rows)

    assert len(told(whole)) > 8
    assert told(pieces) == told(whole)


def test_lines_are_stitched_to_one_row(whole, pieces):
    a, b = of_class(whole.assets, RAIL), of_class(pieces.assets, RAIL)
    assert b.num_rows == a.num_rows
    assert sorted(b["length_m"].to_pylist()) == pytest.approx(sorted(a["length_m"].to_pylist()), abs=4.1)
    lengths = {row["length_m"]: row for row in across(pieces)}
    assert sorted(lengths) == pytest.approx(sorted(row["length_m"] for row in across(whole)), rel=0.01)
    assert sorted(lengths) == pytest.approx([450, 550], rel=0.02)
    for row in across(pieces):
        line = shapely.from_wkb(row["geometry"])
        assert (line.geom_type, line.is_simple) == ("LineString", True)
        assert row["bbox"]["ymin"] < BORDER_LAT < row["bbox"]["ymax"]
        assert (row["n_nights"], row["state"]) == (3, "confirmed")


def across(built: Built) -> list[dict]:
    """The rails that cross the border."""
    rows = of_class(built.assets, RAIL).to_pylist()
    return [row for row in rows if row["bbox"]["ymin"] < BORDER_LAT - 1e-4 and row["bbox"]["ymax"] > BORDER_LAT + 1e-4]


def test_what_stands_on_the_border_is_there_once(pieces):
    poles = of_class(points(pieces), POLE)
    near = np.flatnonzero(np.abs(metres(poles)[:, 1]) < 20)
    assert len(near) == 2
    assert np.abs(metres(poles)[near, 1]).max() < 3  # as far as the drives' mean bias moves them
    assert poles["state"].take(near).to_pylist() == ["confirmed"] * 2


def test_no_asset_and_no_id_is_there_twice(pieces, pieces_again):
    for built in (pieces, pieces_again):
        ids = built.assets["asset_id"].to_pylist()
        assert len(set(ids)) == len(ids)
        for name in (POLE, SIGN):
            xy = metres(of_class(points(built), name))
            off = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1)) + np.eye(len(xy)) * 1e9
            assert off.min() > 4.0


def test_ids_stay_when_it_is_built_again(pieces, pieces_again):
    assert pieces_again.assets.equals(pieces.assets)
    assert pieces_again.aliases.num_rows == 0


def test_one_build_and_two_tiles_take_over_each_others_ids(nights, whole, pieces):
    """A register that was built whole before: its ids go on in the tiles."""
    again = by_tile(nights, Mint("q"), whole)
    kept = set(points(again)["asset_id"].to_pylist()) & set(points(whole)["asset_id"].to_pylist())
    assert len(kept) == points(pieces).num_rows
    assert {row["asset_id"] for row in across(again)} == {row["asset_id"] for row in across(whole)}


@pytest.mark.parametrize("which", ["history", "changes"])
def test_a_drive_says_one_thing_of_an_asset(pieces, pieces_again, which):
    """Also of a line in two tiles, and also when both its pieces had the same id before."""
    for built in (pieces, pieces_again):
        table = getattr(built, which)
        said = list(zip(table["asset_id"].to_pylist(), table["drive_id"].to_pylist(), strict=True))
        assert len(said) > 10
        assert len(set(said)) == len(said)
        assert set(table["asset_id"].to_pylist()) <= set(built.assets["asset_id"].to_pylist())
    assert getattr(pieces_again, which).num_rows == getattr(pieces, which).num_rows


# The splitting of rows.


# What tiles keep, and how it is put together; on rows made by hand.


def joined(*parts: Built) -> Built:
    return merge_tiles(list(parts), Mint("m"))


def test_nothing_put_together():
    for built in (joined(), joined(register()), joined(register(), register())):
        assert built.assets.num_rows == 0
        assert b"geo" in built.assets.schema.metadata


@pytest.mark.parametrize("lat", [14.1, 14.1 - 1e-5, 14.1 + 1e-5, np.nextafter(14.1, 0), np.nextafter(14.1, 15)])
def test_what_stands_at_a_border_is_kept_on_both_sides_and_made_one(lat):
    """Each tile's build puts it a little elsewhere, under an id of its own."""
    sides = [
        owned(register({"asset_id": name, "lon": 100.55, "lat": lat + off}), tile, Mint("m"))
        for name, off, tile in (("a", 2e-6, (1005, 140)), ("b", -2e-6, (1005, 141)))
    ]
    assert [kept_ids(side) for side in sides] == [["a"], ["b"]]
    assert kept_ids(joined(*sides)) == ["a"]
    assert kept_ids(joined(*reversed(sides))) == ["a"]


def test_of_one_asset_in_two_tiles_the_older_id_stays():
    old = {"asset_id": "z", "lon": 100.55, "lat": 14.1}
    young = {"asset_id": "a", "lon": 100.55, "lat": 14.100001, "first_seen": EARLY + timedelta(days=1)}
    assert kept_ids(joined(register(old), register(young))) == ["z"]
    assert kept_ids(joined(register(young), register(old))) == ["z"]


def test_two_signs_of_one_tile_at_its_border_stay_two():
    """On both sides of a road 7 m wide, 2 m from the border: one build found them to be two."""
    pair = [{"asset_id": "a", "lon": 100.55, "lat": 14.1 - 1.8e-5}]
    pair.append({"asset_id": "b", "lon": 100.55 + 7 / 107_800, "lat": 14.1 - 1.8e-5})
    assert kept_ids(joined(register(*pair))) == ["a", "b"]
    again = [row | {"asset_id": row["asset_id"] * 2} for row in pair]  # as the other tile's build found them
    assert kept_ids(joined(register(*pair), register(*again))) == ["a", "b"]


def test_neighbours_away_from_any_border_stay_two():
    pair = [{"lon": 100.55, "lat": 14.05, "asset_id": "a"}, {"lon": 100.55, "lat": 14.05 + 5e-5, "asset_id": "b"}]
    assert kept_ids(joined(register(*pair))) == ["a", "b"]


def test_other_classes_at_a_border_stay_two():
    pair = [{"asset_id": "a", "lon": 100.55, "lat": 14.1}, {"asset_id": "b", "lon": 100.55, "lat": 14.1, "class": POLE}]
    assert kept_ids(joined(register(pair[0]), register(pair[1]))) == ["a", "b"]


def cut(line: list[tuple[float, float]], mint: Mint) -> Built:
    """A line cut at the border between two tiles and stitched together."""
    built = register({"asset_id": "l", "line": line})
    return joined(*(owned(built, tile, mint) for tile in ((1005, 140), (1005, 141))))


@pytest.mark.parametrize("back", [False, True])
def test_a_line_cut_at_a_border_is_whole_again(back):
    line = [(100.55, 14.098), (100.551, 14.1005), (100.551, 14.102)]
    (row,) = cut(line[::-1] if back else line, Mint("m")).assets.to_pylist()
    found = shapely.from_wkb(row["geometry"])
    assert found.hausdorff_distance(shapely.LineString(line)) < 1e-6  # 0.1 m
    assert row["asset_id"] == "l"
    assert row["length_m"] == pytest.approx(283.0 + 11.7 + 166.0, rel=0.02)  # as the hand reckons, on a sphere


def test_a_line_that_crosses_a_border_three_times_is_whole_again():
    line = [(100.55, 14.098), (100.55, 14.1005), (100.5502, 14.0995), (100.5506, 14.103)]
    built = cut(line, Mint("m"))
    assert kept_ids(built) == ["l"]
    found = shapely.from_wkb(built.assets["geometry"][0].as_py())
    assert found.length == pytest.approx(shapely.LineString(line).length)


def test_a_drive_says_one_thing_of_a_line_that_both_tiles_know_by_its_id():
    """As it is when the register is built again and nothing else stands at the border."""
    seen = {"asset_id": "l", "class": RAIL, "drive_id": "d", "seen": True, "looked_at": EARLY, "hits": 4, "covering": 4}
    changed = {"asset_id": "l", "class": RAIL, "change": "suspect", "drive_id": "d", "changed_at": EARLY}
    rail = register({"asset_id": "l", "line": [(100.55, 14.098), (100.55, 14.102)]})
    history = pa.Table.from_pylist([dict.fromkeys(ASSET_HISTORY.names) | seen], schema=ASSET_HISTORY)
    changes = pa.Table.from_pylist(
        [dict.fromkeys(ASSET_CHANGES.names) | changed | {"lon": 100.55, "lat": 14.1}], schema=ASSET_CHANGES
    )
    rail = Built(rail.assets, changes, history, rail.aliases)
    built = joined(*(owned(rail, tile, Mint("m")) for tile in ((1005, 140), (1005, 141))))
    assert kept_ids(built) == ["l"]
    assert (built.history.num_rows, built.changes.num_rows) == (1, 1)


def test_two_rails_side_by_side_are_not_stitched_crosswise():
    """5 m apart, of one class, both across the border."""
    places = {"l": 100.55, "r": 100.55005}
    rails = [{"asset_id": name, "line": [(lon, 14.098), (lon, 14.102)]} for name, lon in places.items()]
    built = register(*rails)
    whole = joined(*(owned(built, tile, Mint("m")) for tile in ((1005, 140), (1005, 141))))
    assert kept_ids(whole) == ["l", "r"]
    shapes = shapely.from_wkb(whole.assets["geometry"].to_pylist())
    assert [shape.length for shape in shapes] == pytest.approx([0.004] * 2)


def test_pieces_that_do_not_meet_are_two_with_two_ids():
    """Each tile's build knew the line of before, but one end moved 60 m away from the border's other."""
    south = register({"asset_id": "l", "line": [(100.55, 14.098), (100.55, 14.1)]})
    north = register({"asset_id": "l", "line": [(100.5506, 14.1), (100.5506, 14.101)]})
    built = joined(south, north)
    assert sorted(zip(built.assets["asset_id"].to_pylist(), built.assets["length_m"].to_pylist(), strict=True)) == [
        ("l", pytest.approx(222.4, abs=0.1)),
        ("m00000", pytest.approx(111.2, abs=0.1)),
    ]


@pytest.mark.parametrize("turned", [False, True])
def test_an_alias_leads_to_an_asset_that_is_there(turned):
    """x was y before; now y is z, which the other tile, far away, does not know."""
    here = [alias("x", "z"), alias("y", "z")]
    parts = [
        register({"asset_id": "z", "lon": 100.55, "lat": 14.05}, aliases=here),
        register({"asset_id": "far", "lon": 101.55, "lat": 14.05}, aliases=[alias("x", "y")]),
    ]
    built = joined(*(reversed(parts) if turned else parts))
    found = {row["alias_id"]: row["asset_id"] for row in built.aliases.to_pylist()}
    assert found == {"x": "z", "y": "z"}


def alias(before: str, now: str) -> dict:
    return {"alias_id": before, "asset_id": now, "reason": "merged", "since": EARLY}


def test_an_id_that_the_other_tile_still_gives_has_no_alias():
    here = register({"asset_id": "a", "lon": 100.55, "lat": 14.0995}, aliases=[alias("b", "a")])
    assert joined(here, register({"asset_id": "b", "lon": 100.55, "lat": 14.1005})).aliases.num_rows == 0
    assert joined(here).aliases.num_rows == 1
