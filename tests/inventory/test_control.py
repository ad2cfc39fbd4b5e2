from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from support.built import CONFIG
from support.world import drive, make_world

from roadscan.errors import ConfigError
from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.inventory.build import build
from roadscan.inventory.control import CONTROL, ControlConfig, read_control
from roadscan.schemas import ASSETS
from roadscan.survey.geodesy import WGS84
from roadscan.taxonomy import HIGHWAY

HEADER = "control_id,class,lon,lat,sigma_m\n"
GOOD = HEADER + "A 1,Warning Sign,100.5,14.0,0.05\nA 2,Bus Stop,100.6,14.1,\n"


def read(path: Path, text: str, **settings) -> pa.Table:
    path.write_text(text)
    return read_control(ControlConfig(uri=str(path), **settings), HIGHWAY)


def test_a_table_of_surveyed_assets_is_read(tmp_path):
    found = read(tmp_path / "c.csv", GOOD)
    assert found.schema == CONTROL
    assert found.to_pylist() == [
        {"control_id": "A 1", "class": "Warning Sign", "lon": 100.5, "lat": 14.0, "sigma_m": 0.05},
        {"control_id": "A 2", "class": "Bus Stop", "lon": 100.6, "lat": 14.1, "sigma_m": 0.2},  # none told
    ]
    assert read_control(None, HIGHWAY).num_rows == 0


def test_geojson_of_another_owner_is_read_by_its_own_names(tmp_path):
    feature = {
        "type": "Feature",
        "properties": {"kind": "Bus Stop", "accuracy": 0.5},
        "geometry": {"type": "Point", "coordinates": [100.5, 14.0]},
    }
    text = json.dumps({"type": "FeatureCollection", "features": [feature]})
    found = read(tmp_path / "c.geojson", text, columns={"class": "kind", "sigma_m": "accuracy"})
    assert found.to_pylist() == [
        {"control_id": "row 1", "class": "Bus Stop", "lon": 100.5, "lat": 14.0, "sigma_m": 0.5}
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER, "has no rows; expected one a surveyed asset"),
        ("lon,lat\n1,2\n", r"no row has \['class'\], only \[\]; expected the class"),
        ("class,lat\nBus Stop,2\n", "has no column lon"),
        (GOOD.replace("Bus Stop", ""), "row 2: class: got None; expected the class of the asset"),
        (GOOD.replace("Bus Stop", "Concrete Guardrail"), "row 2: class: got 'Concrete Guardrail', which runs along"),
        (GOOD.replace("A 2", "A 1"), "control_id: got 'A 1' 2 times"),
        (GOOD.replace("0.05", "0"), "row 1: sigma_m: got '0'; expected metres above 0"),
        (GOOD.replace("0.05", "good"), "row 1: sigma_m: got 'good'"),
        (GOOD.replace("14.0", "north"), "row 1: lat: got 'north'; expected degrees"),
        (
            GOOD.replace("14.0", "1540000"),
            r"row 1: lon, lat: got \[100.5, 1.54e\+06\]; expected \[longitude, latitude\]",
        ),
        (GOOD.replace("14.0", "nan"), "row 1: lon, lat: got"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, words):
    with pytest.raises(ConfigError, match=f"control {tmp_path}/c.csv: {words}"):
        read(tmp_path / "c.csv", text)


def test_a_file_that_is_not_there_is_told_by_its_field(tmp_path):
    with pytest.raises(
        ConfigError, match=r"^control\.uri: .*none\.csv does not exist; expected a file of surveyed assets"
    ):
        read_control(ControlConfig(uri=str(tmp_path / "none.csv")), HIGHWAY)


def test_a_property_that_no_control_point_has_is_refused():
    with pytest.raises(ValueError, match="are no properties of a control point"):
        ControlConfig(uri="c.csv", columns={"height": "h"})


def surveyed(assets, sigma_m=0.1) -> pa.Table:
    rows = [
        {"control_id": f"C{n}", "class": row["class"], "lon": row["lon"], "lat": row["lat"], "sigma_m": sigma_m}
        for n, row in enumerate(assets)
    ]
    return pa.Table.from_pylist(rows, CONTROL)


def built(*drives, control=None):
    ids = iter(range(10_000))
    return build(
        drives, ASSETS.empty_table(), HIGHWAY, CONFIG, lambda: f"A{next(ids):05d}", control=control
    ).assets.to_pylist()


def off_m(a: dict, b: dict) -> float:
    return float(WGS84.inv(a["lon"], a["lat"], b["lon"], b["lat"])[2])


def moved(row: dict, north_m: float) -> dict:
    return row | {"lat": row["lat"] + north_m / 110_650}


def test_a_register_is_pinned_to_what_was_surveyed():
    """Every third asset was surveyed 2 m north of where the drive puts it: the others go along."""
    world = make_world(seed=3, length_m=900.0)
    alone = [row for row in built(drive(world, 0)) if row["side"] != "overhead" and row["length_m"] is None]
    alone = [row for row in alone if row["state"] == "confirmed"]
    control = surveyed([moved(row, 2.0) for row in alone[::3]])
    after = {row["control_id"] or row["asset_id"]: row for row in built(drive(world, 0), control=control)}
    pinned = [after[f"C{n}"] for n in range(len(control))]
    for row, was in zip(pinned, alone[::3], strict=True):
        assert off_m(row, moved(was, 2.0)) < 0.2
        assert row["pos_sigma_m"] <= 0.11
    others = [row for row in after.values() if row["control_id"] is None and row["state"] == "confirmed"]
    found = [
        min((off_m(moved(was, 2.0), row), off_m(was, row)) for row in others) for was in alone if was not in alone[::3]
    ]
    assert np.median([now for now, _ in found]) < 0.6  # 2 m before


def test_a_control_point_that_no_drive_saw_is_no_asset():
    world = make_world(seed=3, length_m=900.0)
    plain = built(drive(world, 0))
    control = surveyed([moved(plain[0], 40_000.0), moved(plain[1] | {"class": "Bus Stop"}, 300_000.0)])
    pinned = built(drive(world, 0), control=control)
    assert [(row["asset_id"], row["class"], row["state"]) for row in pinned] == [
        (row["asset_id"], row["class"], row["state"]) for row in plain
    ]
    assert {row["control_id"] for row in pinned} == {None}


def test_a_warehouse_is_pinned_night_after_night(warehouse, config: InventoryConfig, tmp_path):
    """Control points are part of a tile's key; what changes is built, what does not is not, and a loss is told."""
    update_inventory(config)
    rows = warehouse.read(warehouse.current(), "assets").to_pylist()
    sign = next(row for row in rows if row["class"] == "Warning Sign" and row["state"] == "confirmed")
    (tmp_path / "c.csv").write_text(f"class,lon,lat,control_id\nWarning Sign,{sign['lon']},{sign['lat']},K 7\n")
    pinning = config.model_copy(update={"control": ControlConfig(uri=str(tmp_path / "c.csv"))})
    first = update_inventory(pinning)
    assert first.control == {"points": 1, "pinned": 1}
    assert (first.tiles_built, first.shortfall) == (1, None)
    (row,) = [row for row in warehouse.read(warehouse.current(), "assets").to_pylist() if row["control_id"]]
    assert (row["control_id"], row["asset_id"]) == ("K 7", sign["asset_id"])
    assert update_inventory(pinning).tiles_built == 0
    dropped = update_inventory(config)
    assert dropped.tiles_built == 1
    assert "not pinned any more" in (dropped.shortfall or "")
    (tmp_path / "c.csv").write_text("class,lon,lat\nWarning Sign,10.0,50.0\n")
    assert "none of the 1 control points is an asset" in (update_inventory(pinning).shortfall or "")
