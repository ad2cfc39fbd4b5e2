"""A scan from its config to its summary: shards are scanned, and drives with all of their shards are published."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from roadscan import __version__
from roadscan.cluster import connect, grows, is_local, nodes
from roadscan.errors import ConfigError
from roadscan.progress import OnProgress, Progress, silent
from roadscan.scan import ledger
from roadscan.scan.config import ScanConfig
from roadscan.scan.ledger import Scanned
from roadscan.scan.placement import place
from roadscan.scan.plan import ScanPlan, plan_scan
from roadscan.scan.publishing import Publisher
from roadscan.scan.quality import hard_frames
from roadscan.storage import open_store
from roadscan.warehouse import Warehouse
from roadscan.warehouse.drives import StagedDrive

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScanSummary:
    """What a scan did. Counts are of all frames of the drives that it had to finish, resumed shards included.

    Attributes:
        frames_dark, frames_blurred: of those that are ok; how they look is in `frames`, see `scan.quality`.
        devices: what the processes of this run computed on, and how many on each; empty where nothing was to do.
        decoding_tasks: how many ran on each node, by its address; empty where the processes decoded for themselves.
        left_out: by address, why a drive is not published: it cannot be read, or a part of it cannot be scanned.
    """

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
    devices: dict[str, int]
    release: int
    model_sha256: str
    code_version: str
    decoding_tasks: dict[str, int] = field(default_factory=dict)
    frames_dark: int = 0
    frames_blurred: int = 0
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether no frame failed, and no drive was left out."""
        return self.frames_failed == 0 and not self.left_out

    @property
    def useless(self) -> bool:
        """Whether there were frames, and every one of them is in quarantine."""
        return 0 < self.frames == self.frames_quarantined

    @property
    def shortfall(self) -> str | None:
        """That frames failed, drives were left out, or that all frames are in quarantine."""
        if not self.complete:
            drives = f"{len(self.left_out)} drives were left out and " if self.left_out else ""
            return f"{drives}{self.frames_failed} frames failed; run the same command again to retry them"
        if self.useless:
            return (
                f"all {self.frames} frames are in quarantine; repair what the reasons say, and run the same command "
                "again with --set retry_quarantined=true"
            )
        return None


def run_scan(config: ScanConfig, on_progress: OnProgress = silent, *, plan: ScanPlan | None = None) -> ScanSummary:
    """A scan's config -> its summary; scans what is to do, and publishes it. A shard that fails stops no other drive.

    The drives of a night are one release, so a year's log stays short; those of a long back-fill are one at least each
    day.

    Args:
        config: the scan.
        on_progress: called after every shard, with the frames that are committed.
        plan: from `plan_scan` with the same config, by who has looked at it; None makes it.

    Raises:
        RoadscanError: what `plan_scan` raises, or an actor could not get over, such as a warehouse that refuses writes.
    """
    plan = plan or plan_scan(config)
    started = time.monotonic()
    warehouse = Warehouse(config.warehouse)
    config = config.model_copy(update={"warehouse": warehouse.store.uri})  # absolute: actors have their own folder
    drive_of = {shards[0].run_key: drive_id for drive_id, shards in plan.shards.items()}
    left = Counter(drive_of[shard.run_key] for shard in plan.todo)
    drives = Publisher(warehouse, plan)
    for name in plan.shards:
        if not left[name]:
            drives.finish(name)
    drives.publish()  # an earlier run finished them, who knows when
    total = sum(shard.stop - shard.start for shard in plan.todo)
    frames = detections = 0
    runs_on: dict[str, str] = {}  # by process
    decoding_tasks = Counter[str]()  # by node
    left_out = dict(plan.left_out)
    for done in _scanned(config, plan):
        name = drive_of[done.run_key]
        if done.error:
            LOG.warning("%s", done.error)
            left_out.setdefault(plan.drives[name].uri, done.error)
            continue
        frames, detections = frames + done.frames, detections + done.detections
        runs_on[done.process] = done.runs_on
        decoding_tasks.update([done.decoded_on] if done.decoded_on else [])
        on_progress(Progress("scan", frames, total, "frames", {"detections": detections}))
        left[name] -= 1
        if not left[name]:
            drives.finish(name)
        drives.publish_if_due()
    drives.publish()
    devices = dict(Counter(runs_on.values()))
    summary = _summarise(
        warehouse, plan, drives.finished, devices, dict(decoding_tasks), left_out, frames, time.monotonic() - started
    )
    _write_summary(config, warehouse, summary)
    return summary


def _scanned(config: ScanConfig, plan: ScanPlan) -> Iterator[Scanned]:
    """Each shard as it is committed: by processes of this machine, or by actors where there is a cluster."""
    if not plan.todo:
        return
    if is_local() and config.decode_on == "all_nodes":
        raise ConfigError(
            "decode_on: got all_nodes, but this scan is on this machine alone; expected a cluster. Name one in "
            "RAY_ADDRESS, or leave decode_on at actors"
        )
    scan_id = secrets.token_hex(8)
    ledger.keep_model(Warehouse(config.warehouse), config.model, plan.model.sha256)
    if is_local():
        from roadscan.scan.processes import scan_in_processes, this_machine

        placement = place(config, [this_machine()], len(plan.todo))
        yield from scan_in_processes(config, plan.todo, plan.model.sha256, placement, scan_id)
    else:
        from roadscan.scan.ray import scan_on_cluster

        connect()
        placement = place(config, nodes(), len(plan.todo), grows=grows())
        yield from scan_on_cluster(config, plan, placement, scan_id)


def _summarise(
    warehouse: Warehouse,
    plan: ScanPlan,
    drives: Sequence[StagedDrive],
    devices: dict[str, int],
    decoding_tasks: dict[str, int],
    left_out: dict[str, str],
    frames_now: int,
    seconds: float,
) -> ScanSummary:
    files = [file for drive in drives for file in drive.files if file.table == "frames"]
    rows = warehouse.read_files(files, "frames", ["reason", "light", "blur"])
    reasons, hard = rows["reason"].drop_null().to_pylist(), hard_frames(rows)
    shards = sum(map(len, plan.shards.values()))

    def total(column: str) -> int:
        return sum(drive.run[column] for drive in drives)

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
        devices=devices,
        decoding_tasks=decoding_tasks,
        left_out=left_out,
        frames_dark=hard.dark,
        frames_blurred=hard.blurred,
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
