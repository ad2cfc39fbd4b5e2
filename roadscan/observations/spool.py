"""Rows on their way through a temporary folder: the good ones by drive, the rejected ones in one Parquet file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from roadscan.observations.parse import combined
from roadscan.observations.schema import CHECKED, COLUMNS, REJECTED


class KeptRows:
    """Checked rows by drive, in a temporary folder: one file a drive, appended to, whatever the order of the rows."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._numbers = folder, dict[str, int]()

    @property
    def drive_ids(self) -> list[str]:
        return sorted(self._numbers)

    def add(self, rows: pa.Table) -> None:
        """Append rows; those that tell no drive or no frame can be of no use and are left out."""
        rows = rows.filter(pc.and_(pc.is_valid(rows["drive_id"]), pc.is_valid(rows["frame_id"])))
        coded = combined(rows["drive_id"]).dictionary_encode()
        code = coded.indices.to_numpy()
        order = np.argsort(code, kind="stable")
        rows, ends = rows.take(pa.array(order)), np.cumsum(np.bincount(code, minlength=len(coded.dictionary)))
        start = 0
        for drive_id, end in zip(coded.dictionary.to_pylist(), ends.tolist(), strict=True):
            path = self._path(self._numbers.setdefault(drive_id, len(self._numbers)))
            options = pa.ipc.IpcWriteOptions(compression="zstd")
            with path.open("ab") as file, pa.ipc.new_stream(file, CHECKED, options=options) as writer:
                writer.write_table(rows.slice(start, end - start))
            start = end

    def rows(self, drive_id: str) -> pa.Table:
        parts = []
        with pa.OSFile(str(self._path(self._numbers[drive_id]))) as file:
            while file.tell() < file.size():
                parts.append(pa.ipc.open_stream(file).read_all())
        return pa.concat_tables(parts)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.arrow"


class RejectedRows:
    """The rows that were not used, in a temporary Parquet file."""

    def __init__(self, path: Path, sources: list[str]) -> None:
        self._path, self._sources, self.counts = path, sources, Counter[str]()
        self._writer = pq.ParquetWriter(path, REJECTED, compression="zstd")

    def add(self, rows: pa.Table, raw: pa.RecordBatch | pa.Table | None = None) -> None:
        """Those of some `CHECKED` rows that have a reason, as their files wrote them where `raw` is given."""
        wrong = pc.is_valid(rows["reason"])
        rows = rows.filter(wrong)
        if not len(rows):
            return
        raw = rows if raw is None else pa.Table.from_batches([raw]).filter(wrong)
        names = [name for name in COLUMNS if name in raw.column_names]
        columns = {name: _as_text(combined(raw[name])) for name in names}
        self._write({**columns, **{name: rows[name] for name in ("row", "reason")}}, combined(rows["source"]))

    def add_lines(self, lines: Sequence[tuple[int, str]], source: int) -> None:
        """Lines of a CSV file that are no rows."""
        if lines:
            columns = {"row": [row for row, _ in lines], "line": [text for _, text in lines]}
            arrays = {name: pa.array(values, REJECTED.field(name).type) for name, values in columns.items()}
            reasons = pa.array(["broken_line"] * len(lines))
            self._write({**arrays, "reason": reasons}, pa.array([source] * len(lines), pa.int32()))

    def close(self) -> bytes | None:
        """The file's bytes; None where nothing was rejected."""
        self._writer.close()
        return self._path.read_bytes() if self.counts else None

    def _write(self, columns: dict[str, pa.Array], source: pa.Array) -> None:
        for entry in pc.value_counts(combined(columns["reason"])).to_pylist():
            self.counts[entry["values"]] += entry["counts"]
        columns["source"] = pa.array(self._sources, pa.string()).take(source)
        arrays = [combined(columns[f.name]) if f.name in columns else pa.nulls(len(source), f.type) for f in REJECTED]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=REJECTED))


def _as_text(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pc.binary_join(array.cast(pa.list_(kind.value_type)).cast(pa.list_(pa.string())), " ")
    return array.cast(pa.string())
