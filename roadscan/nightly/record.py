"""The record of a night: ``nights/2026-11-01.json`` in the warehouse.

It is written when a night begins, with its drives, and replaced when each of their frames is in a release. So a run
that takes over from one that died knows which drives are the night's, and anyone finds the night's release by its date.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime

from roadscan.errors import Malformed, NotFound, WarehouseError
from roadscan.nightly.drives import NightDrive
from roadscan.parsing import read_json
from roadscan.storage import MAX_RECORD_BYTES, Store
from roadscan.warehouse import Release

FORMAT = "roadscan.night/1"
FOLDER = "nights/"


@dataclass(frozen=True, slots=True)
class NightRecord:
    """A night.

    Attributes:
        night: ISO 8601 date.
        drives: in the order of their ids.
        release: number of the release that holds all of them and their register; None until then.
        as_of: for ``roadscan query --as-of``: the first whole second at which that release was there; UTC.
        begun_at: ISO 8601, UTC: when the first run of it began; None of what an earlier version wrote.
    """

    night: str
    drives: tuple[NightDrive, ...] = ()
    release: int | None = None
    as_of: str | None = None
    begun_at: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every frame of its drives is in its release."""
        return self.release is not None

    def with_drives(self, new: Iterable[NightDrive]) -> NightRecord:
        """The record with more drives, and so open again; a drive that was ingested anew replaces the old one.

        Without any, the record itself.
        """
        drives = {drive.drive_id: drive for drive in (*self.drives, *new)}
        taken = tuple(drives[name] for name in sorted(drives))
        if taken == self.drives:
            return self
        return NightRecord(self.night, taken, begun_at=None if self.complete else self.begun_at)

    def begun(self, now: datetime) -> NightRecord:
        """The record, begun now, unless an earlier run began it."""
        return self if self.begun_at else replace(self, begun_at=now.astimezone(UTC).isoformat())

    def released(self, release: Release) -> NightRecord:
        """The record, complete, with this release."""
        return replace(self, release=release.number, as_of=_whole_second(release.created_at))


def _whole_second(moment: str) -> str | None:
    """A moment -> the first whole second after it, as ``--as-of`` reads it.

    >>> _whole_second("2026-11-01T19:12:44.250000+00:00")
    '2026-11-01T19:12:45'
    """
    if not moment:  # of the empty warehouse
        return None
    second = math.ceil(datetime.fromisoformat(moment).timestamp())
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()


def read_record(store: Store, night: date) -> tuple[NightRecord, str] | None:
    """A night's record and its tag; None where the night was never begun.

    Raises:
        WarehouseError: the object is no record, or a newer roadscan's.
    """
    key = _key(night.isoformat())
    try:
        data, tag = store.read_tagged(key, max_bytes=MAX_RECORD_BYTES)
    except NotFound:
        return None
    try:
        if read_json(data).get("format") != FORMAT:
            raise Malformed("of another version")
        return read_json(data, NightRecord), tag
    except Malformed as error:
        raise WarehouseError(
            f"{store.uri_of(key)}: not a night's record that this version reads ({error}); upgrade, or remove it"
        ) from None


def write_record(store: Store, record: NightRecord, tag: str | None) -> str:
    """Write a record in place of the one that was read, or of none -> its new tag.

    Raises:
        Conflict: another run wrote it meanwhile.
    """
    data, key = json.dumps({"format": FORMAT, **asdict(record)}, indent=1).encode(), _key(record.night)
    return store.create(key, data) if tag is None else store.swap(key, data, tag=tag)


def nights_begun(store: Store) -> set[date]:
    """The nights that have a record."""
    begun = set[date]()
    for key in store.keys(FOLDER):
        with suppress(ValueError):  # an object of somebody else's
            begun.add(date.fromisoformat(key.removeprefix(FOLDER).removesuffix(".json")))
    return begun


def _key(night: str) -> str:
    return f"{FOLDER}{night}.json"
