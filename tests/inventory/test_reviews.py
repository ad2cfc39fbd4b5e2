"""What a reviewer decided holds in every later run."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.world import START, commit, drive

from roadscan.errors import ConfigError
from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.warehouse import Warehouse

LATER = START + timedelta(days=300)


def register(warehouse: Warehouse) -> dict[str, dict]:
    return {row["asset_id"]: row for row in warehouse.read(warehouse.current(), "assets").to_pylist()}


def review(config: InventoryConfig, folder: Path, *rows: dict) -> None:
    """Run the inventory with a file of reviews, once."""
    table = pa.Table.from_pylist([{"reviewed_at": LATER, "reviewer": "somchai"} | row for row in rows])
    pq.write_table(table, folder / "reviews.parquet")
    update_inventory(config.model_copy(update={"reviews": str(folder / "reviews.parquet")}))


@pytest.fixture
def signs(warehouse: Warehouse, config: InventoryConfig) -> list[dict]:
    """The confirmed warning signs of one drive's register."""
    update_inventory(config)
    rows = [row for row in register(warehouse).values() if row["class"] == "Warning Sign"]
    assert len(rows) >= 2
    return rows


def test_what_was_rejected_stays_rejected(tmp_path, warehouse, config, signs, world):
    one = signs[0]["asset_id"]
    review(config, tmp_path, {"asset_id": one, "action": "reject"})
    assert register(warehouse)[one]["state"] == "rejected"
    commit(warehouse, drive(world, 1))  # sees it again
    update_inventory(config)
    assert register(warehouse)[one]["state"] == "rejected"


def test_an_accepted_candidate_is_confirmed_until_a_later_drive_misses_it(tmp_path, warehouse, config, world):
    weak = drive(world, 0, drive_id="night-01", recall=0.25)
    commit(warehouse, weak)
    update_inventory(config)
    candidates = [row for row in register(warehouse).values() if row["state"] == "candidate" and not row["length_m"]]
    one = candidates[0]["asset_id"]
    review(config, tmp_path, {"asset_id": one, "action": "accept", "reviewed_at": START + timedelta(days=1, hours=1)})
    update_inventory(config)
    assert register(warehouse)[one]["state"] == "confirmed"


def test_merged_assets_stay_one_and_the_id_that_went_is_an_alias(tmp_path, warehouse, config, signs, world):
    goes, stays = signs[0]["asset_id"], signs[1]["asset_id"]
    review(config, tmp_path, {"asset_id": goes, "action": "merge", "target_id": stays})
    for night in (1, 2):
        rows = register(warehouse)
        assert stays in rows
        assert goes not in rows
        assert rows[stays]["n_observations"] >= signs[0]["n_observations"] + signs[1]["n_observations"]
        aliases = warehouse.read(warehouse.current(), "asset_alias").to_pylist()
        assert [(row["asset_id"], row["reason"]) for row in aliases if row["alias_id"] == goes] == [(stays, "review")]
        commit(warehouse, drive(world, night))
        update_inventory(config)
    ids = set(warehouse.read(warehouse.current(), "asset_history")["asset_id"].to_pylist())
    assert ids <= set(register(warehouse))


def test_a_split_makes_a_second_asset_that_keeps_its_id(tmp_path, warehouse, config, signs, world):
    one = signs[0]
    second = {"asset_id": one["asset_id"], "action": "split", "lon": one["lon"] + 3e-5, "lat": one["lat"]}
    review(config, tmp_path, second)
    (new,) = (row for row in register(warehouse).values() if row["lon"] == second["lon"])
    assert (new["class"], new["state"]) == (one["class"], "confirmed")
    commit(warehouse, drive(world, 1))
    review(config, tmp_path, second)  # the same file again
    rows = register(warehouse)
    assert {one["asset_id"], new["asset_id"]} <= set(rows)
    assert warehouse.read(warehouse.current(), "reviews").num_rows == 1


def test_running_again_with_reviews_publishes_nothing(tmp_path, warehouse, config, signs):
    review(config, tmp_path, {"asset_id": signs[0]["asset_id"], "action": "reject"})
    assert not update_inventory(config).published


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"action": "delete"}, r"row 1: action: got 'delete'; expected one of accept, reject, merge, split"),
        ({"asset_id": "X", "action": "accept"}, "row 1: asset_id: got 'X'; expected the id of an asset"),
        ({"action": "merge"}, "row 1: target_id: got None; expected the id"),
        ({"action": "merge", "target_id": "self"}, "the asset itself"),
        ({"action": "merge", "target_id": "other"}, "expected a Warning Sign"),
        ({"action": "split"}, "row 1: lon, lat: got None, None"),
        ({"action": "split", "lon": 1376.0, "lat": 13.0}, "lon, lat: got 1376.0, 13.0"),
    ],
)
def test_a_review_that_cannot_be_applied_is_named_and_nothing_is_taken_in(
    tmp_path, warehouse, config, signs, row, message
):
    one = signs[0]["asset_id"]
    other = next(r["asset_id"] for r in register(warehouse).values() if r["class"] != "Warning Sign")
    row = {"asset_id": one} | row
    row["target_id"] = {"self": one, "other": other}.get(row.get("target_id"), row.get("target_id"))
    before = warehouse.current().number
    with pytest.raises(ConfigError, match=message):
        review(config, tmp_path, row)
    assert warehouse.current().number == before


def test_a_file_without_the_columns_says_so(tmp_path, config, signs):
    pq.write_table(pa.table({"id": ["x"]}), tmp_path / "reviews.parquet")
    with pytest.raises(ConfigError, match="reviews: no column asset_id; got id"):
        update_inventory(config.model_copy(update={"reviews": str(tmp_path / "reviews.parquet")}))
    (tmp_path / "no.parquet").write_text("hello")
    with pytest.raises(ConfigError, match="is no Parquet file"):
        update_inventory(config.model_copy(update={"reviews": str(tmp_path / "no.parquet")}))


def test_what_a_reviewer_saw_damaged_and_repaired_are_changes_in_every_later_run(
    tmp_path, warehouse, config, signs, world
):
    one, later = signs[0], LATER + timedelta(days=9)
    rows = [
        {"asset_id": one["asset_id"], "action": "repaired", "reviewed_at": later},
        {"asset_id": one["asset_id"], "action": "damaged", "reviewed_at": LATER},
    ]
    review(config, tmp_path, *rows)
    commit(warehouse, drive(world, 1))
    update_inventory(config)
    changes = warehouse.read(warehouse.current(), "asset_changes").to_pylist()
    told = [row for row in changes if row["change"] in ("damaged", "repaired")]
    assert [(row["asset_id"], row["change"], row["changed_at"], row["drive_id"]) for row in told] == [
        (one["asset_id"], "damaged", LATER, None),
        (one["asset_id"], "repaired", later, None),
    ]
    assert register(warehouse)[one["asset_id"]]["state"] == "confirmed"
