"""The plan of a nightly run: which nights, with which drives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from roadscan.nightly.config import NightlyConfig
from roadscan.nightly.dates import Nights
from roadscan.nightly.drives import NightDrive, began, find_new
from roadscan.nightly.record import NightRecord, read_record
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
    """

    record: NightRecord
    tag: str | None
    to_scan: tuple[NightDrive, ...]
    is_due: bool

    @property
    def late(self) -> int:
        """Drives to scan that began before the night's date."""
        return sum(drive.began is None or drive.began < self.record.night for drive in self.to_scan)


@dataclass(frozen=True)
class NightlyPlan:
    """The nights of a run in turn, and what cannot be scanned; see `drives.NewDrives`."""

    nights: tuple[PlannedNight, ...]
    left_out: dict[str, str]


def plan_nights(config: NightlyConfig, nights: Nights, now: datetime) -> NightlyPlan:
    """The job's config -> the nights to do, from manifests, released runs and the nights' records; starts nothing.

    A back-fill passes over dates on which nobody drove.

    Raises:
        SurveyError, StorageError, WarehouseError: as `find_new` and `read_record`.
    """
    warehouse = Warehouse(config.warehouse)
    runs = warehouse.read(warehouse.current(), "runs").to_pylist()
    found = find_new(config.scan.drives, runs, zone=config.zone, now=now)
    taken: dict[date | None, list[NightDrive]] = {}
    for drive in found.drives:
        taken.setdefault(nights.night_of(began(drive)), []).append(drive)
    planned = []
    for night in nights.dates:
        new, standing = taken.get(night, []), read_record(warehouse.store, night)
        if new or standing or not nights.back_fill:
            planned.append(_planned(night, standing, new, {drive.sha256 for drive in found.drives}))
    return NightlyPlan(tuple(planned), found.left_out)


def _planned(
    night: date, standing: tuple[NightRecord, str] | None, new: Sequence[NightDrive], unscanned: set[str]
) -> PlannedNight:
    old, tag = standing or (NightRecord(night.isoformat()), None)
    record = old.with_drives(new)
    to_scan = tuple(drive for drive in record.drives if drive.sha256 in unscanned)
    return PlannedNight(record, tag, to_scan, is_due=not record.complete or bool(to_scan))


def scan_config(config: NightlyConfig, drives: Sequence[NightDrive]) -> ScanConfig:
    """The job's config -> that of a scan of these drives alone."""
    return config.scan.model_copy(update={"drives": tuple(drive.uri for drive in drives)})


def frames_left(config: NightlyConfig, plan: NightlyPlan) -> list[int]:
    """A plan -> frames to scan by night, without those of shards that an earlier run committed.

    Raises:
        ModelError: the model cannot be used.
    """
    left: Counter[str] = Counter()
    drives = [drive for night in plan.nights for drive in night.to_scan]
    if drives:
        scan = plan_scan(scan_config(config, drives))
        drive_of = {shards[0].run_key: drive_id for drive_id, shards in scan.shards.items()}
        for shard in scan.todo:
            left[drive_of[shard.run_key]] += shard.stop - shard.start
    return [sum(left[drive.drive_id] for drive in night.to_scan) for night in plan.nights]
