"""What is true of a simulation, as tables: its assets, their changes, their boxes in the frames, the true poses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from roadscan.simulate.config import SimulationConfig
from roadscan.simulate.labels.policy import Label
from roadscan.simulate.world.asset_meshes import TextureTable
from roadscan.simulate.world.assets import Asset, realise
from roadscan.simulate.world.drive import Trajectory, local_frame
from roadscan.simulate.world.road import Road
from roadscan.taxonomy import HIGHWAY

LINE_STEP_M = 5.0

ASSETS = pa.schema(
    [
        ("asset_id", pa.string()),
        ("class", pa.string()),
        ("geometry", pa.string()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("lons", pa.list_(pa.float64())),
        ("lats", pa.list_(pa.float64())),
        ("height_m", pa.float64()),
        ("length_m", pa.float64()),
        ("side", pa.string()),
        ("first_night", pa.int32()),
        ("last_night", pa.int32()),
        ("damaged_night", pa.int32()),
    ]
)
CHANGES = pa.schema([("night", pa.int32()), ("asset_id", pa.string()), ("class", pa.string()), ("change", pa.string())])
BOXES = pa.schema(
    [
        ("frame_id", pa.string()),
        ("asset_id", pa.string()),
        ("class", pa.string()),
        ("box_px", pa.list_(pa.float32(), 4)),
        ("visible_fraction", pa.float32()),
        ("condition", pa.string()),
    ]
)
TRUE_FRAMES = pa.schema(
    [
        ("frame_id", pa.string()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("heading_deg", pa.float64()),
        ("condition", pa.string()),
        ("conditions", pa.list_(pa.string())),
    ]
)


def asset_table(config: SimulationConfig, road: Road, assets: Sequence[Asset]) -> pa.Table:
    """Assets to their table, schema `ASSETS`; a line's lon, lat is its middle."""
    frame, table = local_frame(config), TextureTable()
    rows = []
    for asset in assets:
        placed = realise(asset, road, table, asset.first_night)
        lon, lat = frame.to_lonlat(placed.position[0], placed.position[1])
        row: dict[str, object] = {
            "asset_id": asset.asset_id,
            "class": asset.name,
            "geometry": HIGHWAY.get(asset.name).geometry.value,
            "lon": float(lon),
            "lat": float(lat),
            "height_m": placed.height_m,
            "side": asset.side,
            "first_night": asset.first_night,
            "last_night": asset.last_night,
            "damaged_night": asset.damaged_night,
        }
        if asset.end_s is not None:
            steps = max(2, round((asset.end_s - asset.s) / LINE_STEP_M) + 1)
            line = road.point(np.linspace(asset.s, asset.end_s, steps), asset.d)
            lons, lats = frame.to_lonlat(line[:, 0], line[:, 1])
            length = float(np.linalg.norm(np.diff(line[:, :2], axis=0), axis=1).sum())
            row |= {"lons": lons.tolist(), "lats": lats.tolist(), "length_m": length}
        rows.append(row)
    return pa.Table.from_pylist(rows, schema=ASSETS)


def change_table(events: Iterable[tuple[int, Asset, str]]) -> pa.Table:
    """Changes as (night, asset, what happened) to their table, schema `CHANGES`."""
    rows = [{"night": n, "asset_id": a.asset_id, "class": a.name, "change": change} for n, a, change in events]
    return pa.Table.from_pylist(rows, schema=CHANGES)


def box_rows(frame_id: str, labels: Iterable[Label], condition: str) -> list[dict[str, object]]:
    """The labels of a frame to rows of `BOXES`."""
    return [
        {
            "frame_id": frame_id,
            "asset_id": label.asset_id,
            "class": label.name,
            "box_px": list(label.box_xyxy),
            "visible_fraction": label.visible_fraction,
            "condition": condition,
        }
        for label in labels
    ]


def true_frames(
    config: SimulationConfig, trajectory: Trajectory, condition: Sequence[str], conditions: Sequence[Sequence[str]]
) -> pa.Table:
    """A drive's true poses, light and weather, and all conditions of each frame to their table, `TRUE_FRAMES`."""
    lons, lats = local_frame(config).to_lonlat(trajectory.xy[:, 0], trajectory.xy[:, 1])
    ids = [trajectory.frame_id(index) for index in range(len(trajectory))]
    columns = [ids, lons, lats, trajectory.heading_deg, condition, conditions]
    return pa.table([pa.array(c, type=f.type) for c, f in zip(columns, TRUE_FRAMES, strict=True)], schema=TRUE_FRAMES)
