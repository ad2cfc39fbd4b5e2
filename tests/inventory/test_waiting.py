"""Decisions that wait for the next register: none is lost, each is applied once, what cannot be is told and kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from support.world import START, commit, drive

from roadscan.errors import Conflict, NotFound, StorageError
from roadscan.inventory import update_inventory
from roadscan.inventory.reviews import Decision, decide, settle, undo, waiting
from roadscan.storage import open_store

LATER = START + timedelta(days=300)


def decision(n: int, asset_id: str = "A", action: str = "reject", **more: object) -> Decision:
    at = (LATER + timedelta(seconds=n)).isoformat()
    return Decision(f"d{n}", asset_id, action, at, reviewer="somchai", **more)  # type: ignore[arg-type]


def states(warehouse) -> dict[str, str]:
    rows = warehouse.read(warehouse.current(), "assets", columns=["asset_id", "state"])
    return dict(zip(rows["asset_id"].to_pylist(), rows["state"].to_pylist(), strict=True))


def test_two_who_judge_the_same_asset_learn_of_each_other(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    decide(store, decision(1), after=None)
    with pytest.raises(Conflict, match="A: somchai decided reject at 2026-12-26"):
        decide(store, decision(2, action="accept"), after=None)
    decide(store, decision(3, action="accept"), after="d1")
    decide(store, decision(4, "B"), after=None)
    assert [one.id for one in waiting(store)] == ["d1", "d3", "d4"]


def test_a_decision_that_is_sent_twice_is_there_once(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for _ in range(2):
        decide(store, decision(1), after=None)
    assert len(waiting(store)) == 1


def test_of_many_at_a_time_none_is_lost(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: decide(open_store(tmp_path), decision(n, f"asset-{n}"), after=None), range(60)))
    assert {one.id for one in waiting(open_store(tmp_path))} == {f"d{n}" for n in range(60)}


def test_what_is_taken_back_is_gone_and_can_be_decided_again(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    decide(store, decision(1), after=None)
    assert undo(store, "d1").action == "reject"
    with pytest.raises(NotFound, match="waits no longer"):
        undo(store, "d1")
    decide(store, decision(2), after="d1")
    assert [one.id for one in waiting(store)] == ["d2"]


def test_what_a_register_took_is_let_go_of_and_what_it_refused_says_why(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for n in range(3):
        decide(store, decision(n, f"asset-{n}"), after=None)
    settle(store, {"d0"}, {"d1": "no such asset"})
    assert [(one.id, one.refused) for one in waiting(store)] == [("d1", "no such asset"), ("d2", None)]


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"format": "roadscan.reviews-waiting/9", "decisions": []}'])
def test_a_damaged_object_is_an_error_that_names_it(tmp_path: Path, data: bytes) -> None:
    open_store(tmp_path).write("reviews-waiting.json", data)
    with pytest.raises(StorageError, match=r"reviews-waiting\.json: not decisions that this version reads"):
        waiting(open_store(tmp_path))


def test_the_next_register_applies_what_waits_and_it_sticks(warehouse, config, world) -> None:
    update_inventory(config)
    one, other = sorted(states(warehouse))[:2]
    decide(warehouse.store, decision(1, one), after=None)
    decide(warehouse.store, decision(2, "nobody"), after=None)
    decide(warehouse.store, decision(3, other, "damaged", note="bent"), after=None)
    made = update_inventory(config)
    assert (made.reviews_taken, made.published) == (2, True)
    assert list(made.reviews_refused) == ["nobody"]
    assert "expected the id of an asset" in made.reviews_refused["nobody"]
    assert "could not be applied" in str(made.shortfall)
    assert states(warehouse)[one] == "rejected"
    (left,) = waiting(warehouse.store)
    assert (left.id, left.refused) == ("d2", made.reviews_refused["nobody"])
    kept = warehouse.read(warehouse.current(), "reviews").to_pylist()
    assert [(row["asset_id"], row["action"], row["reviewer"], row["note"]) for row in kept] == [
        (one, "reject", "somchai", None),
        (other, "damaged", "somchai", "bent"),
    ]
    assert kept[0]["reviewed_at"] == LATER + timedelta(seconds=1)
    undo(warehouse.store, "d2")
    commit(warehouse, drive(world, 1))
    again = update_inventory(config)
    assert (again.reviews_taken, again.shortfall) == (0, None)
    assert states(warehouse)[one] == "rejected"


def test_killed_before_they_were_let_go_of_they_are_applied_once(warehouse, config) -> None:
    update_inventory(config)
    one = min(states(warehouse))
    decide(warehouse.store, decision(1, one), after=None)
    data = warehouse.store.read("reviews-waiting.json")
    update_inventory(config)
    warehouse.store.write("reviews-waiting.json", data)  # as if it had died between publishing and letting go
    made = update_inventory(config)
    assert (made.published, made.reviews_taken) == (False, 1)
    assert warehouse.read(warehouse.current(), "reviews").num_rows == 1
    assert waiting(warehouse.store) == []


def test_a_register_that_is_not_accepted_leaves_them_waiting(warehouse, config) -> None:
    update_inventory(config)
    decide(warehouse.store, decision(1, min(states(warehouse))), after=None)
    update_inventory(config, accept=lambda *_: False)
    assert [one.id for one in waiting(warehouse.store)] == ["d1"]


def test_what_no_register_could_be_built_with_does_not_end_a_night(warehouse, config, monkeypatch) -> None:
    from roadscan.inventory import update
    from roadscan.inventory.trial import ReviewsRefused

    def refuse(*_: object) -> None:
        raise ReviewsRefused("reviews: nothing was taken in: the next night could not build the register with them")

    update_inventory(config)
    one = min(states(warehouse))
    decide(warehouse.store, decision(1, one), after=None)
    monkeypatch.setattr(update, "try_reviews", refuse)
    made = update_inventory(config)
    assert made.reviews_taken == 0
    assert "could not build" in made.reviews_refused[one]
    assert states(warehouse)[one] != "rejected"
    assert "could not build" in str(waiting(warehouse.store)[0].refused)
