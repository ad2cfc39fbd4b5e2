"""One run of the nightly job: nights in turn, each to one release and one summary.

What happens of a night, each step safe to die after:

    lease → record with its drives → scan → register → count the frames → release → record complete → summary
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from roadscan import __version__
from roadscan.cluster import refuse_lost_outputs
from roadscan.errors import RoadscanError
from roadscan.inventory import InventorySummary, run_inventory
from roadscan.nightly.audit import audit, uncommitted
from roadscan.nightly.config import NightlyConfig
from roadscan.nightly.dates import Nights
from roadscan.nightly.drives import NightDrive
from roadscan.nightly.guard import Guard, Stop, Watchdog, end_process
from roadscan.nightly.lease import Lease
from roadscan.nightly.plan import PlannedNight, plan_nights, scan_of
from roadscan.nightly.record import write_record
from roadscan.nightly.summary import EXIT_CODES, LEFT_OUT, NightSummary, Outcome
from roadscan.nightly.webhook import post, webhook_url
from roadscan.scan.config import ScanConfig
from roadscan.scan.plan import ScanPlan, plan_scan
from roadscan.scan.run import Progress, ScanSummary, run_scan
from roadscan.warehouse import Release, Warehouse

LOG = logging.getLogger(__name__)
LEASE = "leases/nightly.json"

Scan = Callable[[ScanConfig, ScanPlan, Callable[[Progress], None]], ScanSummary]
ProgressBar = Callable[[str], AbstractContextManager[Callable[[int, int, str], None]]]


def nightly_lease(config: NightlyConfig) -> Lease:
    """The lease that keeps two nightly runs of one warehouse apart."""
    store = Warehouse(config.warehouse).store
    return Lease(store, LEASE, length_s=config.lease.length_s, skew_s=config.lease.skew_s)


def run_nightly(
    config: NightlyConfig,
    nights: Nights,
    *,
    now: datetime,
    tell: Callable[[NightSummary], None],
    progress: ProgressBar,
    scan: Scan = run_scan,
) -> int:
    """Do what is left of these nights.

    A run that loses its lease, or hangs in its scan or its register, writes its summary and ends the process.

    Args:
        config: the job.
        nights: which.
        now: a drive that begins later is left out.
        tell: shows the summary of a night.
        progress: makes a progress bar of a unit.
        scan: does a scan's plan.

    Returns:
        The exit code: 0 all complete; 3 frames are lost, failed or in a drive that cannot be read.

    Raises:
        LeaseHeld: another run is under way.
        RoadscanError: what stopped a night; its summary says the same.
    """
    refuse_lost_outputs({"warehouse": config.warehouse}, os.environ)
    url = webhook_url(os.environ)
    with nightly_lease(config) as lease:
        run = _Run(config, url, tell, progress, scan)

        def lost() -> Stop | None:
            reason = lease.lost()
            return Stop("lease lost", reason) if reason else None

        with Guard([lost, run.watchdog.check], run.end):
            plan = plan_nights(config, nights, now)
            run.left_out = plan.left_out
            codes = [run.night(planned) for planned in plan.nights]
    return max([*codes, LEFT_OUT if plan.left_out else 0])


@dataclass
class _Now:
    """The night under way, as far as it is known; what a summary of it could say."""

    night: str
    drives: tuple[NightDrive, ...]
    started_at: datetime
    clock_s: float
    plan: ScanPlan | None = None


class _Run:
    """The nights of one process, which hold the lease."""

    def __init__(
        self, config: NightlyConfig, url: str | None, tell: Callable[[NightSummary], None], progress: ProgressBar,
        scan: Scan,
    ) -> None:  # fmt: skip
        self.config, self.warehouse = config, Warehouse(config.warehouse)
        self.watchdog = Watchdog(config.no_progress_s)
        self.left_out: dict[str, str] = {}
        self._url, self._tell, self._progress, self._scan = url, tell, progress, scan
        self._now: _Now | None = None

    def night(self, planned: PlannedNight) -> int:
        """Do one night, and return its exit code."""
        now = self._now = _Now(planned.record.night, planned.record.drives, datetime.now(UTC), time.monotonic())
        try:
            summary = self._do(now, planned) if planned.waits else self._done(now, planned)
        except Exception as error:
            self._deliver(self._summary(now, "error", error=str(error) or type(error).__name__))
            raise
        self._now = None
        if planned.waits:
            self._deliver(summary)
        else:
            self._tell(summary)
        return summary.exit_code

    def end(self, stop: Stop) -> None:
        """End this process, with a summary of the night under way. Called by the guard's thread."""
        now = self._now
        LOG.error("%s: %s", stop.outcome, stop.reason)

        def last_words() -> None:
            if now is None:
                return
            summary = self._summary(now, stop.outcome, error=stop.reason)
            try:
                missing = uncommitted(self.warehouse, now.plan) if now.plan else {}
                summary = replace(summary, missing=missing, frames_lost=sum(missing.values()))
            except RoadscanError as error:
                summary = replace(summary, warnings=(f"what is missing is not known: {error}",))
            self._deliver(summary)

        end_process(EXIT_CODES[stop.outcome], last_words)

    def _do(self, now: _Now, planned: PlannedNight) -> NightSummary:
        """Scan, register, count, release."""
        store, record, tag = self.warehouse.store, planned.record, planned.tag
        tag = write_record(store, record, tag)
        scanned = self._scan_drives(now, planned.to_scan) if planned.to_scan else None
        register = self._register() if self.warehouse.current().of("runs") else None
        release = self.warehouse.current()
        counted = audit(self.warehouse, release, record.drives)
        if counted.clean:
            release = self._publish(record.night) if record.drives else release
            record = record.released(release)
            write_record(store, record, tag)
        return self._summary(
            now,
            "complete" if counted.clean else "incomplete",
            **asdict(counted),
            **_of_drives(self.warehouse, release, record.drives),
            assets=register.assets if register else {},
            images_per_second=scanned.images_per_second if scanned else 0.0,
            devices=scanned.devices if scanned else {},
            release=record.release,
            as_of=record.as_of,
        )

    def _done(self, now: _Now, planned: PlannedNight) -> NightSummary:
        """What is there of a night that is complete; changes nothing."""
        record, release = planned.record, self.warehouse.current()
        return self._summary(
            now,
            "complete already",
            **asdict(audit(self.warehouse, release, record.drives)),
            **_of_drives(self.warehouse, release, record.drives),
            release=record.release,
            as_of=record.as_of,
        )

    def _scan_drives(self, now: _Now, drives: Sequence[NightDrive]) -> ScanSummary:
        config = scan_of(self.config, drives)
        now.plan = plan_scan(config)
        with self._progress("frames") as bar, self.watchdog.watching("no shard was committed"):

            def committed(done: Progress) -> None:
                self.watchdog.progress()
                bar(done.frames_done, done.frames_total, "frames")

            return self._scan(config, now.plan, committed)

    def _register(self) -> InventorySummary:
        with self._progress("drives read") as bar, self.watchdog.watching("no drive was read and no tile built"):

            def step(done: int, total: int, unit: str) -> None:
                self.watchdog.progress()
                bar(done, total, unit)

            return run_inventory(self.config.inventory, step)

    def _publish(self, night: str) -> Release:
        """The release that is the night's: what the scan and the register published, under its name."""
        note = f"night {night}"
        return self.warehouse.publish(lambda found: found if found.note == note else replace(found, note=note))

    def _summary(self, now: _Now, outcome: Outcome, **facts: Any) -> NightSummary:
        base: dict[str, Any] = {
            "frames": sum(drive.frames for drive in now.drives),
            "model_sha256": now.plan.model.sha256 if now.plan else None,
        }
        return NightSummary(
            night=now.night,
            outcome=outcome,
            started_at=now.started_at.isoformat(),
            seconds=round(time.monotonic() - now.clock_s, 3),
            host=socket.gethostname(),
            code_version=__version__,
            drives=tuple(drive.drive_id for drive in now.drives),
            left_out=self.left_out,
            **{**base, **facts},
        )

    def _deliver(self, summary: NightSummary) -> None:
        """Write, post and show a summary; what fails of it is told by the rest."""
        key = f"logs/nightly-{summary.night}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.json"
        summary = self._write(key, summary)
        if self._url:
            refused = post(self._url, {**summary.to_dict(), "text": summary.text()})
            if refused:
                summary = self._write(key, replace(summary, warnings=(*summary.warnings, refused)))
        self._tell(summary)

    def _write(self, key: str, summary: NightSummary) -> NightSummary:
        try:
            self.warehouse.store.write(key, json.dumps(summary.to_dict(), indent=1).encode())
        except RoadscanError as error:
            return replace(summary, warnings=(*summary.warnings, f"this summary was not written: {error}"))
        return summary


def _of_drives(warehouse: Warehouse, release: Release, drives: Sequence[NightDrive]) -> dict[str, Any]:
    """Detections, changes and the model of some drives in a release."""
    names = [drive.drive_id for drive in drives]
    runs = [row for row in warehouse.read(release, "runs").to_pylist() if row["drive_id"] in names]
    changes = warehouse.read(release, "asset_changes", columns=["drive_id", "change"])
    shown = changes.filter(pc.is_in(changes["drive_id"], value_set=pa.array(names, pa.string())))
    return {
        "detections": sum(row["observations"] for row in runs),
        "changes": dict(Counter(shown["change"].to_pylist()).most_common()),
        "model_sha256": max(runs, key=lambda row: row["finished_at"])["model_sha256"] if runs else None,
    }
