"""One run of the nightly job: nights in turn, each to one release and one summary.

What happens of a night, each step safe to die after:

    lease → record with its drives → scan → register → count the frames → release → record complete → summary
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Protocol

import pyarrow as pa

from roadscan import __version__
from roadscan.cluster import refuse_lost_outputs
from roadscan.errors import LeaseHeld, OutputError, RoadscanError, in_words
from roadscan.inventory import InventorySummary, run_inventory
from roadscan.nightly.audit import audit, uncommitted
from roadscan.nightly.config import NightlyConfig
from roadscan.nightly.cost import NodeMeter
from roadscan.nightly.dates import Nights
from roadscan.nightly.deadline import deadline, kept
from roadscan.nightly.delivery import Delivery
from roadscan.nightly.facts import of_drives, of_scan
from roadscan.nightly.gate import Gates, GatesOfNight
from roadscan.nightly.guard import Guard, StopReason, Watchdog, end_process
from roadscan.nightly.lease import Lease
from roadscan.nightly.lineage import LineageRun
from roadscan.nightly.plan import PlannedNight, plan_nights, scan_config
from roadscan.nightly.record import NightRecord, write_record
from roadscan.nightly.sparse import judge_detections
from roadscan.nightly.summary import EXIT_CODES, NightlySummary, NightSummary, Outcome
from roadscan.nightly.verdict import judge
from roadscan.nightly.webhook import webhook_url
from roadscan.progress import OnProgress, Progress, silent
from roadscan.scan.config import ScanConfig
from roadscan.scan.plan import ScanPlan, plan_scan
from roadscan.scan.run import ScanSummary, run_scan
from roadscan.warehouse import Change, Release, Warehouse

LOG = logging.getLogger(__name__)
LEASE = "leases/nightly.json"


class Scan(Protocol):
    """What scans a night's drives: `run_scan`."""

    def __call__(self, config: ScanConfig, on_progress: OnProgress, *, plan: ScanPlan) -> ScanSummary:
        """A scan's config -> its summary."""


def nightly_lease(config: NightlyConfig) -> Lease:
    """The lease that keeps two nightly runs of one warehouse apart."""
    store = Warehouse(config.warehouse).store
    return Lease(store, LEASE, length_s=config.lease.length_s, skew_s=config.lease.skew_s)


def run_nightly(
    config: NightlyConfig,
    nights: Nights,
    on_progress: OnProgress = silent,
    *,
    now: datetime,
    on_night: Callable[[NightSummary], None] = lambda _: None,
    force: str | None = None,
    scan: Scan = run_scan,
) -> NightlySummary:
    """The job's config -> the summary of each night, after what is left of these nights is done.

    A run that loses its lease, or hangs in its scan or its register, writes its summary and ends the process. Whatever
    stops a run, there is a summary that says so: of the night under way, or of the first one where none is yet.

    Args:
        config: the job.
        nights: which.
        on_progress: called with the events of each night's scan and register.
        now: a drive that begins later is left out.
        on_night: called with the summary of each night, as soon as there is one.
        force: why closed gates are passed, for the release's note.
        scan: scans a night's drives.

    Raises:
        ConfigError, DatasetError: the known assets cannot be read, or `force` is of no use.
        LeaseHeld: another run is under way.
        RoadscanError: what stopped a night; its summary says the same.
    """
    health = config.health
    files = {"warehouse": config.warehouse, "health.metrics": health.metrics, "health.lineage": health.lineage}
    refuse_lost_outputs({field: address for field, address in files.items() if address}, os.environ)
    run = _NightlyRun(config, webhook_url(os.environ), nights.first, on_progress, on_night, scan)
    try:
        return run.all_of(nights, now, force)
    except LeaseHeld:  # whoever has it tells of the night
        raise
    except (KeyboardInterrupt, SystemExit):  # Ray makes the second of a SIGTERM
        run.fail(RoadscanError("it was stopped; run it again to go on"))
        raise
    except Exception as error:
        run.fail(error)
        raise


@dataclass
class _CurrentNight:
    """What is known of the night under way, for a summary of it."""

    record: NightRecord
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock_s: float = field(default_factory=time.monotonic)
    meter: NodeMeter = field(default_factory=NodeMeter)
    gates: GatesOfNight = field(default_factory=GatesOfNight)
    lineage: LineageRun | None = None
    untold: list[str] = field(default_factory=list)
    scan_node_s: float = 0.0
    plan: ScanPlan | None = None
    left_out: dict[str, str] = field(default_factory=dict)


class _NightlyRun:
    """The nights of one process, which hold the lease."""

    def __init__(
        self,
        config: NightlyConfig,
        url: str | None,
        first: date,
        on_progress: OnProgress,
        on_night: Callable[[NightSummary], None],
        scan: Scan,
    ) -> None:
        self.config, self.warehouse = config, Warehouse(config.warehouse)
        self.watchdog = Watchdog(config.no_progress_s)
        self.left_out: dict[str, str] = {}
        self._on_progress, self._on_night, self._scan = on_progress, on_night, scan
        self._delivery = Delivery(self.warehouse, config.health.metrics, url)
        self._gates = Gates()
        self._now = self._before = _CurrentNight(NightRecord(first.isoformat()))

    def all_of(self, nights: Nights, now: datetime, force: str | None) -> NightlySummary:
        """The nights in turn, under the lease; as `run_nightly`."""
        self._gates = Gates.open(self.config.health, force)
        with nightly_lease(self.config) as lease:

            def lost() -> StopReason | None:
                reason = lease.lost()
                return StopReason("lease lost", reason) if reason else None

            with Guard([lost, self.watchdog.check], self.end):
                plan = plan_nights(self.config, nights, now)
                self.left_out = plan.left_out
                told = tuple(self.night(planned) for planned in plan.nights)
                return NightlySummary(told, plan.left_out, plan.passed_over)

    def fail(self, error: Exception) -> None:
        """Deliver the summary of the night that an error stopped."""
        self._deliver(self._now, self._summary(self._now, "error", error=in_words(error)))

    def night(self, planned: PlannedNight) -> NightSummary:
        """A planned night -> its summary, after it is done and the summary delivered."""
        now = self._now = _CurrentNight(planned.record)
        record = now.record = planned.record.begun(now.started_at)
        if self.config.health.lineage and planned.is_due:
            now.lineage = self._lineage(self.config.health.lineage)
            now.untold += filter(None, [now.lineage.start(record)])
        with now.meter:
            summary = self._process(now, planned) if planned.is_due else self._summarise_complete(now)
        self._now = self._before
        if planned.is_due:
            self._deliver(now, summary)
        else:
            self._on_night(summary)
        return summary

    def end(self, stop: StopReason) -> None:
        """End this process, with a summary of the night under way. Called by the guard's thread."""
        now = self._now
        LOG.error("%s: %s", stop.outcome, stop.reason)

        def deliver_summary() -> None:
            summary = self._summary(now, stop.outcome, error=stop.reason)
            try:
                missing = uncommitted(self.warehouse, now.plan) if now.plan else {}
                summary = replace(summary, missing=missing, frames_lost=sum(missing.values()))
            except RoadscanError as error:
                summary = replace(summary, warnings=(f"what is missing is not known: {error}",))
            self._deliver(now, summary)

        end_process(EXIT_CODES[stop.outcome], deliver_summary)

    def _process(self, now: _CurrentNight, planned: PlannedNight) -> NightSummary:
        """A planned night -> its summary, after scan, register, count and release."""
        store, record, tag = self.warehouse.store, now.record, planned.tag
        tag = write_record(store, record, tag)
        scanned = None
        if planned.to_scan:
            config = scan_config(self.config, planned)
            now.plan = plan_scan(config, may_be_gone=True)
            now.left_out |= now.plan.left_out
            if not self._model_passes(now, now.plan):
                return self._summary(now, "gate closed", withheld=tuple(now.gates.stopped))
            scanned = self._scan_drives(now, config, now.plan)
            now.left_out |= scanned.left_out
        register = self._register(now) if self._shows_enough(now) else None
        release = self.warehouse.current()
        counted = audit(self.warehouse, release, record.drives, self.config.health.max_quarantined)
        verdict = judge(counted, self.config.health.max_quarantined, now.gates.stopped)
        if verdict.outcome == "complete":
            release = self._publish(record.night, now.gates.forced) if record.drives else release
            record = now.record = record.released(release)
            write_record(store, record, tag)
        return self._summary(
            now,
            **asdict(verdict),
            **asdict(counted),
            **of_drives(self.warehouse, release, record, self.config.zone),
            assets=register.assets if register and not now.gates.stopped else {},
            **of_scan(scanned, now.scan_node_s),
        )

    def _summarise_complete(self, now: _CurrentNight) -> NightSummary:
        """A complete night -> its summary; changes nothing."""
        record, release = now.record, self.warehouse.current()
        return self._summary(
            now,
            "complete already",
            **asdict(audit(self.warehouse, release, record.drives, self.config.health.max_quarantined)),
            **of_drives(self.warehouse, release, record, self.config.zone),
        )

    def _model_passes(self, now: _CurrentNight, plan: ScanPlan) -> bool:
        if self._gates.labelled is None:
            return True
        columns = ["drive_id", "model_sha256", "finished_at"]
        runs = self.warehouse.read(self.warehouse.current(), "runs", columns=columns).to_pylist()
        with self.watchdog.watching("no labelled image was looked at"):
            report = self._gates.judge_model(self.warehouse, runs, self.config.scan.model, plan.model, self._watched)
        return now.gates.passes("model", report, self._gates.force)

    def _shows_enough(self, now: _CurrentNight) -> bool:
        """Whether there are drives, and they show what can go into the register."""
        release = self.warehouse.current()
        if not release.has("runs"):
            return False
        drive_ids = [drive.drive_id for drive in now.record.drives]
        report = judge_detections(self.warehouse, release, drive_ids, self._gates.min_detections)
        return now.gates.passes("scan", report, self._gates.force)

    def _scan_drives(self, now: _CurrentNight, config: ScanConfig, plan: ScanPlan) -> ScanSummary:
        with self.watchdog.watching("no shard was committed"):
            before_s = now.meter.working_s()
            scanned = self._scan(config, self._watched, plan=plan)
            now.scan_node_s = now.meter.working_s() - before_s
            return scanned

    def _register(self, now: _CurrentNight) -> InventorySummary:
        def accept(release: Release, assets: pa.Table) -> bool:
            current = self.warehouse.read(release, "assets")
            report = self._gates.judge_register(self.warehouse, release, current, assets)
            return now.gates.passes("register", report, self._gates.force)

        with self.watchdog.watching("no drive was read and no tile built"):
            return run_inventory(self.config.inventory, self._watched, accept=accept)

    def _watched(self, progress: Progress) -> None:
        """Send an event on, and have the watchdog see it."""
        self.watchdog.progress()
        self._on_progress(progress)

    def _publish(self, night: str, forced: str | None) -> Release:
        """Publish what the scan and the register published as the night's release, under its name."""
        note = f"night {night}" + (f", forced: {forced}" if forced else "")
        return self.warehouse.publish(lambda found: None if found.note == note else Change(note))

    def _summary(self, now: _CurrentNight, outcome: Outcome, **facts: Any) -> NightSummary:
        record = now.record
        base: dict[str, Any] = {
            "frames": sum(drive.frames for drive in record.drives),
            "model_sha256": now.plan.model.sha256 if now.plan else None,
            **self._on_time(record),
        }
        return NightSummary(
            night=record.night,
            outcome=outcome,
            started_at=now.started_at.isoformat(),
            seconds=round(time.monotonic() - now.clock_s, 3),
            host=socket.gethostname(),
            code_version=__version__,
            drives=tuple(drive.drive_id for drive in record.drives),
            release=record.release,
            as_of=record.as_of,
            node_seconds=now.meter.seconds(),
            max_quarantined=self.config.health.max_quarantined,
            gates=now.gates.reports,
            forced=now.gates.forced,
            left_out={**self.left_out, **now.left_out},
            warnings=(*now.gates.warnings(), *now.untold),
            **{**base, **facts},
        )

    def _on_time(self, record: NightRecord) -> dict[str, Any]:
        """A night's record -> when it was to be done, and whether it was."""
        if self.config.health.due is None or record.begun_at is None:
            return {}
        due = deadline(datetime.fromisoformat(record.begun_at), self.config.health.due, self.config.zone)
        now = datetime.now(UTC)
        done = datetime.fromisoformat(record.as_of).replace(tzinfo=UTC) if record.as_of else now
        return {"done_by": due.isoformat(), "on_time": kept(due, now, done if record.complete else None)}

    def _lineage(self, to: str) -> LineageRun:
        return LineageRun(to, self.warehouse.store.uri, self.config.scan.model, self.config.zone)

    def _deliver(self, now: _CurrentNight, summary: NightSummary) -> None:
        """Tell and show a summary; where it cannot be shown, as on a full disk, it is told and the next night comes."""
        delivered = self._delivery.deliver(summary, now.record, now.lineage)
        try:
            self._on_night(delivered)
        except OutputError as error:
            LOG.warning("the summary of %s cannot be shown: %s", summary.night, error)
