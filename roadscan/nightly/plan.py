"""The plan of a nightly run: which nights, with which drives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.nightly.config import NightlyConfig
from roadscan.nightly.dates import Nights
from roadscan.nightly.drives import ASKED, NightDrive, began, find_new
from roadscan.nightly.record import NightRecord, nights_begun, read_record
from roadscan.scan.config import ScanConfig
from roadscan.scan.plan import plan_scan
from roadscan.warehouse import Warehouse


@dataclass(frozen=True)
class PlannedNight:
    """A night and its drives.

    Attributes:
        record: with all its drives, those that are new included.
        tag: of the record that is in the warehouse; None if there is none yet.
        to_scan: those that no release holds with all their frames.
        is_due: whether anything of it is left to do.
        retry_quarantined: whether its frames in quarantine are to be scanned again, since they are too many.
    """

    record: NightRecord
    tag: str | None
    to_scan: tuple[NightDrive, ...]
    is_due: bool
    retry_quarantined: bool = False

    @property
    def late(self) -> int:
        """Drives to scan that began before the night's date."""
        return sum(drive.began is None or drive.began < self.record.night for drive in self.to_scan)


@dataclass(frozen=True)
class NightlyPlan:
    """What a run has to do.

    Attributes:
        nights: in turn.
        left_out: as of `drives.NewDrives`.
        passed_over: by address, when a new drive began that is of none of these nights; None where no frame has a time.
    """

    nights: tuple[PlannedNight, ...]
    left_out: dict[str, str]
    passed_over: dict[str, str | None]


def plan_nights(config: NightlyConfig, nights: Nights, now: datetime) -> NightlyPlan:
    """The job's config -> the nights to do, from manifests, released runs and the nights' records; starts nothing.

    A back-fill passes over dates on which nobody drove.

    Raises:
        SurveyError, StorageError, WarehouseError: as `find_new` and `read_record`.
    """
    warehouse = Warehouse(config.warehouse)
    runs = warehouse.read(warehouse.current(), "runs", columns=[*ASKED, "frames_quarantined"])
    found = find_new(config.scan.drives, runs, zone=config.zone, now=now)
    taken: dict[date | None, list[NightDrive]] = {}
    for drive in found.drives:
        taken.setdefault(nights.night_of(began(drive)), []).append(drive)
    planned = []
    for night in nights.among({*taken, *nights_begun(warehouse.store)}) if nights.back_fill else [nights.last]:
        old, tag = read_record(warehouse.store, night) or (NightRecord(night.isoformat()), None)
        record, unscanned = old.with_drives(taken.get(night, [])), {drive.sha256 for drive in found.drives}
        again = _to_repeat(old, runs, config.health.max_quarantined)
        to_scan = tuple(drive for drive in record.drives if drive.sha256 in unscanned | again)
        is_due = not record.complete or bool(to_scan)
        planned.append(PlannedNight(record, tag, to_scan, is_due, retry_quarantined=bool(again)))
    passed_over = {drive.uri: drive.began for drive in taken.get(None, [])}
    return NightlyPlan(tuple(planned), found.left_out, passed_over)


def _to_repeat(record: NightRecord, runs: pa.Table, max_quarantined: float) -> set[str]:
    """The drives of a night that is not complete as too many of its frames are in quarantine: by now repaired, perhaps.

    Returns:
        Digests of those with frames in quarantine; of any other night none.
    """
    if record.complete:
        return set()
    digests = pa.array([drive.sha256 for drive in record.drives], pa.string())
    scanned = runs.filter(pc.is_in(runs["drive_sha256"], digests)).to_pylist()
    if sum(row["frames_quarantined"] for row in scanned) <= max_quarantined * sum(row["frames"] for row in scanned):
        return set()
    return {row["drive_sha256"] for row in scanned if row["frames_quarantined"]}


def scan_config(config: NightlyConfig, night: PlannedNight) -> ScanConfig:
    """The job's config -> that of a scan of what a night has to scan."""
    drives = tuple(drive.uri for drive in night.to_scan)
    retry = config.scan.retry_quarantined or night.retry_quarantined
    return config.scan.model_copy(update={"drives": drives, "retry_quarantined": retry})


def frames_left(config: NightlyConfig, plan: NightlyPlan) -> list[int]:
    """A plan -> frames to scan by night, without those of shards that an earlier run committed.

    Raises:
        ModelError: the model cannot be used.
    """
    left = []
    for night in plan.nights:
        todo = plan_scan(scan_config(config, night), may_be_gone=True).todo if night.to_scan else []
        left.append(sum(shard.stop - shard.start for shard in todo))
    return left
