"""Which photographs show an asset, and what its place looked like before and after each change."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from support.built import run
from support.located import CAME, GONE, km_m, located_world, make_located
from support.once import made_once
from support.world import HOME, START, commit, drive, make_world

from roadscan.inventory import InventoryConfig, query, update_inventory
from roadscan.schemas import ASSET_OBSERVATIONS
from roadscan.warehouse import Warehouse


@pytest.fixture(scope="module")
def uri(tmp_path_factory) -> str:
    folder: Path = made_once(tmp_path_factory, "located", make_located)
    return str(folder / "w")


def test_a_row_is_a_detection_and_has_its_image_box_and_time(uri):
    sql = """
        SELECT count(*) AS n, count(DISTINCT (a.asset_id, a.observation_id)) AS pairs,
            count(*) FILTER (o.image_uri = a.image_uri AND o.box_px = a.box_px AND o.captured_at = a.captured_at
                AND o.frame_id = a.frame_id AND o.score = a.score AND o.class = a.class) AS same
        FROM asset_observations AS a JOIN observations AS o USING (observation_id, drive_id)"""
    (row,) = query(uri, sql).to_pylist()
    rows = query(uri, "SELECT count(*) AS n FROM asset_observations")["n"][0].as_py()
    assert row == {"n": rows, "pairs": rows, "same": rows}
    assert rows > 100


def test_each_asset_has_as_many_frames_as_the_register_counts(uri):
    sql = """
        SELECT a.asset_id, a.n_observations, a.length_m, o.frames,
            a.first_seen = o.first AS first, a.last_seen = o.last AS last
        FROM assets AS a LEFT JOIN (
            SELECT asset_id, count(DISTINCT (drive_id, frame_id)) AS frames, min(captured_at) AS first,
                max(captured_at) AS last FROM asset_observations GROUP BY asset_id) AS o USING (asset_id)"""
    for row in query(uri, sql).to_pylist():
        of_pieces = row["length_m"] is not None  # a frame that shows two pieces of a line is counted twice there
        assert row["frames"] <= row["n_observations"] <= row["frames"] * (1.1 if of_pieces else 1), row
        assert (row["first"], row["last"]) == (True, True), row


def test_an_observation_shows_one_asset_at_most(uri):
    sql = "SELECT max(n) AS n FROM (SELECT count(*) AS n FROM asset_observations GROUP BY drive_id, observation_id)"
    assert query(uri, sql)["n"][0].as_py() == 1


def test_what_went_is_photographed_with_its_box_before_and_without_after(uri):
    """It stood on the first two nights; the third drive is the first that looked and saw nothing."""
    where = f"abs(km_m - {km_m(located_world(), GONE)}) < 8"
    sql = f"""
        SELECT p.* FROM change_photographs AS p JOIN assets AS a USING (asset_id)
        WHERE change = 'suspect' AND p.class <> 'Concrete Guardrail' AND {where}"""
    (row,) = query(uri, sql).to_pylist()
    assert (row["before_drive"], row["after_drive"]) == ("night-02", "night-03")
    assert row["before_box_px"] is not None
    assert row["after_box_px"] is None
    assert row["before_at"] < START + timedelta(days=2) <= row["after_at"]


def test_what_came_is_photographed_without_a_box_before(uri):
    """It was built before the third drive."""
    where = f"abs(km_m - {km_m(located_world(), CAME)}) < 8"
    sql = f"""
        SELECT p.*, a.lon, a.lat FROM change_photographs AS p JOIN assets AS a USING (asset_id)
        WHERE change = 'new' AND {where}"""
    (row,) = query(uri, sql).to_pylist()
    # New with the third drive, if that is sure, or with the fourth, which agrees; the third was the first to see it.
    assert (row["before_drive"], row["after_drive"]) in (("night-02", "night-03"), ("night-03", "night-04"))
    assert (row["before_box_px"] is None) == (row["before_drive"] == "night-02")
    assert row["after_box_px"] is not None


def test_both_photographs_look_at_the_place(uri):
    """The frame's own position and heading, by the world's projection and not by the view's formula."""
    frames = {(row["drive_id"], row["image_uri"]): row for row in query(uri, "FROM frames").to_pylist()}
    rows = query(uri, "SELECT p.*, c.lon, c.lat FROM change_photographs AS p JOIN asset_changes AS c "
                      "USING (asset_id, change, changed_at)").to_pylist()  # fmt: skip
    assert len(rows) >= 3
    for row in rows:
        for side in ("before", "after"):
            frame = frames[row[f"{side}_drive"], row[f"{side}_uri"]]
            place = np.array(HOME.to_xy(row["lon"], row["lat"]))
            east, north = place - np.array(HOME.to_xy(frame["camera_lon"], frame["camera_lat"]))
            off = (np.degrees(np.arctan2(east, north)) - frame["heading_deg"] + 180) % 360 - 180
            assert np.hypot(east, north) < 62
            assert abs(off) <= frame["fov_deg"] / 2 + 1


def test_a_merged_asset_has_the_photographs_of_both_ids(tmp_path, world):
    import pyarrow as pa
    import pyarrow.parquet as pq

    warehouse = Warehouse(str(tmp_path / "w"))
    commit(warehouse, drive(world, 0))
    config = InventoryConfig(warehouse=warehouse.store.uri)
    update_inventory(config)
    sql = "SELECT asset_id, count(*) AS n FROM asset_observations GROUP BY ALL ORDER BY n DESC, asset_id LIMIT 2"
    one, other = query(config.warehouse, sql).to_pylist()
    review = pa.table({"asset_id": [other["asset_id"]], "action": ["merge"], "target_id": [one["asset_id"]]})
    pq.write_table(review, tmp_path / "reviews.parquet")
    update_inventory(config.model_copy(update={"reviews": str(tmp_path / "reviews.parquet")}))
    counts = {row["asset_id"]: row["n"] for row in query(config.warehouse, sql.replace("LIMIT 2", "")).to_pylist()}
    assert counts[one["asset_id"]] == one["n"] + other["n"]
    assert other["asset_id"] not in counts


def test_rows_are_by_asset_then_by_time():
    world = make_world(3, 600.0)
    table = run(drive(world, 0), drive(world, 1)).observations
    assert table.schema.equals(ASSET_OBSERVATIONS)
    ids = table["asset_id"].to_pylist()
    begins = [row for row in range(len(ids)) if row == 0 or ids[row] != ids[row - 1]]
    assert len(begins) == len(set(ids)) > 10
    for begin, end in zip(begins, [*begins[1:], len(ids)], strict=True):
        times = table["captured_at"].slice(begin, end - begin)
        assert times.to_pylist() == sorted(times.to_pylist())
    assert pc.sum(pc.is_null(table["box_px"])).as_py() == 0
