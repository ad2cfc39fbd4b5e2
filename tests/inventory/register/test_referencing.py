"""The register on the department's own map."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.world import HOME, LINE, World, commit, drive, make_world

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.inventory.build import DriveTables
from roadscan.inventory.reference import ReferenceConfig
from roadscan.warehouse import Warehouse


def centreline(world: World, path, *, start_s: float = 0.0, km_start: float = 12.0, offset_m: float = 0.0) -> str:
    """The world's road as GeoJSON of one section, kilometre `km_start` at `start_s`."""
    s = np.arange(start_s, world.length_m + 1, 10.0)
    lon, lat = HOME.to_lonlat(*world.xy(s, offset_m))
    properties = {"route_code": 9, "section_code": "203", "km_start": km_start, "district": "Nan"}
    properties["km_end"] = km_start + (s[-1] - s[0]) / 1000
    line = {"type": "LineString", "coordinates": np.stack([lon, lat], 1).tolist()}
    feature = {"type": "Feature", "properties": properties, "geometry": line}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return str(path)


@pytest.fixture
def world() -> World:
    return make_world(seed=3, length_m=1500.0)


def test_assets_have_route_section_and_kilometre(tmp_path, world, warehouse, config):
    commit(warehouse, drive(world, 1, bias_m=0.0))
    reference = ReferenceConfig(uri=centreline(world, tmp_path / "lines.geojson"))
    update_inventory(config.model_copy(update={"reference": reference}))
    rows = warehouse.read(warehouse.current(), "assets").to_pylist()
    assert {(row["route_code"], row["section_code"], row["district"]) for row in rows} == {("0009", "0203", "Nan")}
    for row in (row for row in rows if row["class"] not in (LINE, "Pedestrian Bridge") and row["state"] == "confirmed"):
        s, side = row["km_m"] - 12_000, np.sign(row["offset_m"])
        nearest = min(abs(a.s - s) for a in world.assets if a.class_name == row["class"])
        assert nearest < 12, row
        assert side == (-1 if row["side"] == "left" else 1)
    rails = sorted(
        (row["km_m"], row["km_end_m"]) for row in rows if row["class"] == LINE and row["state"] == "confirmed"
    )
    known = sorted((12_000 + a.s, 12_000 + a.end_s) for a in world.assets if a.end_s is not None)
    assert np.array(rails) == pytest.approx(np.array(known), abs=12)


def test_on_a_reference_the_side_is_that_of_the_centreline(tmp_path, world, warehouse, config):
    """Of which the kilometres grow against the drive's travel."""
    commit(warehouse, drive(world, 1, bias_m=0.0))
    path = tmp_path / "lines.geojson"
    centreline(world, path)
    tree = json.loads(path.read_text())
    tree["features"][0]["geometry"]["coordinates"].reverse()
    path.write_text(json.dumps(tree))
    update_inventory(config)
    before = {row["asset_id"]: row["side"] for row in warehouse.read(warehouse.current(), "assets").to_pylist()}
    update_inventory(config.model_copy(update={"reference": ReferenceConfig(uri=str(path))}))
    after = warehouse.read(warehouse.current(), "assets").to_pylist()
    other = {"left": "right", "right": "left", "overhead": "overhead"}
    assert {before[row["asset_id"]] for row in after} == set(other)
    for row in after:
        assert row["side"] == other[before[row["asset_id"]]]
        if row["side"] != "overhead":
            assert row["side"] == ("left" if row["offset_m"] < 0 else "right")
    update_inventory(config)  # and without it that of travel again
    last = {row["asset_id"]: row["side"] for row in warehouse.read(warehouse.current(), "assets").to_pylist()}
    assert last == before


def test_an_asset_too_far_from_its_drives_centreline_has_no_kilometre(tmp_path, world, warehouse, config):
    commit(warehouse, drive(world, 1, bias_m=0.0))
    reference = ReferenceConfig(uri=centreline(world, tmp_path / "lines.geojson"), max_offset_m=5.0)
    update_inventory(config.model_copy(update={"reference": reference}))
    rows = warehouse.read(warehouse.current(), "assets").to_pylist()
    far = [row for row in rows if row["km_m"] is None]
    assert 0 < len(far) < len(rows)
    assert all(row["km_m"] is None or 12_000 <= row["km_m"] <= 13_500 for row in rows)
    for row in far:
        assert {row[name] for name in ("route_code", "km_end_m", "offset_m", "lrs_version")} == {None}


def test_a_new_version_of_the_reference_moves_the_kilometres_and_keeps_the_ids(tmp_path, world, warehouse, config):
    def register(km_start: float):
        uri = centreline(world, tmp_path / f"{km_start}.geojson", km_start=km_start)
        update_inventory(config.model_copy(update={"reference": ReferenceConfig(uri=uri)}))
        rows = warehouse.read(warehouse.current(), "assets").to_pylist()
        return {row["asset_id"]: (row["km_m"], row["lrs_version"]) for row in rows}

    old, new = register(12.0), register(40.5)
    assert old.keys() == new.keys()
    assert {new[one][0] - old[one][0] for one in old} == {28_500}
    assert len({version for _, version in [*old.values(), *new.values()]}) == 2


def test_what_no_drive_surveyed_is_listed_as_such(tmp_path, world, warehouse, config):
    reference = ReferenceConfig(uri=centreline(world, tmp_path / "lines.geojson"))
    update_inventory(config.model_copy(update={"reference": reference}))
    rows = warehouse.read(warehouse.current(), "coverage").to_pylist()
    assert [(row["km"], row["drive_id"]) for row in rows] == [(12, "night-01"), (13, "night-01")]
    assert sum(row["length_m"] for row in rows) == pytest.approx(1500, abs=3)
    commit(warehouse)  # and of a road that nobody drove
    far = World(9, 3000.0)
    far.xy = lambda s, offset: (s, np.full(len(s), 50_000.0))
    uri = centreline(far, tmp_path / "far.geojson", km_start=100.0)
    update_inventory(config.model_copy(update={"reference": ReferenceConfig(uri=uri)}))
    release = warehouse.current()
    assert {row["drive_id"] for row in warehouse.read(release, "coverage").to_pylist()} == {None}
    assert warehouse.read(release, "assets")["route_code"].null_count == warehouse.read(release, "assets").num_rows


def test_assets_of_a_register_without_a_reference_have_none(warehouse: Warehouse, config: InventoryConfig):
    update_inventory(config)
    assert set(warehouse.read(warehouse.current(), "assets")["km_m"].to_pylist()) == {None}


def placed(warehouse: Warehouse) -> tuple[list[tuple], list[dict]]:
    """Where the register's assets are, without their ids, which are drawn by chance; and what was covered."""
    release = warehouse.current()
    rows = warehouse.read(release, "assets").to_pylist()
    names = ("class", "lon", "lat", "route_code", "km_m", "km_end_m", "offset_m", "lrs_version")
    return sorted(tuple(row[name] for name in names) for row in rows), warehouse.read(release, "coverage").to_pylist()


@pytest.mark.slow
def test_kilometres_and_coverage_of_night_after_night_are_those_of_all_drives_at_once(tmp_path, world, config):
    def surveyed(night: int) -> DriveTables:
        """A drive; the third covers only the beginning of the road."""
        return drive(world, night, end_s=300.0) if night == 2 else drive(world, night)

    reference = ReferenceConfig(uri=centreline(world, tmp_path / "lines.geojson"))
    without = config.model_copy(update={"warehouse": str(tmp_path / "nightly"), "reference": None})
    settings = without.model_copy(update={"reference": reference})
    nightly = Warehouse(settings.warehouse)
    for night in range(3):
        commit(nightly, surveyed(night))
        update_inventory(settings)
    once = Warehouse(str(tmp_path / "once"))
    commit(once, *(surveyed(night) for night in range(3)))
    update_inventory(settings.model_copy(update={"warehouse": once.store.uri}))
    expected = placed(once)
    assert len(expected[0]) > 30
    assert {row["drive_id"] for row in expected[1]} >= {drive(world, night).drive_id for night in range(3)}
    assert placed(nightly) == expected

    update_inventory(without)  # a run without the reference, and one with it again
    update_inventory(settings)
    assert placed(nightly) == expected
