from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from support.observation_tables import RANGES, committed, world_table
from support.world import World, commit, drive

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.observations.schema import COLUMNS
from roadscan.schemas import OBSERVATIONS
from roadscan.warehouse import Warehouse


def register(path: Path, table: pa.Table) -> Warehouse:
    """The register that a table alone makes."""
    pq.write_table(table, path.with_suffix(".parquet"))
    warehouse = committed(str(path.with_suffix(".parquet")), str(path))
    update_inventory(InventoryConfig(warehouse=str(path)))
    return warehouse


def points(warehouse: Warehouse) -> pa.Table:
    assets = warehouse.read(warehouse.current(), "assets")
    return assets.filter(pc.is_null(assets["length_m"]))


def median_error_m(world: World, assets: pa.Table) -> float:
    """Of the truth's point assets, to the nearest asset of their class; 30 m where there is none."""
    errors = []
    lon, lat, kind = (assets[name].to_numpy(zero_copy_only=False) for name in ("lon", "lat", "class"))
    for known in world.truth(0).to_pylist():
        if known["geometry"] == "point":
            east = (lon - known["lon"]) * 111_320 * np.cos(np.radians(known["lat"]))
            distance = np.hypot(east, (lat - known["lat"]) * 110_600)[kind == known["class"]]
            errors.append(min([30.0, *distance]))
    return float(np.median(errors))


def test_bearings_alone_make_a_register_and_ranges_a_better_one(tmp_path: Path, world: World) -> None:
    bearings = points(register(tmp_path / "bearings", world_table(world, 2, ())))
    ranges = points(register(tmp_path / "ranges", world_table(world, 2, RANGES)))
    assert pc.sum(pc.equal(bearings["state"], "confirmed")).as_py() > 15  # of 33 that stand
    assert bearings["evidence_box_px"].null_count == len(bearings)
    with_ranges, without = median_error_m(world, ranges), median_error_m(world, bearings)
    assert with_ranges < without
    assert with_ranges < 3.0  # what the design promises of few drives


def test_one_drive_gives_candidates_or_confirmed(tmp_path: Path, world: World) -> None:
    assets = points(register(tmp_path / "one", world_table(world, 1, ())))
    assert len(assets) > 15
    assert set(assets["state"].to_pylist()) <= {"candidate", "confirmed"}


def test_a_second_night_reports_nothing_missing_where_the_view_is_unknown(tmp_path: Path, world: World) -> None:
    table = world_table(world, 2, RANGES)
    mute = pc.and_(pc.equal(table["drive_id"], "night-02"), pc.equal(table["class"], "Bus Stop"))
    warehouse = register(tmp_path / "w", table.filter(pc.invert(mute)))
    assets = points(warehouse)
    stops = assets.filter(pc.equal(assets["class"], "Bus Stop"))
    assert len(stops) > 3
    assert not {"missing", "suspect"} & set(stops["state"].to_pylist())


def test_a_table_with_all_columns_gives_what_the_scan_gives(tmp_path: Path, world: World) -> None:
    """Same rows, same register: nothing is lost on the way through another program's table."""
    d = drive(world, 0)
    names = [name for name in OBSERVATIONS.names if name in COLUMNS]
    fov = dict(zip(d.frames["frame_id"].to_pylist(), d.frames["fov_deg"].to_pylist(), strict=True))
    table = d.observations.select(names).append_column(
        "fov_deg", pa.array([fov[f] for f in d.observations["frame_id"].to_pylist()])
    )
    pq.write_table(table, tmp_path / "o.parquet")
    poses = ["drive_id", "frame_id", "captured_at", "camera_lon", "camera_lat", "heading_deg", "fov_deg", "image_uri"]
    pq.write_table(d.frames.select(poses), tmp_path / "frames.parquet")
    ours = committed(str(tmp_path / "o.parquet"), str(tmp_path / "ours"), frames=str(tmp_path / "frames.parquet"))
    scanned = Warehouse(str(tmp_path / "scanned"))
    commit(scanned, d)
    places = []
    for warehouse in (ours, scanned):
        update_inventory(InventoryConfig(warehouse=warehouse.store.uri))
        assets = warehouse.read(warehouse.current(), "assets")
        places.append(sorted(zip(*(assets[n].to_pylist() for n in ("class", "state", "lon", "lat")), strict=True)))
    assert [p[:2] for p in places[0]] == [p[:2] for p in places[1]]
    for mine, theirs in zip(*places, strict=True):
        assert mine[2:] == pytest.approx(theirs[2:], abs=1e-5)  # 1 m: rows of a frame are in another order
    assert len(places[0]) > 20
