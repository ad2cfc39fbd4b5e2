"""Simulated drives with known truth, written through the storage door.

drives/<drive_id>/          a drive as `roadscan.survey.drive` reads it, with images/<frame_id>.jpg
truth/assets.parquet        one row an asset, over all nights
truth/changes.parquet       one row an asset that was added, removed or damaged, with the night
truth/boxes/<drive>.parquet one row a visible asset in a frame
truth/frames/<drive>.parquet the true pose and the condition of every frame
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa

from roadscan.progress import OnProgress, Progress, silent
from roadscan.simulate.config import SimulationConfig
from roadscan.simulate.frames import Job, Shot, make_assets, make_road, shoot_all
from roadscan.simulate.labels.truth import BOXES, asset_table, box_rows, change_table, true_frames
from roadscan.simulate.world.assets import changes
from roadscan.simulate.world.drive import Trajectory, drive, local_frame
from roadscan.storage import Store, open_store, parquet_bytes
from roadscan.survey.camera import Camera
from roadscan.survey.drive import write_drive

CAMERA_ID = "front"


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
    events = changes(assets, config.nights)
    _write(store, "truth/assets.parquet", asset_table(config, road, assets))
    _write(store, "truth/changes.parquet", change_table(events))
    drives = [drive(config, road, night) for night in range(1, config.nights + 1)]
    frames = sum(map(len, drives))
    shots = shoot_all([Job(config, d.night, index) for d in drives for index in range(len(d))], config.workers)
    boxes, by_condition = 0, Counter[str]()

    def written(condition: str) -> None:
        by_condition[condition] += 1
        on_progress(Progress("simulate", by_condition.total(), frames, "frames"))

    for trajectory in drives:
        boxes += _write_drive(out_uri, config, trajectory, islice(shots, len(trajectory)), written)
    return SimulationSummary(
        uri=out_uri,
        drive_ids=tuple(d.drive_id for d in drives),
        frames=frames,
        boxes=boxes,
        assets=len(assets),
        changes=len(events),
        frames_by_condition=dict(by_condition),
    )


def _write_drive(
    out_uri: str,
    config: SimulationConfig,
    trajectory: Trajectory,
    shots: Iterator[Shot],
    written: Callable[[str], None],
) -> int:
    """Write a drive and its truth, frame by frame as they come; how many boxes it has."""
    store, drive_id = open_store(out_uri), trajectory.drive_id
    condition: list[str] = []
    conditions: list[tuple[str, ...]] = []
    boxes: list[dict[str, object]] = []
    for index, shot in enumerate(shots):
        frame_id = trajectory.frame_id(index)
        store.write(f"drives/{drive_id}/images/{frame_id}.jpg", shot.jpeg)
        boxes += box_rows(frame_id, shot.labels, shot.condition)
        condition.append(shot.condition)
        conditions.append(shot.conditions)
        written(shot.condition)
    _write(store, f"truth/boxes/{drive_id}.parquet", pa.Table.from_pylist(boxes, schema=BOXES))
    _write(store, f"truth/frames/{drive_id}.parquet", true_frames(config, trajectory, condition, conditions))
    write_drive(
        open_store(f"{out_uri.rstrip('/')}/drives/{drive_id}"),
        drive_id=drive_id,
        cameras=[camera_of(config)],
        frames=recorded_frames(config, trajectory),
        source="simulator",
    )
    return len(boxes)


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


def _write(store: Store, key: str, table: pa.Table) -> None:
    store.write(key, parquet_bytes(table))
