"""A scan of nights without Ray and without a model: every frame is ok, nothing is detected, unless a test says so."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.inventory.build import DriveTables
from roadscan.nightly.config import NightlyConfig
from roadscan.nightly.dates import nights_of
from roadscan.nightly.run import run_nightly
from roadscan.nightly.summary import NightSummary
from roadscan.progress import OnProgress, Progress
from roadscan.scan import ledger
from roadscan.scan.config import ScanConfig
from roadscan.scan.plan import ScanPlan
from roadscan.scan.run import ScanSummary
from roadscan.schemas import DRIVE_FRAMES, FRAMES, OBSERVATIONS
from roadscan.storage import open_store
from roadscan.survey.drive import write_drive
from roadscan.warehouse import Warehouse
from support.drives import CAMERA, START, frame, make_drive

FIRST = START.date()
SHARED = (
    "drive_id",
    "frame_id",
    "captured_at",
    "camera_lon",
    "camera_lat",
    "run_key",
)  # columns of frames and of observations
NOW = START + timedelta(days=20)


def drive_of_night(folder: Path, night: int, *, n: int = 3, drive_id: str | None = None, **changes: Any) -> str:
    """A drive on the evening of the first night, the second, …"""
    rows = {i: {"captured_at": START + timedelta(days=night - 1, seconds=i), **changes} for i in range(n)}
    name = drive_id or f"d{night}"
    return make_drive(str(folder / "drives" / name), name, n=n, replace=rows, images=dict.fromkeys(range(n)))


def config_of(folder: Path, model: str, **fields: Any) -> NightlyConfig:
    tree = {
        "warehouse": str(folder / "warehouse"),
        "scan": {"drives": [str(folder / "drives")], "model": model, "shard_frames": 2},
        "inventory": {},
        "time_zone": "Asia/Bangkok",
    }
    return NightlyConfig.model_validate(tree | fields)


def drive_of_world(folder: Path, tables: DriveTables) -> str:
    """A drive whose frames are those of a drive in a world of known assets; `ScanOfWorld` finds what it saw."""
    columns = {"frame_id": "frame_id", "captured_at": "captured_at", "lon": "camera_lon", "lat": "camera_lat"}
    rows = [
        {**frame(index), **{ours: row[theirs] for ours, theirs in columns.items()}}
        for index, row in enumerate(tables.frames.to_pylist())
    ]
    uri = str(folder / "drives" / tables.drive_id)
    write_drive(open_store(uri), drive_id=tables.drive_id, cameras=[CAMERA],
                frames=pa.Table.from_pylist(rows, DRIVE_FRAMES), source="test")  # fmt: skip
    return uri


class Scan:
    """Commits every shard; `failing`, `quarantined` and `dark` name frames, `hook` is called before each shard.

    Every frame shows one detection of each of `classes`, and lies at one place.
    """

    latitude = 13.9

    def __init__(
        self,
        failing: Collection[str] = (),
        hook: Callable[[int], None] = lambda shard: None,
        quarantined: Collection[str] = (),
        classes: Collection[str] = (),
        dark: Collection[str] = (),
    ) -> None:
        self.failing, self.hook, self.quarantined, self.classes = failing, hook, quarantined, classes
        self.dark = dark
        self.scanned: list[str] = []

    def _fate(self, name: str) -> dict[str, object]:
        if name in self.failing:
            return {"status": "failed", "reason": "unreachable: x"}
        if name in self.quarantined:
            return {"status": "quarantined", "reason": "truncated: y"}
        return {"status": "ok", "reason": None, "light": 0.1 if name in self.dark else None}

    def __call__(self, config: ScanConfig, on_progress: OnProgress, *, plan: ScanPlan) -> ScanSummary:
        warehouse = Warehouse(config.warehouse)
        for number, shard in enumerate(plan.todo):
            self.hook(number)
            drive = next(drive for drive in plan.drives.values() if drive.uri == shard.drive_uri)
            part = drive.frames.slice(shard.start, shard.stop - shard.start)
            self.scanned += part["frame_id"].to_pylist()
            ledger.commit(warehouse, shard, *self._found(drive.drive_id, shard, part))
            on_progress(Progress("scan", shard.stop, part.num_rows, "frames"))
        for name, shards in plan.shards.items():
            ledger.publish(warehouse, [ledger.collect(warehouse, plan.drives[name], shards, plan.model.sha256)])
        return ScanSummary(0, 0, 0, 0, 0, 0, 0, 0, 0, {}, 1.0, 5.0, {}, 0, plan.model.sha256, "v")

    def _found(self, drive_id: str, shard: ledger.Shard, part: pa.Table) -> tuple[pa.Table, pa.Table]:
        """(observations, frames) of a shard's rows of the drive's table."""
        times = zip(part["frame_id"].to_pylist(), part["captured_at"].to_pylist(), strict=True)
        rows = [{**dict.fromkeys(FRAMES.names), "drive_id": drive_id, "frame_id": name, "image_uri": "x",
                 "camera_id": "front", "camera_lat": self.latitude, "camera_lon": 100.6, "fov_deg": 70.0,
                 "n_detections": len(self.classes), "captured_at": time, "run_key": shard.run_key, **self._fate(name)}
                for name, time in times]  # fmt: skip
        seen = [{**dict.fromkeys(OBSERVATIONS.names), **{name: row[name] for name in SHARED}, "class": class_name,
                 "observation_id": f"{drive_id}/{row['frame_id']}/{class_name}", "score": 0.9, "model_sha256": "m",
                 "code_version": "v"} for row in rows for class_name in self.classes]  # fmt: skip
        return pa.Table.from_pylist(seen, OBSERVATIONS), pa.Table.from_pylist(rows, FRAMES)


class ScanOfWorld(Scan):
    """Finds what drives in a world of known assets saw."""

    def __init__(self, *drives: DriveTables) -> None:
        super().__init__()
        self.drives = {one.drive_id: one for one in drives}

    def _found(self, drive_id: str, shard: ledger.Shard, part: pa.Table) -> tuple[pa.Table, pa.Table]:
        tables = (self.drives[drive_id].observations, self.drives[drive_id].frames)
        observations, frames = (rows.filter(pc.is_in(rows["frame_id"], part["frame_id"])) for rows in tables)
        return observations, frames


def run(config: NightlyConfig, scan: Scan, *, one: int | None = None, first: int | None = None,
        last: int | None = None, force: str | None = None) -> tuple[int, list[NightSummary]]:  # fmt: skip
    """Run nights by their number; the exit code and the summaries."""
    dates = [FIRST + timedelta(days=number - 1) if number else None for number in (one, first, last)]
    told: list[NightSummary] = []
    nights = nights_of(*dates, today=NOW.date())
    summary = run_nightly(config, nights, now=NOW, on_night=told.append, scan=scan, force=force)
    return summary.exit_code, told
