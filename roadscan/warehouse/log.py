"""The Delta Lake log of one table: which files it had at each version, and commits that add and remove some.

roadscan writes the Parquet files itself (GeoParquet's footer stays) and every commit through its own `Store`: one
conditional write, as safe as the pointer's. The format is that of the Delta Lake protocol, reader version 1 and writer
version 2, without partition columns: engines go by files' statistics. `roadscan.warehouse.actions` knows what is in it.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa

from roadscan.errors import Conflict, Malformed, NotFound, WarehouseError
from roadscan.parsing import parquet_file
from roadscan.schemas import TABLES
from roadscan.storage import Store, sha256_hex
from roadscan.warehouse.actions import (
    ACTIONS,
    FILES,
    holding,
    of_checkpoint,
    of_commit,
    schema_string,
    to_checkpoint,
    to_files,
)
from roadscan.warehouse.files import NARROWED, DataFile, digest_of, statistics

LOG = logging.getLogger(__name__)
COMMIT_TRIES = 100  # each lost one means that another writer went on
CHECKPOINT_EVERY = 20  # commits: to open a table takes one checkpoint and at most so many small files
READERS = 8  # of these small files at a time
FOREVER = "interval 36500 days"  # releases decide what is let go of, not other programs that meet the table
CONFIGURATION = {
    "delta.checkpointInterval": "1000000",  # of other writers; there are none
    "delta.deletedFileRetentionDuration": FOREVER,
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": FOREVER,
}


@dataclass(frozen=True, slots=True)
class TableVersion:
    """A table as a release has it.

    Attributes:
        version: in its log.
        rows, files, bytes: of all its data files.
        columns: digest of its schema, to tell when the log must be told a newer one.
        digest: of the paths of its files (`digest_of`); empty in a release that was made before there was one.
    """

    version: int
    rows: int = 0
    files: int = 0
    bytes: int = 0
    columns: str = ""
    digest: str = ""


class TableLog:
    """The log of a table.

    Args:
        store: of the warehouse.
        table: name in `TABLES`, and folder.
    """

    def __init__(self, store: Store, table: str) -> None:
        self.store, self.table = store, table
        self._known: dict[int, pa.Table] = {}  # a version never changes
        self._checked: set[int] = set()

    def files(self, standing: TableVersion) -> pa.Table:
        """All files of a version: path, rows, bytes; ``min.``, ``max.`` and ``null_count.`` of each of `NARROWED`.

        Raises:
            WarehouseError: the log does not have this version, or other files at it than those that were released.
        """
        files = self._at(standing.version)
        if standing.version not in self._checked:
            if standing.digest not in ("", digest_of(files["path"].to_pylist())):
                raise WarehouseError(
                    f"{self.store.uri_of(self.table)}: version {standing.version} of its log names "
                    f"{files.num_rows} files, expected the {standing.files} that were released; something below "
                    "_delta_log was cut short or replaced: restore it from the bucket's versions or a backup"
                )
            self._checked.add(standing.version)
        return files

    def commit(
        self, standing: TableVersion | None, add: Sequence[DataFile], remove: Sequence[DataFile], note: str
    ) -> TableVersion:
        """Write the version that follows `standing`.

        A commit on top of it that no release names was left by a writer that died or lost; it is undone.

        Args:
            standing: the version that readers see; None where the table was never written.
            add: files that it does not have.
            remove: files that it has.
            note: for people.

        Returns:
            The new version; only a release makes it the one that readers see.

        Raises:
            Conflict: others wrote to this table all the time.
        """
        columns = _columns(self.table)
        head = [] if standing and standing.columns == columns else [self._metadata()]
        head = head if standing else [_PROTOCOL, *head]
        version = standing.version + 1 if standing else 0
        try:
            self._write(version, [*head, *map(_remove, remove), *map(_add, add)], note)
        except Conflict:
            kept = self.data_files(standing) if standing else []
            gone = {file.path for file in remove}
            wanted = [*(file for file in kept if file.path not in gone), *add]
            version = self._write_over(version, wanted, note)
        old = standing or TableVersion(-1, digest=digest_of(()))
        digest = old.digest or digest_of(self.files(old)["path"].to_pylist())
        return TableVersion(
            version,
            old.rows + sum(file.rows for file in add) - sum(file.rows for file in remove),
            old.files + len(add) - len(remove),
            old.bytes + sum(file.bytes for file in add) - sum(file.bytes for file in remove),
            columns,
            digest_of((file.path for file in add), (file.path for file in remove), base=digest),
        )

    def align(self, standing: TableVersion) -> None:
        """Make the newest version have the files of `standing`, for those who open the table without a release."""
        if self.store.exists(_key(self.table, standing.version + 1)):
            with suppress(Conflict):  # then others are at it
                self._write_over(standing.version + 1, self.data_files(standing), "as released")

    def data_files(self, standing: TableVersion) -> list[DataFile]:
        """All files of a version, one by one; of a large table `files` is much faster."""
        return to_data_files(self.table, self.files(standing))

    def history(self) -> Iterator[tuple[set[str], set[str]]]:
        """Version after version, the paths that it added and those that it removed."""
        version = 0
        with suppress(NotFound):
            while True:
                actions = self._commit(version, FILES)
                added, removed = (
                    {self._path(one["path"]) for one in actions[name].drop_null().to_pylist()}
                    for name in ("add", "remove")
                )
                yield added, removed
                version += 1

    def checkpoint(self, version: int) -> None:
        """Write a checkpoint of a version, now and then; opening the table is faster with it, never different."""
        key = _checkpoint_key(self.table, version)
        if version % CHECKPOINT_EVERY != CHECKPOINT_EVERY - 1 or self.store.exists(key):
            return
        actions = pa.concat_tables(self._actions(version, ACTIONS))
        data = to_checkpoint(actions)
        self.store.write(key, data)
        last = {"version": version, "size": len(actions), "sizeInBytes": len(data)}
        self.store.write(f"{self.table}/_delta_log/_last_checkpoint", json.dumps(last).encode())

    def _write_over(self, start: int, wanted: Sequence[DataFile], note: str) -> int:
        """Commit on top of the newest version, which is `start` or later, so that `wanted` are the files."""
        by_path = {file.path: file for file in wanted}
        version = start
        for _ in range(COMMIT_TRIES):
            while self.store.exists(_key(self.table, version + 1)):
                version += 1
            live = {file.path: file for file in to_data_files(self.table, self._at(version))}
            add = [_add(file) for path, file in by_path.items() if path not in live]
            remove = [_remove(file) for path, file in live.items() if path not in by_path]
            if not add and not remove:
                return version
            with suppress(Conflict):
                self._write(version + 1, [self._metadata(), *remove, *add], note)
                return version + 1
        raise Conflict(f"{self.store.uri_of(self.table)}: other runs wrote {COMMIT_TRIES} times in a row; run again")

    def _write(self, version: int, actions: Iterable[Mapping[str, Any]], note: str) -> None:
        info = {
            "timestamp": _now_ms(),
            "operation": "WRITE",
            "operationParameters": {},
            "engineInfo": "roadscan",
            "txnId": str(uuid.uuid4()),  # tells this commit from one with the same actions
            "userMetadata": note,
        }
        lines = [{"commitInfo": info}, *actions]
        self.store.create(_key(self.table, version), "\n".join(json.dumps(line) for line in lines).encode())

    def _metadata(self) -> dict[str, Any]:
        return {
            "metaData": {
                "id": str(uuid.uuid5(uuid.NAMESPACE_URL, self.store.uri_of(self.table))),
                "name": self.table,
                "format": {"provider": "parquet", "options": {}},
                "schemaString": schema_string(TABLES[self.table]),
                "partitionColumns": [],
                "configuration": CONFIGURATION,
                "createdTime": _now_ms(),
            }
        }

    def _at(self, version: int) -> pa.Table:
        if version not in self._known:
            self._known[version] = self._read(version)
        return self._known[version]

    def _read(self, version: int) -> pa.Table:
        try:
            files = pa.concat_tables(to_files(actions, self.table) for actions in self._actions(version, FILES))
        except (NotFound, Malformed) as error:
            raise WarehouseError(
                f"{self.store.uri_of(self.table)}: version {version} of its log cannot be read ({error}); "
                "expected all files below _delta_log: restore those that were moved or deleted, from the bucket's "
                "versions or a backup"
            ) from None
        paths = pa.array([self._path(path) for path in files["path"].to_pylist()], pa.string())
        return files.set_column(0, "path", paths).sort_by("path")

    def _actions(self, version: int, schema: pa.Schema) -> Iterator[pa.Table]:
        """The actions that hold at a version: of commits since the last checkpoint before it, and of that."""
        start, base = version - (version + 1) % CHECKPOINT_EVERY, None
        while start >= 0 and (base := self._checkpoint(start)) is None:
            start -= CHECKPOINT_EVERY
        with ThreadPoolExecutor(READERS) as pool:
            commits = list(pool.map(lambda one: self._commit(one, schema), range(version, max(start, -1), -1)))
        return holding(chain(commits, of_checkpoint(base, schema) if base else ()))

    def _commit(self, version: int, schema: pa.Schema) -> pa.Table:
        """The actions of one commit."""
        key = _key(self.table, version)
        try:
            return of_commit(self.store.read(key), schema)
        except Malformed as error:
            raise WarehouseError(f"{self.store.uri_of(key)}: not a version of a table ({error})") from None

    def _checkpoint(self, version: int) -> bytes | None:
        """A checkpoint; None where there is none, or what is no Parquet: the commits before it say the same."""
        key = _checkpoint_key(self.table, version)
        try:
            data = self.store.read(key)
            with parquet_file(data):
                return data
        except NotFound:
            return None
        except Malformed as error:
            LOG.warning("%s: %s; the commits before it are read instead", self.store.uri_of(key), error)
            return None

    def _path(self, relative: str) -> str:
        """A path of the log as a key of the warehouse."""
        return f"{self.table}/{unquote(relative)}"


def no_files() -> pa.Table:
    """`TableLog.files` of a table that was never written."""
    return pa.schema({"path": pa.string(), "rows": pa.int64(), "bytes": pa.int64()}).empty_table()


def to_data_files(table: str, files: pa.Table) -> list[DataFile]:
    """Rows of `TableLog.files` -> data files."""
    names = [name for name in NARROWED if f"min.{name}" in files.column_names]
    return [
        DataFile(
            table,
            row["path"],
            row["rows"],
            row["bytes"],
            statistics(
                row["rows"],
                {name: (row[f"min.{name}"], row[f"max.{name}"]) for name in names},
                {name: row.get(f"null_count.{name}") for name in names},
            ),
        )
        for row in files.to_pylist()
    ]


_PROTOCOL = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}


def _add(file: DataFile) -> dict[str, Any]:
    return {
        "add": {
            "path": _relative(file),
            "partitionValues": {},
            "size": file.bytes,
            "modificationTime": _now_ms(),
            "dataChange": True,
            "stats": file.stats,
        }
    }


def _remove(file: DataFile) -> dict[str, Any]:
    return {
        "remove": {
            "path": _relative(file),
            "deletionTimestamp": _now_ms(),
            "dataChange": True,
            "extendedFileMetadata": True,
            "partitionValues": {},
            "size": file.bytes,
        }
    }


def _relative(file: DataFile) -> str:
    """A path as the protocol wants it: below the table's folder, percent-encoded."""
    return quote(file.path.removeprefix(f"{file.table}/"), safe="/=")


def _key(table: str, version: int) -> str:
    return f"{table}/_delta_log/{version:020d}.json"


def _checkpoint_key(table: str, version: int) -> str:
    return f"{table}/_delta_log/{version:020d}.checkpoint.parquet"


def _columns(table: str) -> str:
    return sha256_hex(TABLES[table].to_string(show_schema_metadata=False).encode())[:8]


def _now_ms() -> int:
    return int(time.time() * 1000)
