"""What a Delta Lake log says, as Arrow: the actions of a commit and of a checkpoint, and which of many still hold.

A commit has a line of JSON an action, a checkpoint a row: the same table, in which each row has one column that is not
null (Delta Lake protocol specification, "Actions" and "Checkpoint Schema"). delta-rs is not asked: after the logs of
three years of nights it keeps 80 MB for itself.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from roadscan.errors import Malformed
from roadscan.parsing import parquet_file, parsing, read_json, read_json_lines
from roadscan.schemas import TABLES
from roadscan.shown import shown
from roadscan.warehouse.files import NARROWED, PART_ROWS


def _needed(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


_VALUES, _OPTIONS = pa.map_(pa.string(), pa.string()), pa.map_(pa.string(), _needed("value", pa.string()))
#: What roadscan writes, as a checkpoint has it.
ACTIONS = pa.schema(
    {
        "add": pa.struct([
            _needed("path", pa.string()), _needed("partitionValues", _VALUES), _needed("size", pa.int64()),
            _needed("modificationTime", pa.int64()), _needed("dataChange", pa.bool_()), ("stats", pa.string()),
        ]),
        "remove": pa.struct([
            _needed("path", pa.string()), ("deletionTimestamp", pa.int64()), _needed("dataChange", pa.bool_()),
            ("extendedFileMetadata", pa.bool_()), ("partitionValues", _VALUES), ("size", pa.int64()),
        ]),
        "metaData": pa.struct([
            _needed("id", pa.string()), ("name", pa.string()),
            _needed("format", pa.struct([_needed("provider", pa.string()), _needed("options", _OPTIONS)])),
            _needed("schemaString", pa.string()), ("createdTime", pa.int64()), _needed("configuration", _OPTIONS),
            _needed("partitionColumns", pa.list_(_needed("element", pa.string()))),
        ]),
        "protocol": pa.struct([_needed("minReaderVersion", pa.int32()), _needed("minWriterVersion", pa.int32())]),
    }
)  # fmt: skip
#: As much of it as tells which files there are.
FILES = pa.schema(
    {
        "add": pa.struct({"path": pa.string(), "size": pa.int64(), "stats": pa.string()}),
        "remove": pa.struct({"path": pa.string()}),
    }
)


def of_commit(data: bytes, schema: pa.Schema) -> pa.Table:
    """A commit -> its actions.

    Args:
        data: the JSON lines.
        schema: `ACTIONS` or `FILES`.

    Raises:
        Malformed: a line is no JSON, or no action.
    """
    lines = [read_json(line) for line in data.splitlines()]
    with parsing("actions of a Delta Lake log"):
        return pa.Table.from_pylist(lines, schema)


def of_checkpoint(data: bytes, schema: pa.Schema) -> Iterator[pa.Table]:
    """A checkpoint -> its actions, as of `of_commit`, some at a time.

    Raises:
        Malformed: it is no Parquet, or has no actions.
    """
    with parquet_file(data) as file, parsing("checkpoint of a Delta Lake log"):
        columns = [f"{field.name}.{part.name}" for field in schema for part in field.type]
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns).cast(schema)


def to_checkpoint(actions: pa.Table) -> bytes:
    """Actions as of `ACTIONS` -> the checkpoint that has them."""
    buffer = io.BytesIO()
    pq.write_table(actions, buffer, compression="zstd", row_group_size=PART_ROWS)
    return buffer.getvalue()


def holding(newest_first: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Actions of consecutive commits, the newest first -> those that hold: the last that was said of each file."""
    said = pa.array([], pa.string())
    for actions in newest_first:
        subject = _subject(actions)
        yield actions.filter(pc.and_(pc.is_valid(subject), pc.invert(pc.is_in(subject, said))))
        said = pa.concat_arrays([said, subject])


def _subject(actions: pa.Table) -> pa.Array:
    """What each action is of: a file's path, or the one thing that its kind is of; null of those that are left out."""
    of = [
        pc.struct_field(column, "path") if name in FILES.names else pc.if_else(pc.is_valid(column), name, None)
        for name, column in zip(actions.column_names, actions.combine_chunks().columns, strict=True)
    ]
    return pa.chunked_array([pc.coalesce(*of)] if len(actions) else [], pa.string()).combine_chunks()


def to_files(actions: pa.Table, table: str) -> pa.Table:
    """Actions that hold -> the files that they add: path as the log has it, rows, bytes, and statistics.

    Args:
        actions: as of `FILES` or `ACTIONS`.
        table: name in `TABLES`; of each of its columns in `NARROWED` there are ``min.``, ``max.`` and ``null_count.``.

    Raises:
        Malformed: statistics are none.
    """
    schema = TABLES[table]
    names = [name for name in NARROWED if name in schema.names]
    values, counts = (
        pa.struct([schema.field(name).with_nullable(True) for name in names]),
        pa.struct({name: pa.int64() for name in names}),
    )
    told = pa.schema({"numRecords": pa.int64(), "minValues": values, "maxValues": values, "nullCount": counts})
    add = actions["add"].combine_chunks().drop_null()
    lines = pc.fill_null(pc.struct_field(add, "stats"), "{}").to_pylist()
    if odd := [line for line in lines if "\n" in line or not line.strip()]:  # else the next file's would be its own
        raise Malformed(f"statistics of a file are {shown(odd[0])}; expected one line of JSON")
    stats = read_json_lines("\n".join(lines).encode(), told)
    columns = {
        "path": pc.struct_field(add, "path"),
        "rows": stats["numRecords"],
        "bytes": pc.struct_field(add, "size"),
    }
    for what, where in (("min", "minValues"), ("max", "maxValues"), ("null_count", "nullCount")):
        columns |= {f"{what}.{name}": pc.struct_field(stats[where], name) for name in names}
    return pa.table(columns)


def schema_string(schema: pa.Schema) -> str:
    """An Arrow schema -> Delta Lake's (protocol specification, "Schema Serialization Format")."""
    return json.dumps(_struct(schema), ensure_ascii=False, separators=(",", ":"))


_TYPES = {
    pa.string(): "string",
    pa.binary(): "binary",
    pa.bool_(): "boolean",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.timestamp("us", tz="UTC"): "timestamp",
}


def _type(kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return _struct(kind)
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return {"type": "array", "elementType": _type(kind.value_type), "containsNull": kind.value_field.nullable}
    return _TYPES[kind]


def _struct(fields: Iterable[pa.Field]) -> dict[str, Any]:
    return {
        "type": "struct",
        "fields": [
            {
                "name": field.name,
                "type": _type(field.type),
                "nullable": field.nullable,
                "metadata": {key.decode(): value.decode() for key, value in (field.metadata or {}).items()},
            }
            for field in fields
        ],
    }
