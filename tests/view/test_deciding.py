"""Decisions that are sent to a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.viewed import Pages, nights, served

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.view import open_site


@pytest.fixture
def judged(tmp_path) -> Iterator[Pages]:
    with served(open_site(nights(tmp_path, count=1, length_m=250.0).store.uri, reviewer="somchai")) as pages:
        yield pages


def ids(pages: Pages) -> list[str]:
    rows = pages.get(f"data/{pages.key}/assets.json?order=worst").json()["rows"]
    return [row["asset_id"] for row in rows if row["length_m"] is None]


def test_a_decision_waits_is_applied_by_the_next_register_and_seen_in_the_next_release(judged: Pages) -> None:
    one, other = ids(judged)[:2]
    assert judged.get("data/view.json").json()["reviewer"] == "somchai"
    sent = judged.post(
        "reviews.json", {"asset_id": one, "action": "reject", "reviewer": "ann", "note": "<b>a shadow</b>"}
    )
    assert sent.status == 200
    undone = judged.post("reviews.json", {"asset_id": other, "action": "accept", "reviewer": "ann"}).json()
    assert [row["asset_id"] for row in judged.get("reviews.json").json()] == [one, other]
    assert judged.post("undo.json", {"id": undone["id"]}).json()["asset_id"] == other
    assert judged.post("undo.json", {"id": undone["id"]}).status == 404
    made = update_inventory(InventoryConfig(warehouse=judged.site.warehouse.store.uri))
    assert made.reviews_taken == 1
    assert judged.get("reviews.json").json() == []
    details = judged.get(f"data/{judged.key}/asset.json?id={one}").json()
    assert details["asset"]["state"] == "rejected"
    assert [(row["reviewer"], row["note"]) for row in details["reviews"]] == [("ann", "<b>a shadow</b>")]


def test_a_second_reviewer_is_told_of_the_first(judged: Pages) -> None:
    one = ids(judged)[0]
    first = judged.post("reviews.json", {"asset_id": one, "action": "reject", "reviewer": "ann"}).json()
    second = judged.post("reviews.json", {"asset_id": one, "action": "accept", "reviewer": "bob"})
    assert second.status == 409
    assert "ann decided reject" in second.json()["error"]
    assert (
        judged.post(
            "reviews.json", {"asset_id": one, "action": "accept", "reviewer": "bob", "after": first["id"]}
        ).status
        == 200
    )


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({"action": "explode"}, 400, "action: got 'explode'"),
        ({"action": "merge", "target_id": "nobody"}, 400, "target_id: got 'nobody'"),
        ({"action": "split", "lon": 0.0, "lat": 0.0}, 400, "expected one within 1,000 m"),
        ({"action": "revoke"}, 400, "of which no earlier review holds"),
        ({"asset_id": "' OR true --", "action": "reject"}, 400, "expected the id of an asset"),
        ({"action": "reject", "reviewer": ""}, 422, "reviewer"),
        ({"action": "reject", "lon": 999}, 422, "lon"),
        ({"action": "reject", "note": "x" * 30_000}, 400, "more than 20000 bytes"),
        ({"action": "reject", "mood": "good"}, 422, "mood"),
    ],
)
def test_what_could_not_be_applied_is_refused_and_says_why(judged: Pages, sent: dict, status: int, said: str) -> None:
    answer = judged.post("reviews.json", {"asset_id": ids(judged)[0], "reviewer": "ann"} | sent)
    assert (answer.status, judged.get("reviews.json").json()) == (status, [])
    assert said in answer.json()["error"]


def test_other_sites_pages_change_nothing(judged: Pages) -> None:
    sent = {"asset_id": ids(judged)[0], "action": "reject", "reviewer": "evil"}
    json_ = {"Content-Type": "application/json"}
    for headers in (
        {}, json_, {"X-Roadscan": "1"}, {"Content-Type": "text/plain", "X-Roadscan": "1"},
        json_ | {"X-Roadscan": "1", "Origin": "https://evil.example"}, json_ | {"X-Roadscan": "1", "Origin": "null"},
    ):  # fmt: skip
        assert judged.post("reviews.json", sent, headers).status == 403
    assert judged.get("reviews.json").json() == []
    own = judged.address.rstrip("/")
    assert judged.post("reviews.json", sent, json_ | {"X-Roadscan": "1", "Origin": own}).status == 200
