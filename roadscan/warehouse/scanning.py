"""Which files of a table a question needs: by the statistics in its log, and by when and where drives were.

Ids of drives say nothing of when they drove, so those of any night lie between the least and the greatest of any file.
But `runs` tells when and where each drive was, and statistics find the few files that have rows of then and there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from roadscan.warehouse.files import NARROWED

DRIVES_LOOKED_UP = 64  # a filter that lets more drives through is not narrowed by them
#: Pages that are read without the rest of their file have checksums of their own.
FORMAT = ds.ParquetFileFormat(
    default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
)


class DriveExtents:
    """When and where drives have rows.

    Args:
        runs: ``drive_id``, ``started_at``, ``ended_at`` and ``bbox`` of `schemas.RUNS`, of all drives that have rows.
    """

    def __init__(self, runs: pa.Table) -> None:
        self._runs = runs.combine_chunks().sort_by("drive_id")

    def files_of(self, files: pa.Table, drive_id: str) -> pa.Table:
        """Rows of `TableLog.files` -> those whose file may have rows of a drive."""
        files = overlapping(files, "drive_id", drive_id, drive_id)
        found = self._runs.filter(pc.equal(self._runs["drive_id"], drive_id)).to_pylist()
        if len(found) != 1 or None in found[0].values():
            return files
        run, box = found[0], found[0]["bbox"]
        files = overlapping(files, "captured_at", run["started_at"], run["ended_at"])
        files = overlapping(files, "camera_lon", box["xmin"], box["xmax"])
        return overlapping(files, "camera_lat", box["ymin"], box["ymax"])

    def files_for(self, files: pa.Table, question: pc.Expression, schema: pa.Schema) -> pa.Table:
        """Rows of `TableLog.files` -> those whose file may have rows of the drives that a filter lets through.

        Args:
            files: of a table.
            question: the filter.
            schema: of the table.
        """
        drives = self._let_through(question, schema)
        if drives is None:
            return files
        paths = {path for drive_id in drives for path in self.files_of(files, drive_id)["path"].to_pylist()}
        return files.filter(pc.is_in(files["path"], pa.array(sorted(paths), pa.string())))

    def _let_through(self, question: pc.Expression, schema: pa.Schema) -> list[str] | None:
        """The drives that a filter lets through; None where they are many.

        The sorted ids are halved again and again, and Arrow tells from its least and greatest id that no row of a half
        can pass. So a filter may have any form, and need not be taken to pieces.
        """
        ids = self._runs["drive_id"]
        ranges = [(0, len(ids))] if len(ids) else []
        while any(stop - start > 1 for start, stop in ranges):
            middles = [(start, (start + stop) // 2, stop) for start, stop in ranges]
            halves = [(a, b) for start, middle, stop in middles for a, b in ((start, middle), (middle, stop)) if a < b]
            ranges = [(a, b) for a, b in halves if _may_pass(question, schema, ids[a].as_py(), ids[b - 1].as_py())]
            if len(ranges) > DRIVES_LOOKED_UP:
                return None
        return [ids[start].as_py() for start, _ in ranges] if len(ids) else None


class PrunedDataset(ds.FileSystemDataset):  # type: ignore[misc]
    """A table whose files are chosen when a filter is known: an engine tells it with each scan.

    Args:
        choose: a filter, or None -> the rows of `TableLog.files` of files that may have rows which pass.
        schema: of the table.
        filesystem: on which the files are …
        root: … and the folder there that is the warehouse.
    """

    def __init__(
        self, choose: Callable[[pc.Expression | None], pa.Table], schema: pa.Schema, filesystem: Any, root: str
    ) -> None:
        super().__init__([], schema, FORMAT, filesystem)
        self._choose, self._root = choose, root

    def scanner(self, **options: Any) -> ds.Scanner:
        """As of `pyarrow.dataset.Dataset`."""
        return self._chosen(options.get("filter")).scanner(**options)

    def get_fragments(self, filter: pc.Expression | None = None) -> Iterator[ds.Fragment]:  # noqa: A002 - pyarrow's name
        """As of `pyarrow.dataset.Dataset`."""
        yield from self._chosen(filter).get_fragments(filter=filter)

    def _chosen(self, question: pc.Expression | None) -> ds.FileSystemDataset:
        fragments = [
            FORMAT.make_fragment(  # who knows a file's size need not ask the store for it
                f"{self._root}/{path}", filesystem=self.filesystem, partition_expression=guarantee, file_size=size
            )
            for path, size, guarantee in guarantees(self._choose(question))
        ]
        return ds.FileSystemDataset(fragments, self.schema, FORMAT, self.filesystem)


def guarantees(files: pa.Table) -> Iterator[tuple[str, int, pc.Expression]]:
    """Rows of `TableLog.files` -> each path, its bytes, and what holds for all rows of the file."""
    names = [name for name in NARROWED if f"min.{name}" in files.column_names]
    known: dict[tuple[str, Any, Any, bool], pc.Expression] = {}  # of a night's files most are the same, dear to make
    for row in files.to_pylist():
        holds = pc.scalar(True)
        for name in names:
            least, greatest, has_nulls = row[f"min.{name}"], row[f"max.{name}"], row.get(f"null_count.{name}") != 0
            if least is not None and greatest is not None:
                key = (name, least, greatest, has_nulls)
                if key not in known:
                    known[key] = _within(name, least, greatest, has_nulls=has_nulls)
                holds &= known[key]
        yield row["path"], row["bytes"], holds


def overlapping(files: pa.Table, column: str, least: Any, greatest: Any) -> pa.Table:
    """Rows of `TableLog.files` -> those whose file may have values of a column from `least` to `greatest`, or nulls."""
    if not {f"min.{column}", f"null_count.{column}"} <= set(files.column_names):
        return files
    begins_before = pc.less_equal(files[f"min.{column}"], pa.scalar(greatest, files[f"min.{column}"].type))
    ends_after = pc.greater_equal(files[f"max.{column}"], pa.scalar(least, files[f"max.{column}"].type))
    has_nulls = pc.fill_null(pc.greater(files[f"null_count.{column}"], 0), True)
    return files.filter(pc.or_(has_nulls, pc.fill_null(pc.and_(begins_before, ends_after), True)))


def _within(name: str, least: Any, greatest: Any, *, has_nulls: bool) -> pc.Expression:
    """What holds for a column's values, in the one form in which Arrow (26.0) goes by it beside nulls."""
    column = pc.field(name)
    if not has_nulls:
        return (column >= least) & (column <= greatest)
    return ((column >= least) | column.is_null()) & ((column <= greatest) | column.is_null())


def _may_pass(question: pc.Expression, schema: pa.Schema, least: str, greatest: str) -> bool:
    """Whether a row of a drive whose id is from `least` to `greatest` may pass a filter, as far as Arrow can tell."""
    within = _within("drive_id", least, greatest, has_nulls=False)
    rows = FORMAT.make_fragment(pa.BufferReader(b""), partition_expression=within)
    return any(True for _ in ds.FileSystemDataset([rows], schema, FORMAT).get_fragments(filter=question))
