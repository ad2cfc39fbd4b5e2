"""The shell around the scan: Ray Data carries shards to actors, which fetch, decode, detect and commit.

Pixels and detections never cross the object store: a shard's address goes in, one row of statistics comes out, and
the tables go from the actor straight to the warehouse.
"""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any

import cv2
import ray
import ray.data
from ray.util.annotations import RayDeprecationWarning

from roadscan import __version__
from roadscan.cluster import connect
from roadscan.errors import RoadscanError, SurveyError
from roadscan.model.bundle import Bundle, load
from roadscan.scan import ledger
from roadscan.scan.config import ScanConfig
from roadscan.scan.ledger import Shard
from roadscan.scan.shard import ShardScanner
from roadscan.storage import open_store
from roadscan.survey.drive import Drive, find_drives, read_drive
from roadscan.warehouse import Release, Warehouse


@dataclass(frozen=True)
class ScanPlan:
    """What a scan would do, before anything starts.

    Attributes:
        drives: all drives, by drive_id.
        shards: all shards of each drive that is not done.
        todo: the shards without a commit, or with failed frames.
        done: drives that the warehouse already holds as this run would make them.
        model: the model to scan with.
    """

    drives: dict[str, Drive]
    shards: dict[str, list[Shard]]
    todo: list[Shard]
    done: tuple[str, ...]
    model: Bundle


@dataclass(frozen=True)
class ScanSummary:
    """What a scan did. Counts are of all frames of the drives that it had to finish, resumed shards included."""

    drives: int
    drives_skipped: int
    shards: int
    shards_resumed: int
    frames: int
    frames_ok: int
    frames_quarantined: int
    frames_failed: int
    detections: int
    reasons: dict[str, int]
    seconds: float
    images_per_second: float
    release: int
    model_sha256: str
    code_version: str

    @property
    def complete(self) -> bool:
        """Whether no frame failed."""
        return self.frames_failed == 0


@dataclass(frozen=True, slots=True)
class Progress:
    """Frames of the run that are committed, so far."""

    frames_done: int
    frames_total: int
    detections: int


def plan_scan(config: ScanConfig) -> ScanPlan:
    """Read the drives, the model and the ledger; start nothing.

    Raises:
        SurveyError: no drive at an address, or two drives with one id.
        ModelError: the model cannot be used, or is for another task.
    """
    model = load(config.model, task=config.task)
    warehouse = Warehouse(config.warehouse)
    runs = warehouse.read(warehouse.current(), "runs").to_pylist()
    drives: dict[str, Drive] = {}
    shards: dict[str, list[Shard]] = {}
    todo: list[Shard] = []
    for address in config.drives:
        found = find_drives(address)
        if not found:
            raise SurveyError(
                f"drives: no drive at {address}; expected a folder with drive.json, or a folder of such folders"
            )
        for drive in map(read_drive, found):
            if drive.drive_id in drives:
                raise SurveyError(
                    f"drives: {drive.uri} and {drives[drive.drive_id].uri} have the same drive_id {drive.drive_id!r}"
                )
            drives[drive.drive_id] = drive
            key = ledger.run_key(drive, model.sha256, config.fingerprint())
            if ledger.is_done(runs, drive, key):
                continue
            shards[drive.drive_id] = ledger.plan(drive, key, config.shard_frames)
            finished = {index for index, commit in ledger.commits(warehouse, key).items() if not commit.failed}
            todo += [shard for shard in shards[drive.drive_id] if shard.index not in finished]
    return ScanPlan(drives, shards, todo, tuple(name for name in drives if name not in shards), model)


def run_scan(config: ScanConfig, plan: ScanPlan, on_progress: Callable[[Progress], None] | None = None) -> ScanSummary:
    """Scan what the plan says is to do, and publish each drive as its last shard is committed.

    Args:
        config: the scan.
        plan: from `plan_scan` with the same config.
        on_progress: called after every shard.

    Raises:
        RoadscanError: what an actor could not get over, such as a warehouse that refuses writes.
    """
    started = time.monotonic()
    warehouse = Warehouse(config.warehouse)
    config = config.model_copy(update={"warehouse": warehouse.store.uri})  # absolute: actors have their own folder
    drive_of = {shards[0].run_key: drive_id for drive_id, shards in plan.shards.items()}
    left = Counter(drive_of[shard.run_key] for shard in plan.todo)
    results = {name: _finish(warehouse, plan, name) for name in plan.shards if not left[name]}
    total = sum(shard.stop - shard.start for shard in plan.todo)
    frames = detections = 0
    for row in _execute(config, plan):
        frames, detections = frames + row["frames"], detections + row["detections"]
        if on_progress:
            on_progress(Progress(frames, total, detections))
        left[row["drive_id"]] -= 1
        if not left[row["drive_id"]]:
            results[row["drive_id"]] = _finish(warehouse, plan, row["drive_id"])
    summary = _summarise(warehouse, plan, list(results.values()), frames, time.monotonic() - started)
    _write_summary(config, warehouse, summary)
    return summary


def _finish(warehouse: Warehouse, plan: ScanPlan, drive_id: str) -> ledger.Result:
    """Publish a drive whose shards are all committed."""
    result = ledger.collect(warehouse, plan.drives[drive_id], plan.shards[drive_id], plan.model.sha256)
    ledger.publish(warehouse, result)
    return result


def _execute(config: ScanConfig, plan: ScanPlan) -> Iterator[dict[str, Any]]:
    """Statistics of each shard, as it is committed."""
    if not plan.todo:
        return
    ledger.keep_model(Warehouse(config.warehouse), config.model, plan.model.sha256)
    start_ray()
    cluster = ray.cluster_resources()
    gpus = (1.0 if cluster.get("GPU") else 0.0) if config.gpus_per_actor is None else config.gpus_per_actor
    places = cluster.get("GPU", 0) / gpus if gpus else cluster.get("CPU", 1)
    actors = min(config.actors or max(int(places), 1), len(plan.todo))
    # One row a block and one block a shard: a block is what Ray Data gives to an actor at a time.
    shards = ray.data.from_items([asdict(shard) for shard in plan.todo], override_num_blocks=len(plan.todo))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RayDeprecationWarning)  # of passing max_restarts, which has no successor yet
        results = shards.map_batches(
            ShardActor,
            fn_constructor_args=(config, plan.model.sha256),
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=1,
            num_gpus=gpus,
            max_restarts=3,  # for ever by default, so a frame that kills the process would keep the actor busy
        )
    try:
        yield from results.iter_rows()
    except ray.exceptions.RayError as error:
        raise _cause(error) from error


def start_ray() -> None:
    """Connect to Ray, and have Ray Data speak when it is spoken to."""
    connect()
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # otherwise an actor's own error is lost on the way here
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it prints tracebacks of errors that it raises as well


class ShardActor:
    """Holds the model on one core or one GPU, and scans a shard a call."""

    def __init__(self, config: ScanConfig, model_sha256: str) -> None:
        cv2.setNumThreads(1)  # images are decoded side by side, one thread each
        self.config, self.model_sha256 = config, model_sha256
        self.warehouse = Warehouse(config.warehouse)

    @cached_property
    def scanner(self) -> ShardScanner:
        """Loaded at the first call, not in the constructor, whose errors Ray wraps beyond recognition."""
        return ShardScanner(self.config, ledger.read_model(self.warehouse, self.model_sha256))

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Scan and commit the shards of a batch; one row of statistics each."""
        columns = [batch[name].tolist() for name in Shard.__slots__]
        rows = [self._scan(Shard(*values)) for values in zip(*columns, strict=True)]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _scan(self, shard: Shard) -> dict[str, Any]:
        drive = _drive(shard.drive_uri)
        if drive.sha256 != shard.drive_sha256:
            raise SurveyError(f"{shard.drive_uri}: the drive changed while it was being scanned; run again")
        frames = drive.frames.slice(shard.start, shard.stop - shard.start).to_pylist()
        commit = ledger.commit(self.warehouse, shard, drive, *self.scanner.scan(drive, frames, shard.run_key))
        return {"drive_id": drive.drive_id, "frames": len(frames), "detections": commit.detections}


@lru_cache(maxsize=4)
def _drive(uri: str) -> Drive:
    return read_drive(uri)


def _cause(error: BaseException) -> RoadscanError:
    """The roadscan error inside Ray's, or one that says what Ray saw."""
    link: BaseException | None = error
    while link is not None:
        inner = getattr(
            link, "cause", None
        )  # of a RayTaskError, which takes on the type of its cause, but not its text
        if isinstance(link, RoadscanError) and inner is None:
            return link
        link = inner or link.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    said = lines[-1] if lines else type(error).__name__
    return RoadscanError(f"the scan stopped: {said}; run again to go on from the last commit")


def _summarise(
    warehouse: Warehouse, plan: ScanPlan, results: Sequence[ledger.Result], frames_now: int, seconds: float
) -> ScanSummary:
    files = Release(files=tuple(file for result in results for file in result.files))
    reasons = warehouse.read(files, "frames", columns=["reason"])["reason"].drop_null().to_pylist()
    shards = sum(map(len, plan.shards.values()))

    def total(column: str) -> int:
        return sum(result.row[column] for result in results)

    return ScanSummary(
        drives=len(plan.shards),
        drives_skipped=len(plan.done),
        shards=shards,
        shards_resumed=shards - len(plan.todo),
        frames=total("frames"),
        frames_ok=total("frames_ok"),
        frames_quarantined=total("frames_quarantined"),
        frames_failed=total("frames_failed"),
        detections=total("observations"),
        reasons=dict(Counter(reason.partition(":")[0] for reason in reasons).most_common()),
        seconds=round(seconds, 3),
        images_per_second=round(frames_now / seconds, 2) if seconds else 0.0,
        release=warehouse.current().number,
        model_sha256=plan.model.sha256,
        code_version=__version__,
    )


def _write_summary(config: ScanConfig, warehouse: Warehouse, summary: ScanSummary) -> None:
    data = json.dumps(asdict(summary), indent=1).encode()
    if config.summary is None:
        warehouse.store.write(f"logs/scan-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.json", data)
        return
    folder, _, name = config.summary.rpartition("/")
    open_store(folder or ".").write(name, data)
