from __future__ import annotations

import json
from datetime import UTC, datetime

import duckdb
import geopandas
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from support.world import AWAY_M, commit, drive

from roadscan.errors import Conflict, StorageError, WarehouseError
from roadscan.inventory import update_inventory
from roadscan.warehouse import Warehouse


def ids(warehouse: Warehouse) -> dict[str, tuple[str, float, float]]:
    rows = warehouse.read(warehouse.current(), "assets").to_pylist()
    return {row["asset_id"]: (row["class"], row["lon"], row["lat"]) for row in rows}


def test_a_misspelt_warehouse_is_an_error_and_nothing_is_made_there(tmp_path, config):
    misspelt = tmp_path / "warehose"
    with pytest.raises(WarehouseError, match=r"nothing was ever committed there.*check the address"):
        update_inventory(config.model_copy(update={"warehouse": str(misspelt)}))
    assert not misspelt.exists()


def test_running_again_publishes_nothing_and_keeps_every_id(warehouse, config):
    first = update_inventory(config)
    before = ids(warehouse)
    second = update_inventory(config)
    assert first.published
    assert not second.published
    assert second.release == first.release
    assert ids(warehouse) == before
    assert len(before) > 20


def test_the_summary_counts_what_was_published(warehouse, config, world):
    world.move(-AWAY_M)
    commit(warehouse, drive(world, 0))  # over a border of two tiles
    seen: list[tuple[int, int, str]] = []
    summary = update_inventory(config, lambda *step: seen.append(step))
    assert seen == [(1, 1, "drives read"), (1, 2, "tiles built"), (2, 2, "tiles built")]
    assert summary.drives == 1
    assert sum(sum(states.values()) for states in summary.assets.values()) == len(ids(warehouse))


def test_ids_survive_more_drives(warehouse, config, world):
    update_inventory(config)
    before = ids(warehouse)
    commit(warehouse, drive(world, 1), drive(world, 2))
    update_inventory(config)
    after = ids(warehouse)
    kept = before.keys() & after.keys()
    # Of 30-odd assets one or two candidates may have been pieces of others.
    assert len(kept) >= 0.93 * len(before)
    assert all(before[asset_id][0] == after[asset_id][0] for asset_id in kept)
    distance_deg = max(abs(before[k][1] - after[k][1]) for k in kept)
    assert distance_deg < 15 / 108_000  # 15 m: an id never wanders to a neighbour


def test_the_order_of_commits_does_not_matter(tmp_path, world, config):
    drives = [drive(world, night) for night in range(3)]
    places = []
    for n, order in enumerate(([0, 1, 2], [2, 0, 1])):
        warehouse = Warehouse(str(tmp_path / f"order-{n}"))
        for k in order:
            commit(warehouse, drives[k])
        update_inventory(config.model_copy(update={"warehouse": warehouse.store.uri}))
        places.append(sorted(ids(warehouse).values()))
    assert places[0] == places[1]


def test_a_crash_before_publishing_leaves_the_old_release(warehouse, config, world, monkeypatch):
    update_inventory(config)
    before, release = ids(warehouse), warehouse.current()
    commit(warehouse, drive(world, 1))

    def crash(self, change):
        raise StorageError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(Warehouse, "publish", crash)
        with pytest.raises(StorageError, match="disk is gone"):
            update_inventory(config)
    assert ids(warehouse) == before
    assert warehouse.current().number == release.number + 1  # the scan's commit, not an inventory's
    assert update_inventory(config).published


def test_a_second_inventory_run_in_between_is_a_conflict(warehouse, config, world, monkeypatch):
    publish = Warehouse.publish

    def late(self, change):
        with monkeypatch.context() as patched:
            patched.setattr(Warehouse, "publish", publish)
            update_inventory(config)
        return publish(self, change)

    with monkeypatch.context() as patched:
        patched.setattr(Warehouse, "publish", late)
        with pytest.raises(Conflict, match="run again"):
            update_inventory(config)


def test_a_scan_commit_in_between_is_no_conflict(warehouse, config, world, monkeypatch):
    publish = Warehouse.publish

    def late(self, change):
        with monkeypatch.context() as patched:
            patched.setattr(Warehouse, "publish", publish)
            commit(warehouse, drive(world, 1))
        return publish(self, change)

    with monkeypatch.context() as patched:
        patched.setattr(Warehouse, "publish", late)
        assert update_inventory(config).drives == 1
    assert warehouse.current().rows("runs") == 2
    assert update_inventory(config).drives == 2


@pytest.fixture
def assets_path(warehouse, config):
    update_inventory(config)
    return warehouse.local_files(warehouse.files(warehouse.current(), "assets"))[0]


def test_assets_follow_geoparquet(assets_path):
    metadata = pq.read_metadata(assets_path).metadata
    geo = json.loads(metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    column = geo["columns"]["geometry"]
    assert column["encoding"] == "WKB"
    assert set(column["geometry_types"]) == {"LineString", "Point"}
    assert column["covering"]["bbox"]["xmax"] == ["bbox", "xmax"]
    assert "crs" not in column  # the specification's default, OGC:CRS84
    assert metadata[b"schema_version"] == b"1"


def test_assets_open_in_the_analysts_tools(assets_path):
    frame = geopandas.read_parquet(assets_path)
    assert frame.crs.to_string() == "OGC:CRS84"
    assert set(frame.geom_type) == {"LineString", "Point"}
    points = frame[frame.geom_type == "Point"]
    assert (points.geometry.x == points.lon).all()
    west, south, east, north = frame.total_bounds
    inside = geopandas.read_parquet(assets_path, bbox=(west, south, (west + east) / 2, north))
    assert 0 < len(inside) < len(frame)

    count = len(frame)
    assert pl.read_parquet(assets_path).height == count
    assert len(pd.read_parquet(assets_path)) == count
    sql = f"SELECT count(*), max(bbox.xmax) FROM read_parquet('{assets_path}')"
    assert duckdb.connect().execute(sql).fetchone() == (count, pytest.approx(east))


def test_every_row_is_complete(warehouse, config):
    update_inventory(config)
    for row in warehouse.read(warehouse.current(), "assets").to_pylist():
        assert row["state"] in ("candidate", "confirmed")
        assert 0.5 < row["pos_sigma_m"] < 60
        assert row["pos_sigma_m"] ** 2 == pytest.approx(row["cov_ee_m2"] + row["cov_nn_m2"])
        assert row["evidence_uri"].startswith("images/")
        assert len(row["evidence_box_px"]) == 4
        assert datetime(2026, 3, 1, tzinfo=UTC) < row["first_seen"] <= row["last_seen"]
        assert (row["length_m"] is not None) == (row["class"] == "Concrete Guardrail")
        assert (row["side"] == "overhead") == (row["class"] == "Pedestrian Bridge")
