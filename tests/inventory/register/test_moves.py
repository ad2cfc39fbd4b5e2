"""Assets that were moved keep their id."""

from __future__ import annotations

import pytest
from support.built import run
from support.world import HOME, Known, World, drive

OTHERS = [Known(f"o{k}", "Bus Stop", 60.0 + 70 * k, -7.0) for k in range(9)]


def nights(*assets: Known, count: int = 6):
    world = World(31, 700.0, [*OTHERS, *assets])
    return [drive(world, night, recall=0.95, bias_m=0.5, false_per_frame=0.0) for night in range(count)]


def signs(built) -> list[dict]:
    return [row for row in built.assets.to_pylist() if row["class"] == "Warning Sign"]


def kinds(built) -> list[str]:
    return [row["change"] for row in built.changes.to_pylist() if row["class"] == "Warning Sign"]


@pytest.fixture
def drives():
    """A sign that stands 18 m farther along from the fourth night on."""
    old, new = (
        Known("w", "Warning Sign", 300.0, 6.0, last_night=2),
        Known("v", "Warning Sign", 318.0, 6.0, first_night=3),
    )
    return nights(old, new)


def test_a_moved_sign_is_one_asset_with_one_change_and_its_whole_history(drives):
    built = run(*drives)
    (row,) = signs(built)
    assert kinds(built) == ["moved"]
    x, y = HOME.to_xy(row["lon"], row["lat"])
    there = World(31, 700.0).xy(318.0, 6.0)
    assert abs(x - there[0]) + abs(y - there[1]) < 4
    assert row["first_seen"] < drives[1].frames["captured_at"][0].as_py()
    seen = [h["drive_id"] for h in built.history.to_pylist() if h["asset_id"] == row["asset_id"] and h["seen"]]
    assert len(set(seen)) >= 5


def test_it_keeps_its_id_from_night_to_night(drives):
    ids, previous = [], None
    for count in range(1, 7):
        built = run(*drives[:count], previous=previous)
        previous = built.assets
        ids.append({row["asset_id"] for row in signs(built) if row["state"] in ("confirmed", "suspect")})
    assert ids[0] == ids[-1]
    assert len(ids[0]) == 1


def test_where_two_went_and_one_came_nothing_was_moved():
    went = [Known(f"w{k}", "Warning Sign", 290.0 + 20 * k, 6.0, last_night=2) for k in range(2)]
    built = run(*nights(*went, Known("v", "Warning Sign", 302.0, 6.0, first_night=3)))
    assert "moved" not in kinds(built)
    assert kinds(built).count("missing") == 2


def test_one_on_the_other_side_of_the_road_is_another_one():
    went, came = (
        Known("w", "Warning Sign", 300.0, 6.0, last_night=2),
        Known("v", "Warning Sign", 306.0, -6.0, first_night=3),
    )
    assert sorted(set(kinds(run(*nights(went, came))))) == ["missing", "new", "suspect"]
