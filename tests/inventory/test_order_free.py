"""The same rows in another order, or cut into other drives, are the same register."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from support.observation_tables import RANGES, committed, world_table
from support.town import Town, one_drive_a_frame, partly_one_drive_a_frame, shuffled
from support.world import REACH_M, World, make_world

from roadscan.arrays import Floats
from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.inventory.run import run_audit
from roadscan.observations import add_observations
from roadscan.survey.geodesy import LocalFrame

NEAR_M = 0.5


def assets_of(path: Path, table: pa.Table) -> pa.Table:
    """The register that a table alone makes."""
    path.mkdir()
    pq.write_table(table, path / "o.parquet")
    warehouse = committed(str(path / "o.parquet"), str(path / "warehouse"))
    update_inventory(InventoryConfig(warehouse=warehouse.store.uri))
    return warehouse.read(warehouse.current(), "assets")


def share_of_same(a: pa.Table, b: pa.Table, names: tuple[str, ...] = ("class", "state")) -> float:
    """Assets at one place that are alike, one to one, of those of the larger register."""
    alike = [np.array([str(row) for row in one.select(names).to_pylist()]) for one in (a, b)]
    near = (distances_m(a, b) <= NEAR_M) & (alike[0][:, None] == alike[1][None])
    return float(near[linear_sum_assignment(~near)].sum() / max(near.shape))


def distances_m(a: pa.Table, b: pa.Table) -> Floats:
    home = LocalFrame(a["lon"][0].as_py(), a["lat"][0].as_py())
    return cdist(*(np.stack(home.to_xy(one["lon"].to_numpy(), one["lat"].to_numpy()), axis=1) for one in (a, b)))


@pytest.fixture
def road() -> World:
    return make_world(seed=4, length_m=1500.0)


def columns(world: World, nights: int = 1) -> pa.Table:
    table = world_table(world, nights, (*RANGES, "heading_deg"))
    return table.append_column("fov_deg", pa.array(np.full(table.num_rows, 64.0)))


@pytest.mark.parametrize("change", [shuffled, one_drive_a_frame, lambda table: one_drive_a_frame(shuffled(table))])
def test_a_road_is_the_same_in_any_order_and_as_photographs(tmp_path: Path, road: World, change) -> None:
    table = columns(road)
    whole, other = assets_of(tmp_path / "whole", table), assets_of(tmp_path / "other", change(table))
    assert len(whole) > 30
    assert whole["length_m"].null_count < len(whole)  # guardrails are among them, which need a way
    assert share_of_same(whole, other) >= 0.99


def test_a_road_partly_as_photographs_keeps_its_confirmed_assets(tmp_path: Path, road: World) -> None:
    """Two drives on one road, as photographs of a day are one: each sees each asset, though seldomer."""
    table = columns(road)
    whole, other = assets_of(tmp_path / "whole", table), assets_of(tmp_path / "other", partly_one_drive_a_frame(table))
    first, second = (
        one.filter((pc.field("state") == "confirmed") & pc.field("length_m").is_null()) for one in (whole, other)
    )
    apart = distances_m(first, second)
    distance = apart[linear_sum_assignment(np.minimum(apart, 5.0))]
    assert len(first) > 20
    assert np.sum(distance <= 3.0) >= 0.8 * len(first)


@pytest.mark.slow
def test_a_town_of_panoramas_is_the_same_in_any_order_and_as_panoramas(tmp_path: Path) -> None:
    table = Town(5, signs=60, places=400, streets=3).observations()
    whole = assets_of(tmp_path / "whole", table)
    assert len(whole) > 50
    for number, change in enumerate((shuffled, one_drive_a_frame)):
        assert share_of_same(whole, assets_of(tmp_path / str(number), change(table)), ("class",)) >= 0.99


def test_photographs_that_come_later_are_taken_into_the_survey_of_their_day(tmp_path: Path, road: World) -> None:
    """Night after night, from what was kept of each, as from all at once."""
    table = one_drive_a_frame(columns(road, nights=2))
    first_half = np.arange(table.num_rows) < table.num_rows // 3
    config = InventoryConfig(warehouse=str(tmp_path / "warehouse"))
    frames = table["frame_id"].to_pylist()
    early = {frame for frame, half in zip(frames, first_half, strict=True) if half}
    now = np.array([frame in early for frame in frames])
    for number, rows in enumerate((now, ~now)):
        pq.write_table(table.filter(pa.array(rows)), tmp_path / f"{number}.parquet")
        add_observations(config.warehouse, str(tmp_path / f"{number}.parquet"))
        update_inventory(config)
    audit = run_audit(config)
    assert audit.differing == 0, audit.differences


def test_the_photograph_that_saw_an_asset_last_is_named(tmp_path: Path, road: World) -> None:
    """Its place tells on which centreline the asset stands: that of the survey's last one is down the road."""
    table = one_drive_a_frame(columns(road))
    assets = assets_of(tmp_path / "register", table)
    home = LocalFrame(assets["lon"][0].as_py(), assets["lat"][0].as_py())
    place = dict(
        zip(table["drive_id"].to_pylist(), table.select(["camera_lon", "camera_lat"]).to_pylist(), strict=True)
    )
    for asset in assets.to_pylist():
        camera = home.to_xy(*place[asset["last_drive_id"]].values())
        nearest = asset["length_m"] or 0.0
        assert np.hypot(*np.subtract(camera, home.to_xy(asset["lon"], asset["lat"]))) <= REACH_M + nearest
