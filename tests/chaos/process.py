"""One night in a process of its own: the command as cron runs it, whole, or with the truth in place of the model.

Then frames are fetched, checked and decoded, shards committed, drives published and the register built as always, and
what is in an image is read from a table of the simulation: a night of seconds. Processes are forked from one that has
imported everything.
"""

from __future__ import annotations

import io
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from functools import cache
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import roadscan.nightly.lease as lease_module
import roadscan.scan.processes as processes_module
from roadscan.cli import run
from roadscan.errors import RoadscanError
from roadscan.inventory import run as _inventory  # noqa: F401 - imported before the fork
from roadscan.model.image_detections import NOTHING, ImageDetections
from roadscan.nightly import run as _nightly  # noqa: F401
from roadscan.scan import ledger
from roadscan.scan import run as _scan  # noqa: F401
from roadscan.scan.attempts import attempt
from roadscan.scan.config import ScanConfig
from roadscan.scan.ledger import Scanned, Shard
from roadscan.scan.loading import Loaded, Loader, frames_of
from roadscan.scan.placement import Placement
from roadscan.scan.tables import RunFacts, Seen, make_tables
from roadscan.taxonomy import HIGHWAY
from roadscan.warehouse import Warehouse

SCORE = 0.9


@dataclass(frozen=True)
class Night:
    """What a process is to do, and what befalls it from within.

    Attributes:
        config: a file, of `roadscan nightly`.
        date: the night.
        boxes: the folder of the simulation's boxes; None for the model, in processes of its own.
        log: a file that gets what it prints.
        environment: on top of its parent's.
        clock_s: by how much the clock that it measures its lease by is ahead.
        file_bytes: no file that it writes may have more; None for no limit. A full disk refuses in the same place.
    """

    config: Path
    date: str
    boxes: Path | None
    log: Path
    environment: dict[str, str]
    clock_s: float = 0.0
    file_bytes: int | None = None


def start(night: Night) -> ForkServerProcess:
    """The process that does it."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["chaos.process"])
    process = context.Process(target=_main, args=(night,))
    process.start()
    return process


def _main(night: Night) -> None:
    os.setpgid(0, 0)
    with night.log.open("ab", buffering=0) as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    os.environ.update(night.environment)
    if night.clock_s:
        lease_module.datetime = _clock_ahead(night.clock_s)  # type: ignore[attr-defined, misc]
    if night.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (night.file_bytes, night.file_bytes))

    if night.boxes is not None:
        processes_module.scan_in_processes = _by_truth(night.boxes)  # type: ignore[assignment]
    sys.exit(run(["nightly", str(night.config), "--date", night.date]))


def _clock_ahead(by_s: float) -> type[datetime]:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=by_s)

    return Ahead


def _by_truth(boxes: Path) -> Callable[..., Iterator[Scanned]]:
    def scan(
        config: ScanConfig, shards: Sequence[Shard], model_sha256: str, _: Placement, scan_id: str
    ) -> Iterator[Scanned]:
        warehouse = Warehouse(config.warehouse)
        for shard in shards:
            scanned = Scanned(shard.run_key, 0, 0, f"chaos:{os.getpid()}", "cpu")
            with attempt(warehouse.store, shard, scan_id):
                try:
                    observations, frames = _tables(config, shard, model_sha256, boxes)
                except RoadscanError as error:
                    yield replace(scanned, error=f"{shard}: {error}")
                    continue
                commit = ledger.commit(warehouse, shard, observations, frames)
            yield replace(scanned, frames=frames.num_rows, detections=commit.detections)

    return scan


def _tables(config: ScanConfig, shard: Shard, model_sha256: str, boxes: Path) -> tuple[pa.Table, pa.Table]:
    """(observations, frames) of a shard, by the truth."""
    drive, frames = frames_of(shard)
    truth = _boxes(boxes / f"{drive.drive_id}.parquet")
    names = frames["frame_id"].to_pylist()
    loaded = _loader(config.max_megapixels).load(drive, frames.to_pylist(), 8)
    seen = [_seen(one, truth.get(names[one.row])) for one in loaded]
    return make_tables(drive, frames, seen, RunFacts(shard.run_key, model_sha256, HIGHWAY))


@cache
def _loader(max_megapixels: float) -> Loader:
    return Loader(threads=4, side_px=320, stride_px=32, decode="scaled", max_megapixels=max_megapixels)


@cache
def _boxes(path: Path) -> dict[str, ImageDetections]:
    """What each frame shows."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in pq.read_table(io.BytesIO(path.read_bytes())).to_pylist():
        rows.setdefault(row["frame_id"], []).append(row)
    return {
        name: ImageDetections(
            np.array([one["box_px"] for one in found], np.float32),
            np.full(len(found), SCORE, np.float32),
            tuple(one["class"] for one in found),
        )
        for name, found in rows.items()
    }


def _seen(loaded: Loaded, found: ImageDetections | None) -> Seen:
    if loaded.image is None:
        return Seen(loaded, None)
    return Seen(replace(loaded, image=None), loaded.image.letterbox.image_hw, found or NOTHING)
