from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
import shapely
from support.built import CONFIG, run
from support.world import HOME, Known, World, drive

from roadscan.inventory.register.identity import Carried, alias_table, carried_ids, resolved
from roadscan.inventory.register.rows import Rows
from roadscan.schemas import ASSET_ALIAS, ASSETS
from roadscan.taxonomy import HIGHWAY

POLE, SIGN, BRIDGE, RAIL = "Single-Arm Pole", "Warning Sign", "Pedestrian Bridge", "Concrete Guardrail"
MAY = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NO_ALIASES = ASSET_ALIAS.empty_table()


def asset(x: float, y: float, *, name: str = POLE, first: datetime = MAY, asset_id: str = "") -> dict:
    lon, lat = HOME.to_lonlat(x, y)
    row = {"asset_id": asset_id, "class": name, "first_seen": first, "lon": float(lon), "lat": float(lat)}
    return row | {"shape": shapely.Point(lon, lat), "length_m": None}


def line(*xy: tuple[float, float], asset_id: str = "") -> dict:
    shape = shapely.LineString(np.stack(HOME.to_lonlat(*np.array(xy, float).T), axis=1))
    length = float(shapely.LineString(xy).length)
    return asset(*xy[0], name=RAIL, asset_id=asset_id) | {"shape": shape, "length_m": length}


def before(*rows: dict) -> pa.Table:
    """What was published."""
    shown = [dict.fromkeys(ASSETS.names) | row | {"geometry": shapely.to_wkb(row["shape"])} for row in rows]
    return pa.Table.from_pylist([{name: row[name] for name in ASSETS.names} for row in shown], schema=ASSETS)


def now(*rows: dict) -> Rows:
    """What was found."""
    columns = {name: pa.array([row[name] for row in rows], ASSETS.field(name).type) for name in COLUMNS}
    shapes = np.empty(len(rows), object)
    shapes[:] = [row["shape"] for row in rows]
    return Rows(columns, shapes, {}, {})


COLUMNS = ("class", "lon", "lat", "length_m", "first_seen")


def carried(new: list[dict], old: list[dict]) -> Carried:
    return carried_ids(now(*new), before(*old), HOME, HIGHWAY, CONFIG)


def test_nothing_before_and_nothing_now():
    assert carried([], []) == Carried([], [])
    assert carried([asset(0, 0)], []) == Carried([None], [])
    assert carried([], [asset(0, 0, asset_id="a")]) == Carried([], [])


@pytest.mark.parametrize(
    ("name", "off_m", "expected"),
    [(POLE, 0.0, "a"), (POLE, 7.9, "a"), (POLE, 8.1, None), (BRIDGE, 29.9, "a"), (BRIDGE, 30.1, None)],
)
def test_an_asset_keeps_the_id_of_what_stood_there(name, off_m, expected):
    found = carried([asset(off_m, 0, name=name)], [asset(0, 0, name=name, asset_id="a")])
    assert found == Carried([expected], [])


def test_another_class_is_another_asset():
    assert carried([asset(0, 0, name=SIGN)], [asset(0, 0, asset_id="a")]) == Carried([None], [])


def test_an_id_is_given_once_and_to_the_nearest():
    old = [asset(0, 0, asset_id="a"), asset(5, 0, asset_id="b")]
    assert carried([asset(4.5, 0), asset(0.5, 0)], old).ids == ["b", "a"]
    found = carried([asset(1, 0), asset(-1.5, 0), asset(3, 0)], old[:1])
    assert found == Carried(["a", None, None], [])


def test_all_ids_of_many_are_carried_whatever_their_order():
    rng = np.random.default_rng(1)
    places = np.stack([np.arange(0, 3000.0, 15.0), rng.uniform(-8, 8, 200)], axis=1)
    moved = places + rng.uniform(-2, 2, places.shape)
    order = rng.permutation(200)
    old = [asset(*places[k], asset_id=f"a{k}") for k in range(200)]
    assert carried([asset(*moved[k]) for k in order], old) == Carried([f"a{k}" for k in order], [])


def test_when_two_have_become_one_the_older_id_stays_and_the_other_has_an_alias():
    """The younger one lies nearer; the one found now was first seen when the older one was."""
    old = [asset(1, 0, asset_id="young", first=MAY + DAY), asset(4, 0, asset_id="old")]
    found = carried([asset(0, 0)], old)
    assert found == Carried(["old"], [(0, 0)])
    table = alias_table(found, ["old"], before(*old), NO_ALIASES, MAY + 2 * DAY)
    assert table.to_pylist() == [
        {"alias_id": "young", "asset_id": "old", "reason": "merged", "since": MAY + 2 * DAY},
    ]


def test_what_is_gone_without_a_successor_has_no_alias():
    old = [asset(0, 0, asset_id="a"), asset(50, 0, asset_id="b"), asset(0, 5, name=SIGN, asset_id="c")]
    found = carried([asset(0, 0)], old)
    assert found == Carried(["a"], [])


@pytest.mark.parametrize(("name", "off_m", "merged"), [(SIGN, 4.4, True), (SIGN, 4.6, False), (POLE, 5.9, True)])
def test_an_id_goes_to_what_stands_nearer_than_its_class_allows(name, off_m, merged):
    old = [asset(0, 0, name=name, asset_id="a"), asset(off_m, 0, name=name, asset_id="b")]
    assert carried([asset(0, 0, name=name)], old).merged == ([(1, 0)] if merged else [])


def test_an_id_goes_to_what_stands_there_though_farther_than_the_gate():
    """Poles are never nearer than 8 m: what stood 7 m off has become this one, and its id leads there."""
    old = [asset(0, 0, asset_id="a"), asset(7, 0, asset_id="b")]
    assert carried([asset(0, 0)], old) == Carried(["a"], [(1, 0)])


def test_an_id_that_went_goes_to_the_nearest():
    old = [asset(0, 0, asset_id="a"), asset(9, 0, asset_id="b"), asset(5, 0, asset_id="c")]
    assert carried([asset(0, 0), asset(9, 0)], old) == Carried(["a", "b"], [(2, 1)])


# Lines.


def test_a_line_keeps_its_id_with_other_ends():
    old = [asset(50, 0, asset_id="p"), line((0, 0), (100, 0), asset_id="l")]
    assert carried([line((-20, 1), (90, 1)), asset(50, 0)], old) == Carried(["l", "p"], [])
    assert carried([line((90, 1), (-20, 1)), asset(50, 0)], old).ids == ["l", "p"]  # drawn the other way
    assert carried([line((0, 6), (100, 6))], old[1:]) == Carried([None], [])  # lines.overlap_m is 4
    assert carried([line((150, 0), (200, 0))], old[1:]) == Carried([None], [])


def test_of_two_pieces_of_a_line_the_longer_keeps_the_id():
    old = [line((0, 0), (100, 0), asset_id="l")]
    assert carried([line((0, 0), (30, 0)), line((40, 0), (100, 0))], old) == Carried([None, "l"], [])


def test_of_two_lines_that_are_one_now_the_longer_id_stays_and_the_other_has_an_alias():
    old = [asset(0, 50, asset_id="p"), line((0, 0), (30, 0), asset_id="s"), line((40, 0), (100, 0), asset_id="l")]
    found = carried([line((0, 0), (100, 0))], old)
    assert found == Carried(["l"], [(1, 0)])
    table = alias_table(found, ["l"], before(*old), NO_ALIASES, MAY)
    assert table.select(["alias_id", "asset_id"]).to_pylist() == [{"alias_id": "s", "asset_id": "l"}]


# Aliases.


def aliases(*pairs: tuple[str, str], reason: str = "merged") -> pa.Table:
    rows = [{"alias_id": one, "asset_id": other, "reason": reason, "since": MAY} for one, other in pairs]
    return pa.Table.from_pylist(rows, schema=ASSET_ALIAS)


def pairs(table: pa.Table) -> dict[str, str]:
    assert table["alias_id"].to_pylist() == sorted(set(table["alias_id"].to_pylist()))
    return {row["alias_id"]: row["asset_id"] for row in table.to_pylist()}


def told(merged: list[tuple[str, str]], known: pa.Table, ids: list[str]) -> pa.Table:
    """The aliases when some ids of before are no longer given, but part of one of `ids`."""
    old = before(*(asset(0, 0, asset_id=one) for one, _ in merged))
    rows = [(n, ids.index(other)) for n, (_, other) in enumerate(merged)]
    return alias_table(Carried([], rows), ids, old, known, MAY + DAY)


def test_no_aliases():
    table = told([], NO_ALIASES, [])
    assert (table.num_rows, table.schema.equals(ASSET_ALIAS)) == (0, True)


def test_aliases_published_before_stay_as_they_are():
    known = aliases(("b", "a"), ("d", "c"), reason="review")
    assert told([], known, ["a", "c"]).equals(known)
    assert told([], known, ["c"]).equals(known)  # though a is not there: what once was published leads where it led
    more = told([("c", "a")], known, ["a"])
    assert more.to_pylist()[0] == known.to_pylist()[0]


def test_chains_are_led_to_their_end():
    assert pairs(told([("b", "c")], aliases(("a", "b")), ["c"])) == {"a": "c", "b": "c"}
    assert pairs(told([("c", "d")], aliases(("a", "b"), ("b", "c")), ["d"])) == {"a": "d", "b": "d", "c": "d"}
    several = told([("b", "c"), ("y", "z")], aliases(("a", "b"), ("x", "y"), ("q", "c")), ["c", "z"])
    assert pairs(several) == {"a": "c", "b": "c", "q": "c", "x": "z", "y": "z"}


def test_an_id_that_is_given_again_is_no_alias():
    assert pairs(told([], aliases(("b", "a")), ["a", "b"])) == {}
    assert pairs(told([("b", "a")], NO_ALIASES, ["a", "b"])) == {}
    assert pairs(told([("a", "b")], aliases(("b", "a")), ["b"])) == {"a": "b"}  # it led the other way before


def test_an_alias_is_told_once():
    table = told([("b", "a")], aliases(("b", "a"), reason="review"), ["a"])
    assert table.select(["alias_id", "reason"]).to_pylist() == [{"alias_id": "b", "reason": "review"}]


# The whole register.


def test_the_older_of_two_ids_stays():
    world = World(5, 400.0, [Known("p", POLE, 200.0, 7.0)])
    tables = drive(world, 0, false_per_frame=0.0)
    first = run(tables)
    (row,) = first.assets.to_pylist()
    twin = row | {"asset_id": "TWIN", "lon": row["lon"] + 1e-5, "first_seen": row["last_seen"]}
    moved = row | {"lon": row["lon"] + 3e-5, "geometry": shapely.to_wkb(shapely.Point(row["lon"] + 3e-5, row["lat"]))}
    previous = pa.Table.from_pylist([twin, moved], schema=first.assets.schema)  # the twin lies nearer
    again = run(tables, previous=previous)
    assert again.assets["asset_id"].to_pylist() == [row["asset_id"]]
    assert pairs(again.aliases) == {"TWIN": row["asset_id"]}


def test_changes_and_history_have_the_ids_that_were_carried():
    world = World(5, 400.0, [Known("p", POLE, 200.0, 7.0, last_night=0), Known("q", POLE, 100.0, 7.0)])
    drives = [drive(world, night, false_per_frame=0.0) for night in range(3)]
    first = run(*drives[:1])
    later = run(*drives, previous=first.assets)
    assert set(later.assets["asset_id"].to_pylist()) == set(first.assets["asset_id"].to_pylist())
    (gone,) = {row["asset_id"] for row in later.changes.to_pylist()}
    by_id = {row["asset_id"]: row for row in later.assets.to_pylist()}
    assert by_id[gone]["state"] == "missing"
    seen = [row["seen"] for row in later.history.to_pylist() if row["asset_id"] == gone]
    assert seen == [True, False, False]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], {}),
        ([("C", "B"), ("B", "A")], {"C": "A", "B": "A"}),
        ([("A", "A"), ("B", "A")], {"B": "A"}),
        ([("A", "B"), ("B", "A"), ("C", "B")], {"B": "A", "C": "A"}),
    ],
)
def test_ids_that_are_each_others_alias_lead_to_the_oldest(pairs, expected):
    since = datetime(2026, 3, 1, tzinfo=UTC)
    rows = [{"alias_id": one, "asset_id": other, "reason": "review", "since": since} for one, other in pairs]
    found = resolved(pa.Table.from_pylist(rows, schema=ASSET_ALIAS)).to_pylist()
    assert {row["alias_id"]: row["asset_id"] for row in found} == expected
