"""The warehouse: Parquet files, immutable release manifests, and one pointer that moves atomically.

    WAREHOUSE/
      current.json                              the pointer: which release is the current one
      releases/00000007-1c0f….json              a release: every data file of every table, with rows and sha256
      observations/survey_month=2026-11/….parquet
      frames/… runs/… assets/… asset_changes/…
      commits/<run key>/<shard>.json            what a scan has finished (`roadscan.scan.ledger`)
      models/<sha256>.zip                       the model files that made the rows
      logs/scan-<time>.json                     what each scan did

A file that no release names does not exist for a reader, so a run may die at any point: readers see the previous
release or the next one, never a mixture. Nobody lists folders. Older releases stay readable: that is time travel.
Data files are named by their content's digest, so writing one again changes nothing.
"""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from roadscan.errors import Conflict, NotFound, WarehouseError
from roadscan.schemas import TABLES
from roadscan.storage import DiskStore, Store, arrow_file, open_store, sha256_hex

LOG = logging.getLogger(__name__)
POINTER = "current.json"
FORMAT = "roadscan.release/1"
ROW_GROUP = 131_072  # rows: a query about one section reads the few groups in which it lies, not the whole file
LOOKED_UP = ("asset_id", "alias_id")  # columns whose Bloom filters tell which row groups an id may be in
PUBLISH_TRIES = 20  # of two concurrent publishers one loses each round, so 20 rounds serve 20 publishers


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a table.

    Attributes:
        table: name in `roadscan.schemas.TABLES`.
        path: key in the warehouse.
        rows, bytes, sha256: what a reader checks.
        drive_id: the drive whose rows these are; None for a table of the whole register.
    """

    table: str
    path: str
    rows: int
    bytes: int
    sha256: str
    drive_id: str | None = None


@dataclass(frozen=True)
class Release:
    """One published state of the whole warehouse.

    Attributes:
        number: 0 for the empty warehouse, then 1, 2, …
        created_at: ISO 8601, UTC.
        note: what the release brought, for people.
        files: every data file.
        parent: the manifest of the release before.
    """

    number: int = 0
    created_at: str = ""
    note: str = ""
    files: tuple[DataFile, ...] = ()
    parent: str | None = None

    def of(self, table: str, drive_id: str | None = None) -> list[DataFile]:
        """The files of one table, in order; of one drive where given."""
        return [f for f in self.files if f.table == table and drive_id in (None, f.drive_id)]

    def replaced(self, old: Callable[[DataFile], bool], new: Iterable[DataFile], note: str) -> Release:
        """This release with some files replaced by others; `Warehouse.publish` gives it its number."""
        kept = [f for f in self.files if not old(f)]
        return replace(self, files=tuple(sorted([*kept, *new], key=lambda f: (f.table, f.path))), note=note)


class Warehouse:
    """Reader and writer of one warehouse.

    Args:
        uri: its root, ``s3://bucket/prefix`` or a folder.
    """

    def __init__(self, uri: str) -> None:
        self.store: Store = open_store(uri)

    def current(self) -> Release:
        """The current release; an empty one where nothing was ever published."""
        return self._current()[0]

    def as_of(self, moment: datetime) -> Release:
        """The release that was current at a moment (aware, any zone).

        Raises:
            WarehouseError: nothing had been published by then.
        """
        for release in self.history():
            if datetime.fromisoformat(release.created_at) <= moment:
                return release
        raise WarehouseError(f"{self.store.uri}: nothing was published by {moment.isoformat()}")

    def history(self) -> Iterator[Release]:
        """Every release from the current one back to the first."""
        release = self.current()
        while release.number:
            yield release
            release = self.before(release)

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

    def before(self, release: Release) -> Release:
        """The release that a release followed; an empty one before the first."""
        return self._manifest(release.parent) if release.parent else Release()

    def publish(self, change: Callable[[Release], Release]) -> Release:
        """Make a new release and move the pointer to it.

        Args:
            change: the next release from the current one. Called again with the newer one when another publisher was
                first; returning its argument unchanged publishes nothing.

        Returns:
            The release that is current now.

        Raises:
            Conflict: others won every round.
        """
        for _ in range(PUBLISH_TRIES):
            release, path, tag = self._current()
            proposed = change(release)
            if proposed is release:
                return release
            new = replace(proposed, number=release.number + 1, created_at=datetime.now(UTC).isoformat(), parent=path)
            data = _encode(new)
            manifest = f"releases/{new.number:08d}-{sha256_hex(data)[:16]}.json"
            self.store.create(manifest, data)
            pointer = json.dumps({"release": new.number, "path": manifest, "sha256": sha256_hex(data)}).encode()
            try:
                if tag is None:
                    self.store.create(POINTER, pointer)
                else:
                    self.store.swap(POINTER, pointer, tag=tag)
            except Conflict:
                continue
            LOG.info("%s: published release %d: %s", self.store.uri, new.number, new.note)
            return new
        raise Conflict(f"{self.store.uri}: other runs published {PUBLISH_TRIES} times in a row; run again")

    def write(self, table: str, rows: pa.Table, *, folder: str, name: str, drive_id: str | None = None) -> DataFile:
        """Write one data file; invisible until a release names it.

        Args:
            table: name in `TABLES`; the rows are cast to its schema and keep their own metadata besides.
            rows: the table.
            folder: sub-folder of the table, e.g. ``survey_month=2026-11``; may be empty.
            name: start of the file's name; the content's digest is added.
            drive_id: the drive whose rows these are.
        """
        schema = TABLES[table]
        metadata = {**(rows.schema.metadata or {}), **schema.metadata}
        cast = rows.select(schema.names).cast(schema).replace_schema_metadata(metadata)
        buffer = io.BytesIO()
        words = [field.name for field in schema if pa.types.is_string(field.type)]  # numbers hardly repeat
        looked_up = {name: {"ndv": max(1, min(cast.num_rows, ROW_GROUP))} for name in LOOKED_UP if name in schema.names}
        pq.write_table(
            cast,
            buffer,
            compression="zstd",
            row_group_size=ROW_GROUP,
            use_dictionary=words,
            bloom_filter_options=looked_up,
        )
        data = buffer.getvalue()
        digest = sha256_hex(data)
        path = "/".join(part for part in (table, folder, f"{name}-{digest[:16]}.parquet") if part)
        self.store.write(path, data)
        LOG.debug("%s: wrote %d rows", self.store.uri_of(path), cast.num_rows)
        return DataFile(table, path, cast.num_rows, len(data), digest, drive_id)

    def read(
        self, release: Release, table: str, *, drive_id: str | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """All rows of a table in a release, verified; columns that an older file lacks are null.

        Args:
            release: which state.
            table: name in `TABLES`.
            drive_id: only that drive's rows.
            columns: only these columns.
        """
        schema = TABLES[table]
        if columns is not None:
            schema = pa.schema([schema.field(name) for name in columns], metadata=schema.metadata)
        parts = [_conform(self._parquet(file, schema.names), schema) for file in release.of(table, drive_id)]
        return pa.concat_tables([schema.empty_table(), *parts])

    def local_files(self, files: Iterable[DataFile]) -> list[Path]:
        """Paths on this machine for data files, for engines that open files themselves.

        A warehouse on disk gives its own files. From an object store each file is fetched once, verified, and kept in
        ``$XDG_CACHE_HOME/roadscan`` under its digest.
        """
        if isinstance(self.store, DiskStore):
            return [self.store.path(file.path) for file in files]
        cache = DiskStore(Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "roadscan")
        paths = []
        for file in files:
            name = f"{file.sha256}.parquet"
            if not cache.exists(name):
                cache.write(name, self.store.read(file.path, sha256=file.sha256))
            paths.append(cache.path(name))
        return paths

    def _parquet(self, file: DataFile, columns: Sequence[str]) -> pa.Table:
        data = pq.ParquetFile(arrow_file(self.store.read(file.path, sha256=file.sha256)))
        return data.read(columns=[name for name in columns if name in data.schema_arrow.names])

    def _current(self) -> tuple[Release, str | None, str | None]:
        """The current release, its manifest's path, and the pointer's tag; tag None where there is no pointer yet."""
        try:
            data, tag = self.store.read_tagged(POINTER)
        except NotFound:
            return Release(), None, None
        try:
            path, digest = (json.loads(data)[key] for key in ("path", "sha256"))
        except (ValueError, KeyError, TypeError):
            raise WarehouseError(
                f"{self.store.uri_of(POINTER)}: not a release pointer; restore it from releases/"
            ) from None
        return self._manifest(path, digest), path, tag

    def _manifest(self, path: str, sha256: str | None = None) -> Release:
        tree = json.loads(self.store.read(path, sha256=sha256))
        if tree.pop("format") != FORMAT:
            raise WarehouseError(f"{self.store.uri_of(path)}: written by a newer roadscan; upgrade to read it")
        return Release(**{**tree, "files": tuple(DataFile(**entry) for entry in tree["files"])})


def _encode(release: Release) -> bytes:
    return json.dumps({"format": FORMAT, **asdict(release)}, indent=1).encode()


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with exactly these columns; the ones it lacks are null (they were added later)."""
    columns = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
