"""Arrow tables to bytes and back: for what one row of a table keeps whole, and nothing looks into with SQL."""

from __future__ import annotations

import pyarrow as pa

_OPTIONS = pa.ipc.IpcWriteOptions(compression="zstd")


def packed(table: pa.Table) -> bytes:
    """A table as the bytes of an Arrow IPC stream, compressed.

    >>> unpacked(packed(pa.table({"x": [1, 2]}))).to_pydict()
    {'x': [1, 2]}
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_OPTIONS) as writer:
        writer.write_table(table.combine_chunks())
    data: bytes = sink.getvalue().to_pybytes()
    return data


def unpacked(data: bytes) -> pa.Table:
    """The table of `packed`."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()
