"""Reading and writing one warehouse: its releases, and the tables of each."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.disk import disk_errors
from roadscan.errors import Conflict, Malformed, NotFound, RoadscanError, StorageError, WarehouseError
from roadscan.parsing import parquet_file, read_json, read_parquet
from roadscan.schemas import TABLES
from roadscan.storage import MAX_RECORD_BYTES, DiskStore, Store, arrow_filesystem, open_store, reach
from roadscan.warehouse import release as releases
from roadscan.warehouse.cache import local_copies
from roadscan.warehouse.extents import DriveExtents, overlapping
from roadscan.warehouse.files import (
    DataFile,
    conform,
    data_file,
    encode,
    encode_parts,
    read_parts,
    schema_of,
    verified,
)
from roadscan.warehouse.latest import bring_latest
from roadscan.warehouse.log import TableLog, no_files, to_data_files
from roadscan.warehouse.release import Change, Entry, Pointer, Release

if TYPE_CHECKING:
    import pyarrow.dataset as ds

LOG = logging.getLogger(__name__)
POINTER = "current.json"
STAGING = "staging"
SURVEYED = ("frames", "observations")  # what drives are read for
PUBLISH_TRIES = 20  # of two concurrent publishers one loses each round, so 20 rounds serve 20 publishers


class Warehouse:
    """Reader and writer of one warehouse.

    Args:
        uri: its root, ``s3://bucket/prefix`` or a folder.
    """

    def __init__(self, uri: str) -> None:
        self.store: Store = open_store(uri)
        self._logs = {table: TableLog(self.store, table) for table in TABLES}
        self._extents: tuple[int | None, DriveExtents] | None = None
        #: By file on this disk its size and time when its digest was right.
        self._checked: dict[str, tuple[int, int]] = {}

    # Releases

    def current(self) -> Release:
        """The current release; an empty one where nothing was ever published."""
        return self._current()[0]

    def pointed(self) -> tuple[Release, Entry | None]:
        """The current release, and where it stands; an empty one and None where nothing was ever published."""
        release, entry, _ = self._current()
        return release, entry

    def published(self) -> Release:
        """The current release, for those who only read.

        Raises:
            WarehouseError: nothing was ever published here, as at an address with a spelling mistake.
        """
        release = self.current()
        if not release.number:
            raise WarehouseError(
                f"{self.store.uri}: no warehouse here, {POINTER} is missing; expected the address that "
                "'roadscan scan' or 'roadscan inventory' was given as warehouse"
            )
        return release

    def as_of(self, moment: datetime) -> Release:
        """The release that was current at a moment (aware, any zone).

        Raises:
            WarehouseError: nothing had been published by then, or that release was let go of.
        """
        release = self.current()
        if release.number and datetime.fromisoformat(release.created_at) <= moment:
            return release
        entries = release.months + release.month
        older = [entry for entry in entries if datetime.fromisoformat(entry.created_at) <= moment]
        if len(older) < len(release.months):  # the month's last release is later: what was before it, it knows
            older += [
                entry
                for entry in self.at(release.months[len(older)]).month
                if datetime.fromisoformat(entry.created_at) <= moment
            ]
        if not older:
            raise WarehouseError(f"{self.store.uri}: nothing was published by {moment.isoformat()}")
        return self.at(older[-1])

    def history(self) -> Iterator[Release]:
        """Every release that is kept, from the current one back."""
        current = self.current()
        if current.number:
            yield current
        for entry in self.entries(current):
            if self.store.exists(entry.path):
                yield self.at(entry)

    def entries(self, current: Release) -> Iterator[Entry]:
        """Every release before the current one, the newest first; also those that were let go of."""
        yield from reversed(current.month)
        for last in reversed(current.months):
            yield last
            yield from reversed(self.at(last).month)

    def before(self, release: Release) -> Release:
        """The release that a release followed; an empty one before the first."""
        return self.at(release.parent) if release.parent else Release()

    def at(self, entry: Entry) -> Release:
        """The release of an entry.

        Raises:
            WarehouseError: it was let go of, or another version of roadscan wrote it.
        """
        try:
            data = self.store.read(entry.path, sha256=entry.sha256)
            format_ = read_json(data).get("format")
        except NotFound:
            raise self._let_go(entry) from None
        except Malformed as error:
            raise WarehouseError(f"{self.store.uri_of(entry.path)}: not a release ({error})") from None
        if format_ == releases.OLD_FORMAT:
            raise WarehouseError(
                f"{self.store.uri}: a warehouse of roadscan 0.1; run: roadscan migrate {self.store.uri}"
            )
        if format_ != releases.FORMAT:
            raise WarehouseError(f"{self.store.uri_of(entry.path)}: written by a newer roadscan; upgrade to read it")
        return read_json(data, Release)

    def publish(self, change: Callable[[Release], Change | None]) -> Release:
        """Make a new release and move the pointer to it.

        Args:
            change: what the next release differs in from the current one, or None to publish nothing. Called again
                with a newer one when another publisher was first.

        Returns:
            The release that is current now.

        Raises:
            Conflict: others won every round.
            WarehouseError: the release that files come from was let go of meanwhile.
        """
        for _ in range(PUBLISH_TRIES):
            base, entry, tag = self._current()
            wanted = change(base)
            if wanted is None:
                self._settle()
                return base
            new = self._next(base, entry, wanted)
            if wanted.source and not self.store.exists(wanted.source.path):  # see `upkeep`
                raise self._let_go(wanted.source)
            data, place = releases.encode(new)
            self.store.create(place.path, data)
            pointer = json.dumps({"release": new.number, "path": place.path, "sha256": place.sha256}).encode()
            try:
                if tag is None:
                    self.store.create(POINTER, pointer)
                else:
                    self.store.swap(POINTER, pointer, tag=tag)
            except Conflict:
                continue
            LOG.info("%s: published release %d: %s", self.store.uri, new.number, new.note)
            self._settle()
            return new
        raise Conflict(f"{self.store.uri}: other runs published {PUBLISH_TRIES} times in a row; run again")

    # Tables

    def files(
        self,
        release: Release,
        table: str,
        *,
        drive_id: str | None = None,
        folder: str = "",
        between: tuple[str, Any, Any] | None = None,
        paths: Collection[str] | None = None,
    ) -> list[DataFile]:
        """The files of a table in a release, in order of their paths.

        Args:
            release: which state.
            table: name in `TABLES`.
            drive_id: only those that may have rows of this drive.
            folder: only those in this sub-folder, as of `write`.
            between: only those that may have values of a column from one to another, by the log's statistics.
            paths: only those with one of these paths.
        """
        files = self._listed(release, table)
        if paths is not None:
            files = files.filter(pc.is_in(files["path"], pa.array(sorted(paths), pa.string())))
        if between is not None:
            files = overlapping(files, *between)
        if folder:
            files = files.filter(pc.starts_with(files["path"], f"{table}/{folder}/"))
        if drive_id is not None and table in SURVEYED:
            files = self._drives(release).files_of(files, drive_id)
        elif drive_id is not None:
            files = overlapping(files, "drive_id", drive_id, drive_id)
        return to_data_files(table, files)

    def paths(self, release: Release, table: str) -> list[str]:
        """The paths of a table's files in a release, in order; of very many files much faster than `files`."""
        return list(self._listed(release, table)["path"].to_pylist())

    def read(
        self, release: Release, table: str, *, drive_id: str | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """All rows of a table in a release, verified; columns that an older file lacks are null.

        Args:
            release: which state.
            table: name in `TABLES`.
            drive_id: only that drive's rows; of an object store only their row groups are fetched.
            columns: only these columns.
        """
        schema = schema_of(table, columns)
        if drive_id is None:
            return self.read_files(self.files(release, table), table, columns)
        of_drive = pc.field("drive_id") == drive_id
        if not isinstance(self.store, DiskStore):
            with self._scan_errors(table):
                return conform(self.dataset(release, table).to_table(schema.names, filter=of_drive), schema)
        parts = [
            conform(read_parquet(path, columns=_there(path, schema), filters=of_drive), schema)
            for path in self.local_files(self.files(release, table, drive_id=drive_id))
        ]
        return pa.concat_tables([schema.empty_table(), *parts])

    def read_files(
        self,
        files: Iterable[DataFile],
        table: str,
        columns: Sequence[str] | None = None,
        *,
        keep: Callable[[pa.Table], pa.Table] = lambda rows: rows,
    ) -> pa.Table:
        """The rows of some files of a table, released or not, verified; as many as `keep` keeps of each part."""
        schema = schema_of(table, columns)
        return pa.concat_tables([schema.empty_table(), *self._parts(files, schema, keep)])

    def write(self, table: str, rows: pa.Table, *, folder: str = "") -> DataFile:
        """Write one data file; invisible until a release's version of the table names it.

        Args:
            table: name in `TABLES`; the rows are cast to its schema and keep their own metadata besides.
            rows: the table.
            folder: sub-folder of the table, e.g. ``survey_date=2026-11-28``; may be empty.
        """
        return self._write(table, rows, _start(table, folder))

    def rewrite(
        self, table: str, files: Iterable[DataFile], keep: Callable[[pa.Table], pa.Table], more: pa.Table
    ) -> DataFile:
        """Write one data file, as `write` does, of rows of others and of new ones; few rows are held at a time.

        Args:
            table: as of `write`.
            files: whose rows are written again, verified …
            keep: … as far as this keeps them.
            more: rows that follow.
        """
        data, rows = encode_parts(table, chain(self._parts(files, TABLES[table], keep), [more]))
        return self._save(table, data, rows, _start(table))

    def stage(self, table: str, rows: pa.Table, key: str) -> DataFile:
        """Write rows that are not published as they are; `roadscan.warehouse.drives` puts them together.

        Args:
            table: as of `write`.
            rows: as of `write`.
            key: what their key begins with, below `STAGING`.
        """
        return self._write(table, rows, f"{STAGING}/{key}")

    def log(self, table: str) -> TableLog:
        """The log of a table."""
        return self._logs[table]

    def replacement(self, release: Release, files: Sequence[DataFile], note: str, tables: Iterable[str] = ()) -> Change:
        """The change that makes these files the only ones of their tables, and leaves other `tables` without any."""
        touched = {file.table for file in files}.union(tables)
        old = [file for table in sorted(touched) for file in self.files(release, table)]
        return Change(note, tuple(files), tuple(old))

    def dataset(self, release: Release, table: str, *, where: pc.Expression | None = None) -> ds.Dataset:
        """A table for engines that read only what a question needs: files by the log's statistics, then row groups.

        On a disk each file that is scanned was verified once. Of an object store files are not read whole, so no digest
        is checked, but the checksum of each page.

        Args:
            release: which state.
            table: name in `TABLES`.
            where: only rows that pass are scanned; for what engines do not tell, as of numbers that may be NaN.
        """
        from roadscan.warehouse.scanning import PrunedDataset, let_through

        system, root = arrow_filesystem(self.store.uri)

        def choose(question: pc.Expression | None) -> pa.Table:
            files = self._listed(release, table)
            if question is None or table not in SURVEYED:
                return files
            drives = self._drives(release)
            chosen = let_through(question, drives.ids, TABLES[table])
            if chosen is None:
                return files
            paths = {path for drive_id in chosen for path in drives.files_of(files, drive_id)["path"].to_pylist()}
            return files.filter(pc.is_in(files["path"], pa.array(sorted(paths), pa.string())))

        check = self._check if isinstance(self.store, DiskStore) else None
        return PrunedDataset(choose, TABLES[table], system, root, where, check)

    def local_files(self, files: Iterable[DataFile]) -> list[Path]:
        """Verified paths on this machine for data files, for engines that open files themselves.

        A warehouse on disk gives its own files, each verified once, and again when its size or time is another one.
        From an object store each file is fetched once, verified, and kept in a cache (`roadscan.warehouse.cache`).
        """
        if not isinstance(self.store, DiskStore):
            return local_copies(self.store, list(files))
        return [self._check(file.path) for file in files]

    def _check(self, key: str) -> Path:
        """The path of a data file of a warehouse on disk; its content was that of its name when it was last written."""
        assert isinstance(self.store, DiskStore)
        path = self.store.path(key)
        with disk_errors(path):
            stat = path.stat()
        if self._checked.get(key) != (stat.st_size, stat.st_mtime_ns):
            verified(self.store, key)
            self._checked[key] = stat.st_size, stat.st_mtime_ns
        return path

    def _listed(self, release: Release, table: str) -> pa.Table:
        """The files of a table, as of `TableLog.files`."""
        return self._logs[table].files(release.tables[table]) if release.has(table) else no_files()

    def _drives(self, release: Release) -> DriveExtents:
        """When and where the drives of a release have rows."""
        version = release.version("runs")
        if self._extents is None or self._extents[0] != version:
            schema = schema_of("runs", ["drive_id", "started_at", "ended_at", "bbox"])
            files = self.local_files(self.files(release, "runs"))
            parts = [conform(read_parquet(path, columns=_there(path, schema)), schema) for path in files]
            self._extents = version, DriveExtents(pa.concat_tables([schema.empty_table(), *parts]))
        return self._extents[1]

    @contextmanager
    def _scan_errors(self, table: str) -> Iterator[None]:
        """Arrow's errors as roadscan's: it has one for all, so the store is asked."""
        try:
            yield
        except OSError as error:
            reach(self.store)
            raise StorageError(f"{self.store.uri_of(table)}: a file cannot be read: {error}") from None

    def _parts(
        self, files: Iterable[DataFile], schema: pa.Schema, keep: Callable[[pa.Table], pa.Table]
    ) -> Iterator[pa.Table]:
        return (keep(part) for file in files for part in read_parts(self.store, file, schema))

    def _write(self, table: str, rows: pa.Table, start: str) -> DataFile:
        data, cast = encode(table, rows)
        return self._save(table, data, cast, start)

    def _save(self, table: str, data: bytes, rows: pa.Table, start: str) -> DataFile:
        file = data_file(table, start, data, rows)
        self.store.write(file.path, data)
        pa.default_memory_pool().release_unused()  # as `read_parts` does
        LOG.debug("%s: wrote %d rows", self.store.uri_of(file.path), file.rows)
        return file

    # The way of a publish

    def _next(self, base: Release, entry: Entry | None, wanted: Change) -> Release:
        """The next release, its tables' versions committed; nothing points to it yet."""
        new = releases.successor(base, entry, datetime.now(UTC))
        tables = dict(base.tables)
        for table in wanted.tables:
            add, remove = wanted.of(table)
            if add or remove or table not in tables:
                tables[table] = self._logs[table].commit(tables.get(table), add, remove, wanted.note)
        return replace(new, note=wanted.note, tables=tables)

    def _settle(self) -> None:
        """Bring the current release to other programs; what a run that died or failed left out, the next one brings.

        Of publishers that settle at a time the last one has to have settled what is current: so it is asked again.
        """
        try:
            settled = None
            for _ in range(PUBLISH_TRIES):
                release = self.current()
                if release == settled:
                    return
                for table, version in release.tables.items():
                    self._logs[table].align(version)
                    self._logs[table].checkpoint(version.version)
                with suppress(Conflict):  # another one settles, too
                    if release.has("assets"):
                        bring_latest(self, release)
                    settled = release
        except RoadscanError as error:
            LOG.warning("%s: other programs may not see the newest release yet: %s", self.store.uri, error)

    def _let_go(self, entry: Entry) -> WarehouseError:
        return WarehouseError(
            f"{self.store.uri}: release {entry.number} was let go of; the last one of each month is kept"
        )

    def _current(self) -> tuple[Release, Entry | None, str | None]:
        """The current release, where its manifest is, and the pointer's tag; None where there is no pointer yet."""
        try:
            data, tag = self.store.read_tagged(POINTER, max_bytes=MAX_RECORD_BYTES)
        except NotFound:
            return Release(), None, None
        try:
            pointer = read_json(data, Pointer)
        except Malformed as error:
            raise WarehouseError(
                f"{self.store.uri_of(POINTER)}: not a release pointer ({error}); restore the version of it that the "
                "bucket or a backup has"
            ) from None
        entry = Entry(pointer.release, "", pointer.path, pointer.sha256)
        release = self.at(entry)
        return release, replace(entry, created_at=release.created_at), tag


def _start(table: str, folder: str = "") -> str:
    """What the path of a table's file begins with."""
    return "/".join(filter(None, (table, folder, table.replace("_", "-"))))


def _there(path: Path, schema: pa.Schema) -> list[str]:
    """The schema's columns that a file has, and what rows are chosen by."""
    with parquet_file(path) as file:
        names = file.schema_arrow.names
    return [name for name in schema.names if name in names]
