"""Releases: which version of each table belongs together, and the way back to any moment.

A release knows those of its own month before it, and the last one of every month before. So what was current at any
moment is found with two reads more than the current one, after years of nights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from roadscan.storage import sha256_hex
from roadscan.warehouse.files import DataFile
from roadscan.warehouse.log import TableVersion

FORMAT = "roadscan.release/2"
OLD_FORMAT = "roadscan.release/1"


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a release stands.

    Attributes:
        number, created_at: of the release.
        path: key of its manifest.
        sha256: of its manifest.
    """

    number: int
    created_at: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Pointer:
    """What the warehouse's one object that changes says: which release is current, and where its manifest is."""

    release: int
    path: str
    sha256: str


@dataclass(frozen=True)
class Release:
    """One published state of the whole warehouse.

    Attributes:
        number: 0 for the empty warehouse, then 1, 2, …
        created_at: ISO 8601, UTC.
        note: what the release brought, for people.
        tables: the version of each table that was ever written.
        month: releases of the same month (UTC) before this one, the oldest first.
        months: the last release of each month before.
    """

    number: int = 0
    created_at: str = ""
    note: str = ""
    tables: Mapping[str, TableVersion] = field(default_factory=dict)
    month: tuple[Entry, ...] = ()
    months: tuple[Entry, ...] = ()

    @property
    def parent(self) -> Entry | None:
        """The release before; None for the first."""
        return (self.months + self.month)[-1] if self.month or self.months else None

    def has(self, table: str) -> bool:
        """Whether the table was ever written, with rows or without."""
        return table in self.tables

    def version(self, table: str) -> int | None:
        """The table's version; None where it was never written. Equal versions are equal tables."""
        return self.tables[table].version if table in self.tables else None

    def rows(self, table: str) -> int:
        """Rows of a table."""
        return self.tables[table].rows if table in self.tables else 0


@dataclass(frozen=True)
class Change:
    """What the next release differs in.

    Attributes:
        note: what it brings, for people.
        add, remove: data files, of any tables.
        source: the release that `add` takes older files from; None where all of them were just written.
    """

    note: str
    add: tuple[DataFile, ...] = ()
    remove: tuple[DataFile, ...] = ()
    source: Entry | None = None

    @property
    def tables(self) -> list[str]:
        """The tables that it touches."""
        return sorted({file.table for file in (*self.add, *self.remove)})

    @property
    def differs(self) -> bool:
        """Whether any table gets other rows."""
        return any(any(self.of(table)) for table in self.tables)

    def of(self, table: str) -> tuple[list[DataFile], list[DataFile]]:
        """What is added to a table and what removed, without pairs of equal rows: of these the older file stays."""
        remove = {file.path: file for file in self.remove if file.table == table}
        standing = {file.content: file.path for file in remove.values()}
        add = []
        for file in {file.path: file for file in self.add if file.table == table}.values():
            same = file.path if file.path in remove else standing.get(file.content, "")
            if remove.pop(same, None) is None:
                add.append(file)
        return add, list(remove.values())


def successor(base: Release, base_entry: Entry | None, now: datetime) -> Release:
    """The next release's number, time and way back; its tables are those of `base`.

    It is later than `base` even where this clock is behind that of whoever wrote that.
    """
    month, months = base.month, base.months
    if base_entry is not None:
        now = max(now, datetime.fromisoformat(base.created_at) + timedelta(microseconds=1))
        if datetime.fromisoformat(base.created_at).strftime("%Y-%m") == now.strftime("%Y-%m"):
            month = (*month, base_entry)
        else:
            month, months = (), (*months, base_entry)
    return Release(base.number + 1, now.isoformat(), base.note, dict(base.tables), month, months)


def encode(release: Release) -> tuple[bytes, Entry]:
    """A release -> its manifest, and where that belongs."""
    data = json.dumps({"format": FORMAT, **asdict(release)}, indent=1).encode()
    digest = sha256_hex(data)
    return data, Entry(release.number, release.created_at, f"releases/{release.number:08d}-{digest[:16]}.json", digest)
