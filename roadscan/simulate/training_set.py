"""A labelled training set in YOLO's format, from many simulated roads.

    data.yaml
    frames.parquet              image, split, drive_id, conditions, visibility of each object
    images/<split>/<name>.jpg
    labels/<split>/<name>.txt   class cx cy w h   or   class x1 y1 x2 y2 …, in 0..1; empty for a background frame

A road belongs to one split only, so no asset of the validation set was ever seen in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from roadscan.progress import OnProgress, Progress, silent
from roadscan.simulate.config import SimulationConfig
from roadscan.simulate.frames import Job, make_road, shoot_all
from roadscan.simulate.labels.yolo import Task, label_lines
from roadscan.simulate.world.conditions import MIX
from roadscan.simulate.world.drive import drive
from roadscan.taxonomy import HIGHWAY, SEGMENTABLE

SPLITS = ("train", "val", "test")
#: Kilometres of road for a run of frames, and frames taken from it: one about every 60 m, so that they differ.
ROAD_KM = 1.5
FRAMES_PER_ROAD = 25
#: Seeds of a data set's roads start here times the config's seed, so that data sets do not share roads.
ROADS_PER_SET = 10_000
FRAMES = pa.schema(
    [
        ("image", pa.string()),
        ("split", pa.string()),
        ("drive_id", pa.string()),
        ("conditions", pa.list_(pa.string())),
        ("visibility", pa.list_(pa.float32())),
    ]
)


@dataclass(frozen=True)
class DatasetSummary:
    """What `write_yolo_dataset` wrote: images and labelled objects by split."""

    path: Path
    images: dict[str, int]
    objects: dict[str, int]


def write_yolo_dataset(
    out_dir: Path,
    config: SimulationConfig,
    task: Task,
    frames: int,
    *,
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
    on_progress: OnProgress = silent,
) -> DatasetSummary:
    """Render a training set.

    Args:
        out_dir: written to; created when missing.
        config: image size, camera, densities and seed; length, nights and conditions are set here.
        task: boxes of the seven classes, or outlines of the five that have masks: of segment as objects, of semantic as
            what pixels show.
        frames: images in all splits together.
        shares: of train, val and test.
        on_progress: called after each frame.
    """
    names = HIGHWAY.names if task == "detect" else SEGMENTABLE
    plan = _plan(config, task, frames, shares)
    rows: list[dict[str, Any]] = []
    images, objects = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)
    for split in SPLITS:
        for kind in ("images", "labels"):
            (out_dir / kind / split).mkdir(parents=True, exist_ok=True)
    shots = shoot_all([job for _, job in plan], config.workers)
    for (split, job), shot in zip(plan, shots, strict=True):
        road_id = f"road-{job.config.seed:08d}"
        name = f"{road_id}-{job.frame:05d}"
        lines = label_lines(shot.labels, shot.polygons, names, (config.width_px, config.height_px), task)
        (out_dir / "images" / split / f"{name}.jpg").write_bytes(shot.jpeg)
        (out_dir / "labels" / split / f"{name}.txt").write_text("".join(f"{line}\n" for _, line in lines))
        origin = {"image": f"images/{split}/{name}.jpg", "split": split, "drive_id": road_id}
        visibility = [label.visible_fraction for label, _ in lines]
        rows.append({**origin, "conditions": list(shot.conditions), "visibility": visibility})
        images[split] += 1
        objects[split] += len(lines)
        on_progress(Progress("simulate", len(rows), len(plan), "images"))
    pq.write_table(pa.Table.from_pylist(rows, schema=FRAMES), out_dir / "frames.parquet")
    data = {"path": str(out_dir.resolve())} | {split: f"images/{split}" for split in SPLITS}
    if task == "semantic":  # else outlines are of objects
        data["task"] = task
    text = yaml.safe_dump(data | {"names": dict(enumerate(names))}, sort_keys=False)
    (out_dir / "data.yaml").write_text(text)
    return DatasetSummary(out_dir, images, objects)


def _plan(
    config: SimulationConfig, task: Task, frames: int, shares: tuple[float, float, float]
) -> list[tuple[str, Job]]:
    """Which frame of which road goes into which split."""
    plan: list[tuple[str, Job]] = []
    road = config.seed * ROADS_PER_SET % (2**31 - ROADS_PER_SET)
    for split, share in zip(SPLITS, shares, strict=True):
        left = round(frames * share)
        while left > 0:
            count = min(left, FRAMES_PER_ROAD)
            plan += [(split, job) for job in _road_jobs(config, road, count, task)]
            left -= count
            road += 1
    return plan


def _road_jobs(config: SimulationConfig, road_seed: int, count: int, task: Task) -> list[Job]:
    """Evenly spread frames of one road; camera height and pitch vary from road to road, as from vehicle to vehicle."""
    rng = np.random.default_rng((141, road_seed))
    start = int(rng.integers(len(MIX)))
    own = config.model_copy(
        update={
            "seed": road_seed,
            "length_km": ROAD_KM,
            "nights": 1,
            "conditions": config.conditions or tuple(MIX[(start + 3 * i) % len(MIX)] for i in range(2)),
            "mount_height_m": float(np.clip(config.mount_height_m + rng.normal(0, 0.12), 0.8, 4.0)),
            "mount_pitch_deg": float(np.clip(config.mount_pitch_deg + rng.normal(0, 0.7), -8.0, 15.0)),
        }
    )
    total = len(drive(own, make_road(own), 1))
    indices = np.unique(((np.arange(count) + rng.uniform(0.1, 0.9, count)) / count * total).astype(int))
    return [Job(own, 1, int(index), with_masks=task != "detect") for index in indices]
