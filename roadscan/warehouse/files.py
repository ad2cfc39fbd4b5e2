"""Arrow tables to Parquet files and back: their names, digests and statistics."""

from __future__ import annotations

import io
import json
import math
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from roadscan.errors import Malformed, StorageError, WarehouseError
from roadscan.parsing import FORBID_OTHERS, parquet_file
from roadscan.schemas import TABLES
from roadscan.storage import Store, sha256_hex

PART_ROWS = 8192  # as many are held at a time where a file is written again
ROW_GROUP = 131_072  # rows: a query about one section reads the few groups in which it lies, not the whole file
LOOKED_UP = ("asset_id", "alias_id")  # columns whose Bloom filters tell which row groups an id may be in
#: Columns that queries are narrowed by, where a table has them: a file's least and greatest value stand in the log.
NARROWED = (
    "drive_id", "captured_at", "camera_lon", "camera_lat", "class", "asset_id", "lon", "lat", "route_code", "km_m",
    "changed_at", "looked_at", "finished_at",
)  # fmt: skip
DIGITS = 16  # of the content's SHA-256, in a file's name


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a table.

    Attributes:
        table: name in `roadscan.schemas.TABLES`.
        path: key in the warehouse, which is never written again; its name ends in the first `DIGITS` digits of the
            content's SHA-256.
        rows, bytes: how many.
        stats: least and greatest value and number of nulls by column, as JSON; see `statistics`.
    """

    table: str
    path: str
    rows: int
    bytes: int
    stats: str

    __pydantic_config__: ClassVar = FORBID_OTHERS

    @property
    def digest(self) -> str:
        """What the content's SHA-256 begins with."""
        return content_of(self.path)[1]

    @property
    def content(self) -> tuple[str, str]:
        """Folder and digest: equal where files of a table have equal rows."""
        return content_of(self.path)


def content_of(path: str) -> tuple[str, str]:
    """A file's path -> its folder, and what the SHA-256 of its content begins with.

    >>> content_of("assets/assets-599039a2-422fbcf81aab51bd.parquet")
    ('assets', '422fbcf81aab51bd')
    """
    return path.rpartition("/")[0], path.removesuffix(".parquet")[-DIGITS:]


def encode(table: str, rows: pa.Table) -> tuple[bytes, pa.Table]:
    """A table -> the bytes of its Parquet file, and the rows in the table's own schema.

    Args:
        table: name in `TABLES`; the rows are cast to its schema and keep their own metadata besides.
        rows: any order of columns, more than the schema's are left out.
    """
    schema = TABLES[table]
    metadata = {**(rows.schema.metadata or {}), **schema.metadata}
    cast = rows.select(schema.names).cast(schema).replace_schema_metadata(metadata)
    buffer = io.BytesIO()
    stored = cast.cast(_stored(cast.schema))
    pq.write_table(stored, buffer, row_group_size=ROW_GROUP, **_settings(schema, cast.num_rows))
    return buffer.getvalue(), cast


def encode_parts(table: str, parts: Iterable[pa.Table]) -> tuple[bytes, pa.Table]:
    """Tables one after the other -> the bytes of one Parquet file, and of its rows the columns in `NARROWED`.

    Its row groups have `PART_ROWS` each, so that it is written again a part at a time, too.

    Args:
        table: name in `TABLES`; the rows are cast to its schema.
        parts: any order of columns.
    """
    schema = TABLES[table]
    buffer, stored, names = io.BytesIO(), _stored(schema), [name for name in NARROWED if name in schema.names]
    told = [schema.empty_table().select(names)]
    with pq.ParquetWriter(buffer, stored, **_settings(schema, ROW_GROUP)) as writer:
        for part in _regrouped(part.select(schema.names).cast(schema) for part in parts):
            writer.write_table(part.cast(stored))
            told.append(part.select(names))
    return buffer.getvalue(), pa.concat_tables(told)


def data_file(table: str, start: str, data: bytes, rows: pa.Table) -> DataFile:
    """The entry of a file: under which key it belongs, which begins with `start`, and what is in it.

    Every call gives another key, for equal bytes too: who deletes old files that nobody needs cannot meet a new one.
    """
    names = [column for column in NARROWED if column in rows.column_names]
    ranges, nulls = {name: _range(rows[name]) for name in names}, {name: rows[name].null_count for name in names}
    path = f"{start}-{secrets.token_hex(4)}-{sha256_hex(data)[:DIGITS]}.parquet"
    return DataFile(table, path, rows.num_rows, len(data), statistics(rows.num_rows, ranges, nulls))


def statistics(rows: int, ranges: Mapping[str, tuple[Any, Any]], nulls: Mapping[str, int | None]) -> str:
    """Counts and ranges -> Delta Lake's per-file statistics (protocol specification, "Per-file Statistics").

    Args:
        rows: of the file.
        ranges: least and greatest value by column; None, or what is not finite, is not told.
        nulls: how many rows are null, by column; None where that is not known.
    """
    told = {name: ends for name, ends in ranges.items() if all(map(_is_told, ends))}
    least, greatest = ({name: _text(ends[end]) for name, ends in told.items()} for end in (0, 1))
    known = {name: count for name, count in nulls.items() if count is not None}
    return json.dumps({"numRecords": rows, "minValues": least, "maxValues": greatest, "nullCount": known})


def digest_of(paths: Iterable[str], gone: Iterable[str] = (), *, base: str = "0") -> str:
    """Paths -> the digest of the set that `base` is of, with these paths added and those in `gone` taken away.

    It is a sum of SHA-256, so a commit to a table of any size costs what it changes (the multiset hash MSet-Add-Hash of
    Clarke et al., "Incremental Multiset Hash Functions", 2003, without a key: it is against accidents).

    >>> digest_of(["b"], gone=["a"], base=digest_of(["a", "c"])) == digest_of(["c", "b"])
    True
    """
    total = int(base, 16) + sum(map(_number, paths)) - sum(map(_number, gone))
    return f"{total % (1 << 256):064x}"


def read_parts(store: Store, file: DataFile, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of a file, a row group at a time, with exactly these columns; those that an older file lacks are null.

    Raises:
        StorageError: its content is not what its name says; before any row.
    """
    with _opened(store, file) as parquet:
        there = set(parquet.schema_arrow.names)
        names = [name for name in schema.names if name in there]
        for group in range(parquet.num_row_groups):
            yield conform(parquet.read_row_group(group, columns=names), schema)
    del parquet
    pa.default_memory_pool().release_unused()  # else Arrow keeps for itself what each of many files took


@contextmanager
def _opened(store: Store, file: DataFile) -> Iterator[Any]:
    """A file, verified and opened."""
    try:
        with parquet_file(verified(store, file.path)) as parquet:
            yield parquet
    except Malformed as error:
        raise WarehouseError(f"{store.uri_of(file.path)}: {error}") from None


def verified(store: Store, path: str) -> bytes:
    """The bytes of the data file at a path.

    Raises:
        StorageError: their digest is not the one in its name.
    """
    data, digest = store.read(path), content_of(path)[1]
    if not sha256_hex(data).startswith(digest):
        raise StorageError(
            f"{store.uri_of(path)}: sha256 is {sha256_hex(data)}, expected {digest}…; "
            "the object is not the one that was committed"
        )
    return data


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with exactly these columns; the ones it lacks are null (they were added later)."""
    there = dict(zip(table.column_names, table.columns, strict=True))
    columns = [
        there[field.name].cast(field.type) if field.name in there else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def schema_of(table: str, columns: Sequence[str] | None) -> pa.Schema:
    """A table's schema, of some columns where given."""
    schema = TABLES[table]
    return schema if columns is None else pa.schema([schema.field(name) for name in columns], metadata=schema.metadata)


def _regrouped(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, `PART_ROWS` at a time."""
    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= PART_ROWS:
            rows = pa.concat_tables(waiting)
            whole = len(rows) - len(rows) % PART_ROWS
            yield from (rows.slice(start, PART_ROWS) for start in range(0, whole, PART_ROWS))
            waiting = [rows.slice(whole)]
    if sum(map(len, waiting)):
        yield pa.concat_tables(waiting)


def _settings(schema: pa.Schema, rows: int) -> dict[str, Any]:
    """How a table's files are written."""
    words = [field.name for field in schema if pa.types.is_string(field.type)]  # numbers hardly repeat
    looked_up = {name: {"ndv": max(1, min(rows, ROW_GROUP))} for name in LOOKED_UP if name in schema.names}
    return {
        "compression": "zstd",
        "use_dictionary": words,
        "bloom_filter_options": looked_up,
        "write_page_checksum": True,
    }


def _stored(schema: pa.Schema) -> pa.Schema:
    """The schema with lists for arrays of a fixed size, which Delta Lake has not: Polars refuses what is at odds."""
    fields = [
        field.with_type(pa.list_(field.type.value_type)) if pa.types.is_fixed_size_list(field.type) else field
        for field in schema
    ]
    return pa.schema(fields, metadata=schema.metadata)


def _number(path: str) -> int:
    return int(sha256_hex(path.encode()), 16)


def _range(column: pa.ChunkedArray) -> tuple[Any, Any]:
    """Least and greatest value; None beside NaN, which is outside any range and is left out by `min_max`."""
    if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
        return None, None
    ends = pc.min_max(column)
    return ends["min"].as_py(), ends["max"].as_py()


def _is_told(value: Any) -> bool:
    return value is not None and (not isinstance(value, float) or math.isfinite(value))


def _text(value: Any) -> Any:
    """As JSON has it. Microseconds are kept: a rounded greatest value would hide rows."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else value
