"""What a reviewer decided holds in every later run."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from support.world import START, commit, drive

from roadscan.errors import ConfigError
from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.inventory.reviews import read_reviews
from roadscan.inventory.tiles.execute import on_this_machine
from roadscan.schemas import ASSETS, REVIEWS
from roadscan.warehouse import Warehouse

LATER = START + timedelta(days=300)


def register(warehouse: Warehouse) -> dict[str, dict]:
    return {row["asset_id"]: row for row in warehouse.read(warehouse.current(), "assets").to_pylist()}


def review(config: InventoryConfig, folder: Path, *rows: dict) -> None:
    """Run the inventory with a file of reviews, once."""
    columns = {name: None for row in rows for name in row} | {"reviewed_at": LATER, "reviewer": "somchai"}
    table = pa.Table.from_pylist([columns | row for row in rows])
    pq.write_table(table, folder / "reviews.parquet")
    update_inventory(config.model_copy(update={"reviews": str(folder / "reviews.parquet")}))


@pytest.fixture
def signs(warehouse: Warehouse, config: InventoryConfig) -> list[dict]:
    """The confirmed warning signs of one drive's register."""
    update_inventory(config)
    rows = [row for row in register(warehouse).values() if row["class"] == "Warning Sign"]
    assert len(rows) >= 2
    return rows


def test_reviews_that_are_not_there_are_told_by_their_field(tmp_path):
    with pytest.raises(
        ConfigError, match=r"^reviews: .*none\.parquet does not exist; expected a Parquet file of reviews"
    ):
        read_reviews(str(tmp_path / "none.parquet"))


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
    with pytest.raises(ConfigError, match="not valid Parquet"):
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


def aliases(warehouse: Warehouse) -> dict[str, tuple[str, str]]:
    rows = warehouse.read(warehouse.current(), "asset_alias").to_pylist()
    return {row["alias_id"]: (row["asset_id"], row["reason"]) for row in rows}


def of_class(warehouse: Warehouse, class_name: str) -> list[dict]:
    return [row for row in register(warehouse).values() if row["class"] == class_name]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"asset": "line", "action": "split", "lon": 0.0, "lat": 0.0}, "row 1: action: got split of a line"),
        ({"action": "split", "lon": 13.75, "lat": 50.0}, r"row 1: lon, lat: got a place [\d,]+ m from the asset"),
        ({"action": "revoke"}, "row 1: asset_id: got '.*', of which no earlier review holds"),
        ({"action": "accept", "reviewed_at": "yesterday"}, "column reviewed_at"),
        ({"action": "split", "lon": "east", "lat": "13.75"}, "column lon"),
        ({"action": ["accept"]}, "column action"),
    ],
)
def test_a_review_that_no_register_could_be_built_with_is_refused(tmp_path, warehouse, config, signs, row, message):
    before = warehouse.current().number
    one = of_class(warehouse, "Concrete Guardrail")[0] if row.pop("asset", None) else signs[0]
    with pytest.raises(ConfigError, match=message):
        review(config, tmp_path, {"asset_id": one["asset_id"]} | row)
    assert warehouse.current().number == before
    assert not update_inventory(config).published


def test_a_time_that_no_calendar_has_is_refused(tmp_path, warehouse, config, signs):
    far = pa.array([2**62], pa.timestamp("us", "UTC"))
    table = pa.table({"asset_id": [signs[0]["asset_id"]], "action": ["accept"], "reviewed_at": far})
    pq.write_table(table, tmp_path / "reviews.parquet")
    with pytest.raises(ConfigError, match="row 1: reviewed_at"):
        update_inventory(config.model_copy(update={"reviews": str(tmp_path / "reviews.parquet")}))


def test_a_register_with_a_split_line_of_an_earlier_version_is_built_again(tmp_path, warehouse, config, signs, world):
    rail = of_class(warehouse, "Concrete Guardrail")[0]
    point = shapely.to_wkb(shapely.Point(rail["lon"], rail["lat"]))
    base = warehouse.current()
    half = rail | {"asset_id": "HALF", "geometry": point}  # what `split` of a line came to
    decided = {name: rail[name] for name in ("asset_id", "class", "length_m", "first_seen")}
    decided |= {"action": "split", "target_id": "HALF", "reviewed_at": LATER, "geometry": point}
    rows = {
        "assets": pa.concat_tables([warehouse.read(base, "assets"), pa.Table.from_pylist([half], ASSETS)]),
        "reviews": pa.Table.from_pylist([dict.fromkeys(REVIEWS.names) | decided], REVIEWS),
    }
    files = [warehouse.write(table, one) for table, one in rows.items()]
    warehouse.publish(lambda release: warehouse.replacement(release, files, "as of before", list(rows)))
    commit(warehouse, drive(world, 1))
    update_inventory(config)
    assert rail["asset_id"] in register(warehouse)
    assert "HALF" not in register(warehouse)


def test_the_same_file_again_changes_nothing_whatever_it_says(tmp_path, warehouse, config, signs, world):
    one, other = (row["asset_id"] for row in signs[:2])
    rows = [
        {"asset_id": one, "action": "merge", "target_id": other},
        {"asset_id": other, "action": "accept", "reviewed_at": None},
        {"asset_id": one, "action": "revoke", "reviewed_at": LATER + timedelta(days=1)},
    ]
    for number in range(1, 4):
        review(config, tmp_path, *rows[:number])
        before = warehouse.current().number
        review(config, tmp_path, *rows[:number])
        assert warehouse.current().number == before
        assert warehouse.read(warehouse.current(), "reviews").num_rows == number


def test_an_asset_that_was_merged_twice_is_lost_in_neither(tmp_path, warehouse, config, world):
    commit(warehouse, drive(world, 1))
    update_inventory(config)
    points = [row for row in register(warehouse).values() if not row["length_m"]]
    by_class = {row["class"]: [one["asset_id"] for one in points if one["class"] == row["class"]] for row in points}
    a, b, c = max(by_class.values(), key=len)[:3]
    merged = [{"asset_id": a, "action": "merge", "target_id": one} for one in (b, c)]
    review(config, tmp_path, *merged)
    assert aliases(warehouse) | {a: (c, "review"), b: (c, "review")} == aliases(warehouse)
    assert {a, b, c} & set(register(warehouse)) == {c}


def test_what_is_merged_both_ways_is_one_asset_and_never_its_own_alias(tmp_path, warehouse, config, signs, world):
    one, other = (row["asset_id"] for row in signs[:2])
    ways = [(one, other), (other, one)]
    review(config, tmp_path, *({"asset_id": a, "action": "merge", "target_id": b} for a, b in ways))
    for night in (1, 2):
        assert [alias for alias, (asset, _) in aliases(warehouse).items() if alias == asset] == []
        assert {one, other} & set(register(warehouse)) == {other}
        commit(warehouse, drive(world, night))
        update_inventory(config)


def test_what_is_revoked_is_as_if_it_had_not_been_decided(tmp_path, warehouse, config, signs, world):
    commit(warehouse, drive(world, 1))
    update_inventory(config)
    tables = ("assets", "asset_alias", "asset_changes", "asset_history", "asset_observations")
    before = {table: _rows(warehouse, table) for table in tables}
    a, b = (row["asset_id"] for row in signs[:2])
    there = {"lon": signs[0]["lon"] + 4e-4, "lat": signs[0]["lat"] - 4e-4}  # away from the road, where nothing is
    decided = [
        {"asset_id": a, "action": "merge", "target_id": b},
        {"asset_id": a, "action": "reject"},
        {"asset_id": b, "action": "damaged"},
        {"asset_id": b, "action": "split"} | there,
    ]
    review(config, tmp_path, *decided)
    (second,) = (row["asset_id"] for row in register(warehouse).values() if row["lon"] == there["lon"])
    after = {"action": "revoke", "reviewed_at": LATER + timedelta(days=1), "reviewer": "malee"}
    review(config, tmp_path, *decided, {"asset_id": a} | after, {"asset_id": b} | after)
    assert second not in register(warehouse)
    assert aliases(warehouse).pop(second) == (b, "review")  # an id that was given leads somewhere
    now = {table: _rows(warehouse, table) for table in tables}
    now["asset_alias"] = [row for row in now["asset_alias"] if row["alias_id"] != second]
    assert now == before


def _rows(warehouse: Warehouse, table: str) -> list[dict]:
    rows = warehouse.read(warehouse.current(), table).to_pylist()
    return sorted(rows, key=lambda row: json.dumps(row, default=str))


def test_a_revoke_may_name_the_one_decision_that_it_takes_back(tmp_path, warehouse, config, signs):
    one, other = (row["asset_id"] for row in signs[:2])
    review(
        config,
        tmp_path,
        {"asset_id": one, "action": "damaged"},
        {"asset_id": one, "action": "merge", "target_id": other},
        {"asset_id": one, "action": "revoke", "target_id": other},
    )
    assert {one, other} <= set(register(warehouse))
    changes = warehouse.read(warehouse.current(), "asset_changes").to_pylist()
    assert [row["asset_id"] for row in changes if row["change"] == "damaged"] == [one]


def test_reviews_that_the_next_night_would_fail_with_are_not_published(tmp_path, warehouse, config, signs):
    one, before = signs[0]["asset_id"], warehouse.current().number
    pq.write_table(pa.table({"asset_id": [one], "action": ["reject"]}), tmp_path / "reviews.parquet")
    reviewed = config.model_copy(update={"reviews": str(tmp_path / "reviews.parquet")})

    def brittle(parts, previous, step):
        """As a machine that cannot build upon what is rejected."""
        if "rejected" in previous.assets["state"].to_pylist():
            raise ValueError("a sign is expected")
        return on_this_machine(parts, previous, step)

    with pytest.raises(ConfigError, match=f"nothing was taken in.*reject of {one}.*a sign is expected"):
        update_inventory(reviewed, build_tiles=brittle)
    assert warehouse.current().number == before
    assert not update_inventory(config, build_tiles=brittle).published
