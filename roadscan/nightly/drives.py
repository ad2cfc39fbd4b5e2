"""The drives that nobody has scanned yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.errors import SurveyError
from roadscan.scan.ledger import IDENTITY, check_identity
from roadscan.storage import open_store, sha256_hex
from roadscan.survey.dates import AHEAD
from roadscan.survey.drive import Drive, find_drives, leaving_out, read_drive, read_manifest

LOOKED_AGAIN = timedelta(days=7)  # since a drive was scanned
ASKED = (*IDENTITY, "frames_failed", "finished_at")  # of `runs`


@dataclass(frozen=True, slots=True)
class NightDrive:
    """A drive as a night's record has it.

    Attributes:
        drive_id: unique within a warehouse.
        uri: its folder.
        sha256: digest of its ``drive.json``.
        frames: of its table, also those that cannot be used.
        began: ISO 8601 date of its first frame, in the department's time zone; None if no frame has a time.
    """

    drive_id: str
    uri: str
    sha256: str
    frames: int
    began: str | None


@dataclass(frozen=True, slots=True)
class NewDrives:
    """The drives at a config's addresses that are to be scanned.

    Attributes:
        drives: those that no release holds with all their frames.
        left_out: by address, why a drive cannot be scanned.
    """

    drives: tuple[NightDrive, ...]
    left_out: dict[str, str]


def find_new(addresses: Iterable[str], runs: pa.Table, *, zone: ZoneInfo, now: datetime) -> NewDrives:
    """Addresses -> the drives there of which no release holds every frame.

    Of a drive that was scanned whole within `LOOKED_AGAIN` its manifest is read, as it may have been ingested anew; of
    one scanned before, nothing, so that a night costs the same after years: whoever ingests that one anew names the
    drive itself, or runs `roadscan scan`. Which model it was scanned with does not matter: a new one is for new drives,
    and `roadscan scan` scans the old ones again. A drive that cannot be used keeps no other one back.

    Args:
        addresses: drives, or folders of drives.
        runs: the released `runs`, with the columns of `ASKED`.
        zone: the department's time zone.
        now: a drive that begins later has a wrong clock.

    Raises:
        SurveyError: nothing at an address.
        StorageError: the store did not answer for what is there.
    """
    whole = runs.filter(pc.equal(runs["frames_failed"], 0))
    done = set(whole["drive_sha256"].to_pylist())
    settled = set(whole.filter(pc.less(whole["finished_at"], pa.scalar(now - LOOKED_AGAIN)))["drive_uri"].to_pylist())
    known = set(runs["drive_uri"].to_pylist())
    new: dict[str, NightDrive] = {}
    owner: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for address in addresses:
        odd: dict[str, str] = {}
        found = find_drives(address, known=known, left_out=odd)
        left_out |= odd
        if not found and not odd:
            raise SurveyError(f"scan.drives: no drive at {address}; expected drives, or a folder of drives")
        is_named = found == [open_store(address).uri]
        for uri in found:
            if uri in settled and not is_named:
                continue
            with leaving_out(left_out, uri):
                if sha256_hex(read_manifest(open_store(uri))) in done:
                    continue
                drive = read_drive(uri)
                check_identity(runs, drive)
                if owner.setdefault(drive.drive_id, drive.uri) != drive.uri:
                    raise SurveyError(f"drive_id {drive.drive_id!r} is taken by {owner[drive.drive_id]}")
                new[drive.uri] = _night_drive(drive, zone, now)
    return NewDrives(tuple(new.values()), left_out)


def _night_drive(drive: Drive, zone: ZoneInfo, now: datetime) -> NightDrive:
    first: datetime | None = pc.min(drive.frames["captured_at"]).as_py()
    if first is None and pc.any(pc.match_substring(drive.frames["reason"], AHEAD)).as_py():
        raise SurveyError(f"the time of its frames {AHEAD}; correct its clock")
    if first is not None and first > now:
        raise SurveyError(f"its first frame is of {first.isoformat()}, which {AHEAD}; correct its clock")
    began = None if first is None else first.astimezone(zone).date().isoformat()
    return NightDrive(drive.drive_id, drive.uri, drive.sha256, drive.frames.num_rows, began)


def began(drive: NightDrive) -> date | None:
    """A drive -> the date on which it began; None where no frame has a time."""
    return None if drive.began is None else date.fromisoformat(drive.began)
