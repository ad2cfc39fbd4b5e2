"""Simulated drives with known truth, written through the storage door.

drives/<drive_id>/          a drive as `roadscan.survey.drive` reads it, with images/<frame_id>.jpg
truth/assets.parquet        one row an asset, over all nights
truth/changes.parquet       one row an asset that was added, removed or damaged, with the night
truth/boxes/<drive>.parquet one row a visible asset in a frame
truth/frames/<drive>.parquet the true pose and the condition of every frame
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from roadscan.progress import OnProgress, Progress, silent
from roadscan.storage import Store, open_store
from roadscan.survey.camera import Camera
from roadscan.survey.drive import write_drive
from roadscan.survey.simulate.assets import TextureTable
from roadscan.survey.simulate.drives import Trajectory, drive, local_frame
from roadscan.survey.simulate.road import Road
from roadscan.survey.simulate.settings import SimulationConfig
from roadscan.survey.simulate.studio import Job, Shot, make_assets, make_road, shoot_all
from roadscan.survey.simulate.world import Asset, changes, realise
from roadscan.taxonomy import HIGHWAY

CAMERA_ID = "front"
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
    ]
)


@dataclass(frozen=True)
class SimulationSummary:
    """What `simulate` wrote.

    Attributes:
        uri: the folder.
        drive_ids: one a night, in order.
        frames, boxes, assets, changes: how many of each.
        frames_by_condition: e.g. {"day": 120, "rain": 80}.
    """

    uri: str
    drive_ids: tuple[str, ...]
    frames: int
    boxes: int
    assets: int
    changes: int
    frames_by_condition: dict[str, int]


def camera_of(config: SimulationConfig) -> Camera:
    """The survey camera as a drive's manifest describes it."""
    return Camera(
        camera_id=CAMERA_ID,
        width_px=config.width_px,
        height_px=config.height_px,
        focal_px=config.focal_px,
        mount_height_m=config.mount_height_m,
        mount_yaw_deg=config.mount_yaw_deg,
        mount_pitch_deg=config.mount_pitch_deg,
    )


def simulate(out_uri: str, config: SimulationConfig, on_progress: OnProgress = silent) -> SimulationSummary:
    """Simulate `config.nights` drives and write them with their truth.

    Args:
        out_uri: a folder or ``s3://bucket/prefix``; existing drives of the same seed are overwritten.
        config: what to simulate; the same config gives the same bytes, for any number of workers.
        on_progress: called after each frame.

    Raises:
        StorageError: the store refused.
    """
    store = open_store(out_uri)
    road = make_road(config)
    assets = make_assets(config, road)
    _write(store, "truth/assets.parquet", truth_assets(config, road, assets))
    events = changes(assets, config.nights)
    rows = [{"night": n, "asset_id": a.asset_id, "class": a.name, "change": change} for n, a, change in events]
    _write(store, "truth/changes.parquet", pa.Table.from_pylist(rows, schema=CHANGES))

    drives = [drive(config, road, night) for night in range(1, config.nights + 1)]
    total = sum(map(len, drives))
    jobs = [Job(config, d.night, index) for d in drives for index in range(len(d))]
    shots = shoot_all(jobs, config.workers)
    done, boxes, by_condition = 0, 0, dict[str, int]()
    for trajectory in drives:
        conditions: list[str] = []
        labels: list[dict[str, object]] = []
        for index in range(len(trajectory)):
            shot = next(shots)
            frame_id = trajectory.frame_id(index)
            store.write(f"drives/{trajectory.drive_id}/images/{frame_id}.jpg", shot.jpeg)
            labels += _box_rows(frame_id, shot)
            conditions.append(shot.condition)
            by_condition[shot.condition] = by_condition.get(shot.condition, 0) + 1
            done += 1
            on_progress(Progress("simulate", done, total, "frames"))
        boxes += len(labels)
        _write(store, f"truth/boxes/{trajectory.drive_id}.parquet", pa.Table.from_pylist(labels, schema=BOXES))
        _write(store, f"truth/frames/{trajectory.drive_id}.parquet", _true_frames(config, trajectory, conditions))
        write_drive(
            open_store(f"{out_uri.rstrip('/')}/drives/{trajectory.drive_id}"),
            drive_id=trajectory.drive_id,
            cameras=[camera_of(config)],
            frames=recorded_frames(config, trajectory),
            source="simulator",
        )
    drive_ids = tuple(d.drive_id for d in drives)
    return SimulationSummary(out_uri, drive_ids, done, boxes, len(assets), len(events), by_condition)


def truth_assets(config: SimulationConfig, road: Road, assets: list[Asset]) -> pa.Table:
    """The truth table of assets, schema `ASSETS`; a line's lon, lat is its middle."""
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


def recorded_frames(config: SimulationConfig, trajectory: Trajectory) -> pa.Table:
    """The frames table as a survey vehicle would record it, with the errors of its GPS and compass."""
    lons, lats = local_frame(config).to_lonlat(trajectory.recorded_xy[:, 0], trajectory.recorded_xy[:, 1])
    count = len(trajectory)
    ids = [trajectory.frame_id(index) for index in range(count)]
    hdop = 0.9 + 0.3 * np.abs(np.sin(trajectory.time_s / 97.0 + trajectory.night))
    return pa.table(
        {
            "frame_id": pa.array(ids, pa.string()),
            "image_uri": pa.array([f"images/{frame_id}.jpg" for frame_id in ids], pa.string()),
            "captured_at": pa.array([trajectory.captured_at(i) for i in range(count)], pa.timestamp("us", tz="UTC")),
            "lon": pa.array(lons),
            "lat": pa.array(lats),
            "heading_deg": pa.array(trajectory.recorded_heading_deg),
            "speed_mps": pa.array(trajectory.speed_mps),
            "hdop": pa.array(hdop),
            "camera_id": pa.array([CAMERA_ID] * count, pa.string()),
            "reason": pa.array([None] * count, pa.string()),
        }
    )


def _true_frames(config: SimulationConfig, trajectory: Trajectory, conditions: list[str]) -> pa.Table:
    lons, lats = local_frame(config).to_lonlat(trajectory.xy[:, 0], trajectory.xy[:, 1])
    ids = [trajectory.frame_id(index) for index in range(len(trajectory))]
    columns = [ids, lons, lats, trajectory.heading_deg, conditions]
    return pa.table([pa.array(c, type=f.type) for c, f in zip(columns, TRUE_FRAMES, strict=True)], schema=TRUE_FRAMES)


def _box_rows(frame_id: str, shot: Shot) -> list[dict[str, object]]:
    return [
        {
            "frame_id": frame_id,
            "asset_id": label.asset_id,
            "class": label.name,
            "box_px": list(label.box_xyxy),
            "visible_fraction": label.visible_fraction,
            "condition": shot.condition,
        }
        for label in shot.labels
    ]


def _write(store: Store, key: str, table: pa.Table) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    store.write(key, buffer.getvalue())
