"""Releases kept and let go of: what changed between two, an older one restored, and files that no kept one needs.

Kept are the current release, every release of the last `days`, and the last one of each month for ever.

A vacuum needs no lock, on any store that shows a write to whoever asks afterwards (S3, a local disk):

- A key is written once. So an old file that no kept release has is not one that a publisher is about to name: that one
  is new, and new files are spared.
- Only `restore` names old files again. It does so in the logs first, then asks whether the release that has them still
  stands, and only then moves the pointer. A vacuum deletes releases first, and then reads the logs. So either it reads
  there what the restore needs, or the restore finds its release gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from roadscan.errors import WarehouseError
from roadscan.schemas import TABLES
from roadscan.storage import Entry as StoreEntry
from roadscan.warehouse.release import Change, Entry, Release
from roadscan.warehouse.warehouse import STAGING, Warehouse

KEPT_DAYS = 90
STAGING_DAYS = 7
OLD_COMMITS = "commits"  # of scans of roadscan 0.1, whose place `STAGING` took
DECIDED = ("reviews",)  # what people decided, which no restore takes back


@dataclass(frozen=True)
class Difference:
    """What a table has more or less in one release than in another."""

    table: str
    rows: int
    files_added: int
    files_removed: int


@dataclass(frozen=True)
class Vacuumed:
    """What was let go of, or would be.

    Attributes:
        releases: manifests.
        files: data files that no kept release needs, and what no release ever named: staged files, manifests of
            publishers that lost, commits of roadscan 0.1, what is left of writes that were killed.
        bytes: of those files.
    """

    releases: int
    files: int
    bytes: int


def find_release(warehouse: Warehouse, number: int) -> Release:
    """A release by its number.

    Raises:
        WarehouseError: there is none, or it was let go of.
    """
    return warehouse.at(_find(warehouse, number))


def difference(warehouse: Warehouse, old: Release, new: Release) -> list[Difference]:
    """What each table has in `new` that it had not in `old`; equal tables are left out."""
    found = []
    for table in TABLES:
        if old.version(table) != new.version(table):
            before, after = ({file.path for file in warehouse.files(one, table)} for one in (old, new))
            rows = new.rows(table) - old.rows(table)
            found.append(Difference(table, rows, len(after - before), len(before - after)))
    return found


def restore(warehouse: Warehouse, number: int) -> Release:
    """Publish an older release's tables again, as the newest one.

    What reviewers decided stays, and so do the releases between. The next inventory run applies the reviews again.

    Raises:
        WarehouseError: there is no such release, or it was let go of.
    """
    entry = _find(warehouse, number)
    wanted = warehouse.at(entry)

    def change(release: Release) -> Change | None:
        tables = [table for table in TABLES if table not in DECIDED and release.has(table)]
        add = [file for table in tables for file in warehouse.files(wanted, table)]
        remove = [file for table in tables for file in warehouse.files(release, table)]
        made = Change(f"restored {number}", tuple(add), tuple(remove), entry)
        return made if made.differs else None

    return warehouse.publish(change)


def vacuum(
    warehouse: Warehouse,
    *,
    days: int = KEPT_DAYS,
    staging_days: int = STAGING_DAYS,
    dry_run: bool = False,
    now: datetime | None = None,
) -> Vacuumed:
    """Delete what no kept release needs. Two at a time do no harm; one that dies is run again.

    Args:
        warehouse: whose.
        days: releases younger than this are kept, for readers that have one open, too.
        staging_days: files written later are not deleted: a run that is under way may need them. What a scan has staged
            goes as a whole, when the last of it is that old.
        dry_run: only count.
        now: the time; None for this moment.
    """
    now = now or datetime.now(UTC)
    current = warehouse.published()
    kept, gone = _sorted_out(warehouse, current, now - timedelta(days=days))
    before = now - timedelta(days=staging_days)
    releases = [entry.path for entry in gone if warehouse.store.exists(entry.path)]
    if not dry_run:
        for path in releases:
            warehouse.store.delete(path)
    files = _staged(warehouse, before) | _forsaken(warehouse, before)
    files |= {entry.key: entry.size for entry in warehouse.store.unfinished() if entry.written_at < before}
    for table in TABLES:
        files |= _unneeded(warehouse, table, kept, before)
    if not dry_run:
        for path in files:
            warehouse.store.delete(path)
    return Vacuumed(len(releases), len(files), sum(files.values()))


def _find(warehouse: Warehouse, number: int) -> Entry:
    current = warehouse.published()
    for entry in _chain(warehouse):
        if entry.number == number:
            return entry
    raise WarehouseError(f"release: got {number}; {warehouse.store.uri} has 1 to {current.number}")


def _chain(warehouse: Warehouse) -> Iterator[Entry]:
    """Where every release stands, from the current one back; also those that were let go of."""
    current, entry = warehouse.pointed()
    yield from filter(None, (entry, *warehouse.entries(current)))


def _staged(warehouse: Warehouse, before: datetime) -> dict[str, int]:
    """What scans staged of which nothing was written lately, with sizes; commits first: they say what is there."""
    scans: dict[str, list[StoreEntry]] = {}
    for entry in warehouse.store.entries(f"{STAGING}/"):
        scans.setdefault(entry.key.split("/")[1], []).append(entry)
    old = [entry for files in scans.values() if max(one.written_at for one in files) < before for entry in files]
    return {entry.key: entry.size for entry in sorted(old, key=lambda entry: not entry.key.endswith(".json"))}


def _forsaken(warehouse: Warehouse, before: datetime) -> dict[str, int]:
    """Manifests that lost the pointer to another one, and commits of roadscan 0.1, with sizes."""
    old = {
        entry.key: entry.size
        for folder in ("releases", OLD_COMMITS)
        for entry in warehouse.store.entries(f"{folder}/")
        if entry.written_at < before
    }
    named = {entry.path for entry in _chain(warehouse)}  # after the listing: what was just published is known, too
    return {key: size for key, size in old.items() if key not in named}


def _sorted_out(warehouse: Warehouse, current: Release, since: datetime) -> tuple[list[Release], list[Entry]]:
    """The releases to keep, and where those are that go."""
    lasting = {entry.number for entry in current.months}
    kept, gone = [current], []
    for entry in warehouse.entries(current):
        if entry.number in lasting or datetime.fromisoformat(entry.created_at) >= since:
            kept.append(warehouse.at(entry))
        else:
            gone.append(entry)
    return kept, gone


def _unneeded(warehouse: Warehouse, table: str, kept: list[Release], before: datetime) -> dict[str, int]:
    """Data files of a table that no kept release needs and that were not written lately, with their sizes.

    What a version after the newest release names belongs to a run that is under way.
    """
    versions = {version for one in kept if (version := one.version(table)) is not None}
    needed: set[str] = set()
    live: set[str] = set()
    for version, (added, removed) in enumerate(warehouse.log(table).history()):
        live = live - removed | added
        if version in versions or version > max(versions, default=-1):
            needed |= live
    return {
        entry.key: entry.size
        for entry in warehouse.store.entries(f"{table}/")
        if entry.key.endswith(".parquet")
        and "/_delta_log/" not in entry.key
        and entry.key not in needed
        and entry.written_at < before
    }
