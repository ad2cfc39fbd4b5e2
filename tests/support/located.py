"""A small register on route 0002, in a warehouse whose time zone is Bangkok: assets go, and one comes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.warehouse import Warehouse
from support.world import HOME, World, commit, drive, make_world

KM_START_M = 10_000
BEFORE_M = 50.0  # the centreline begins so far before the world's chainage 0
GONE, CAME = "p4", "p7"  # removed before the third of five nights; built then
GONE_RAIL = "rail1"  # a guardrail that was removed, too
NIGHTS = 5


def located_world() -> World:
    world = make_world(5, 1200.0)
    for asset in world.assets:
        if asset.asset_id in (GONE, GONE_RAIL):
            asset.last_night = 1
        elif asset.asset_id == CAME:
            asset.first_night = 2
    return world


def km_m(world: World, asset_id: str) -> float:
    """Where an asset stands on the route."""
    return KM_START_M + BEFORE_M + next(a.s for a in world.assets if a.asset_id == asset_id)


def make_located(folder: Path) -> None:
    """Fill a folder with ``w``, the warehouse, and ``centreline.geojson``."""
    world, warehouse = located_world(), Warehouse(str(folder / "w"))
    s = np.arange(-BEFORE_M, world.length_m + 100, 20.0)
    line = np.stack(HOME.to_lonlat(*world.xy(s, 0.0)), axis=1).tolist()
    road = {
        "route_code": "0002",
        "section_code": "0101",
        "km_start": KM_START_M / 1000,
        "km_end": (KM_START_M + s[-1] + BEFORE_M) / 1000,
    }
    feature = {"type": "Feature", "properties": road, "geometry": {"type": "LineString", "coordinates": line}}
    (folder / "centreline.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    commit(warehouse, *(drive(world, night) for night in range(NIGHTS)))
    reference = {"uri": str(folder / "centreline.geojson")}
    update_inventory(InventoryConfig(warehouse=str(folder / "w"), time_zone="Asia/Bangkok", reference=reference))
