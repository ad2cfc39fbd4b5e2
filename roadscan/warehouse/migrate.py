"""A warehouse of roadscan 0.1 -> one of today: the same data files and releases, in logs that do not grow with history.

Release manifests of 0.1 named every file. Their history is written into the tables' logs, and a release beside each old
one; the pointer moves last, so that readers see the old warehouse or the new one. Only `runs` is written again, with
when and where each drive was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from roadscan.errors import Malformed, NotFound, WarehouseError
from roadscan.parsing import parsing, read_json
from roadscan.progress import OnProgress, Progress, silent
from roadscan.schemas import RUNS, TABLES
from roadscan.storage import Store, arrow_filesystem, reach
from roadscan.warehouse import release as releases
from roadscan.warehouse.drives import extent
from roadscan.warehouse.files import NARROWED, DataFile, statistics
from roadscan.warehouse.log import TableLog
from roadscan.warehouse.release import Entry, Pointer, Release
from roadscan.warehouse.warehouse import POINTER, Warehouse


@dataclass(frozen=True)
class Migrated:
    """What a migration did: how many releases and files it took over; none where nothing was to do."""

    releases: int
    files: int


@dataclass(frozen=True)
class _OldFile:
    table: str
    path: str
    rows: int
    bytes: int
    drive_id: str | None


@dataclass(frozen=True)
class _OldManifest:
    number: int
    created_at: str
    note: str
    files: tuple[_OldFile, ...]
    parent: str | None


@dataclass(frozen=True)
class _OldRelease:
    number: int
    created_at: str
    note: str
    files: Mapping[str, _OldFile]  # by path


def migrate(uri: str, on_progress: OnProgress = silent) -> Migrated:
    """Make a warehouse of roadscan 0.1 one that this version reads and writes.

    What died half-way is begun again. A scan that was under way is scanned again by the next one.

    Args:
        uri: the warehouse's root.
        on_progress: called after every file that was looked at.

    Raises:
        WarehouseError: there is no warehouse.
        Conflict: another program published meanwhile; run again.
    """
    warehouse = Warehouse(uri)
    store = warehouse.store
    try:
        data, tag = store.read_tagged(POINTER)
    except NotFound:
        raise WarehouseError(f"{store.uri}: no warehouse here, {POINTER} is missing") from None
    try:
        path = read_json(data, Pointer).path
    except Malformed:
        raise WarehouseError(f"{store.uri_of(POINTER)}: not a release pointer") from None
    old = _old_releases(store, path)
    if not old:
        return Migrated(0, 0)
    files = _with_statistics(store, old, on_progress)
    made, entry = Release(), None
    for one in old:
        made = _migrated(warehouse, made, entry, one, files, _runs(warehouse, one, files))
        manifest, entry = releases.encode(made)
        store.create(entry.path, manifest)
    assert entry is not None
    pointer = {"release": made.number, "path": entry.path, "sha256": entry.sha256}
    store.swap(POINTER, json.dumps(pointer).encode(), tag=tag)
    return Migrated(len(old), len(files))


def _old_releases(store: Store, path: str | None) -> list[_OldRelease]:
    """All releases of 0.1, the first one first; none where the current one is of today."""
    found = []
    while path:
        data = store.read(path)
        try:
            if read_json(data).get("format") != releases.OLD_FORMAT:
                return []
            one = read_json(data, _OldManifest)
        except Malformed as error:
            raise WarehouseError(f"{store.uri_of(path)}: not a release ({error})") from None
        found.append(_OldRelease(one.number, one.created_at, one.note, {file.path: file for file in one.files}))
        path = one.parent
    return found[::-1]


def _with_statistics(store: Store, old: Iterable[_OldRelease], on_progress: OnProgress) -> dict[str, DataFile]:
    """Every file that a release names, with what its footer tells."""
    named = {path: file for one in old for path, file in one.files.items()}
    system, root = arrow_filesystem(store.uri)
    files = {}
    for done, (path, file) in enumerate(sorted(named.items()), 1):
        try:
            with parsing("Parquet"):
                footer = pq.read_metadata(f"{root}/{path}", filesystem=system)  # noqa: TID251 - of large files the end
        except Malformed as error:
            reach(store)
            raise WarehouseError(f"{store.uri_of(path)}: {error}") from None
        files[path] = DataFile(file.table, path, file.rows, file.bytes, _footer_statistics(footer))
        on_progress(Progress("migrate", done, len(named), "files"))
    return files


def _footer_statistics(footer: pq.FileMetaData) -> str:
    ranges: dict[str, tuple[Any, Any]] = {}
    nulls: dict[str, int | None] = {}
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            told = column.statistics
            name = column.path_in_schema
            if name not in NARROWED:
                continue
            before = nulls.get(name, 0)
            known = told is not None and told.has_null_count and before is not None
            nulls[name] = before + told.null_count if known else None
            if told is not None and told.has_min_max:
                low, high = ranges.get(name, (told.min, told.max))
                ranges[name] = min(low, told.min), max(high, told.max)
    return statistics(footer.num_rows, ranges, nulls)


def _migrated(
    warehouse: Warehouse,
    base: Release,
    entry: Entry | None,
    old: _OldRelease,
    files: Mapping[str, DataFile],
    runs: DataFile | None,
) -> Release:
    """The old release as one that follows `base`."""
    new = releases.successor(base, entry, datetime.fromisoformat(old.created_at))
    tables = dict(base.tables)
    for table in TABLES:
        wanted = [files[path] for path, file in old.files.items() if file.table == table]
        if table == "runs" and runs:
            wanted = [runs]
        standing = tables.get(table)
        log = TableLog(warehouse.store, table)
        known = {file.path: file for file in log.data_files(standing)} if standing else {}
        add = [file for file in wanted if file.path not in known]
        remove = [file for path, file in known.items() if path not in {file.path for file in wanted}]
        if add or remove:
            tables[table] = log.commit(standing, add, remove, old.note)
    return replace(new, number=old.number, note=old.note, tables=tables)


def _runs(warehouse: Warehouse, old: _OldRelease, files: Mapping[str, DataFile]) -> DataFile | None:
    """The runs of a release in one file, with when and where each drive was."""
    of_table = [file for file in old.files.values() if file.table == "runs"]
    if not of_table:
        return None
    rows = warehouse.read_files([files[file.path] for file in of_table], "runs").to_pylist()
    for row in rows:
        mine = [files[path] for path, file in old.files.items() if file.drive_id == row["drive_id"]]
        row.update(extent(mine))
    return warehouse.write("runs", pa.Table.from_pylist(rows, RUNS))
