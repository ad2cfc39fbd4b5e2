"""Tables for engines that read only what a question needs: some files, and of these some row groups."""

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


class PrunedDataset(ds.FileSystemDataset):  # type: ignore[misc]
    """A table whose files are chosen when a filter is known: an engine tells it with each scan.

    Args:
        choose: a filter, or None -> the rows of `TableLog.files` of files that may have rows which pass.
        schema: of the table.
        filesystem: on which the files are …
        root: … and the folder there that is the warehouse.
        where: only rows that pass it are scanned; None for all.
        check: called with the path of each file before it is scanned; None where nothing is to be checked.
    """

    def __init__(
        self,
        choose: Callable[[pc.Expression | None], pa.Table],
        schema: pa.Schema,
        filesystem: Any,
        root: str,
        where: pc.Expression | None = None,
        check: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__([], schema, FORMAT, filesystem)
        self._choose, self._root, self._where, self._check = choose, root, where, check

    def scanner(self, **options: Any) -> ds.Scanner:
        """As of `pyarrow.dataset.Dataset`."""
        question = options.pop("filter", None)
        if self._where is not None:
            question = self._where if question is None else self._where & question
        return self._chosen(question).scanner(filter=question, **options)

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
        if self._check is not None:
            every = ds.FileSystemDataset(fragments, self.schema, FORMAT, self.filesystem)
            fragments = list(every.get_fragments(filter=question))
            for fragment in fragments:
                self._check(fragment.path.removeprefix(f"{self._root}/"))
        return ds.FileSystemDataset(fragments, self.schema, FORMAT, self.filesystem)


def let_through(question: pc.Expression, ids: pa.ChunkedArray, schema: pa.Schema) -> list[str] | None:
    """The drives that a filter lets through; None where they are many.

    The sorted ids are halved again and again, and Arrow tells from its least and greatest id that no row of a half can
    pass. So a filter may have any form, and need not be taken to pieces.

    Args:
        question: the filter.
        ids: of all drives, in order.
        schema: of the table that is filtered.
    """
    ranges = [(0, len(ids))] if len(ids) else []
    while any(stop - start > 1 for start, stop in ranges):
        middles = [(start, (start + stop) // 2, stop) for start, stop in ranges]
        halves = [(a, b) for start, middle, stop in middles for a, b in ((start, middle), (middle, stop)) if a < b]
        ranges = [(a, b) for a, b in halves if _may_pass(question, schema, ids[a].as_py(), ids[b - 1].as_py())]
        if len(ranges) > DRIVES_LOOKED_UP:
            return None
    return [ids[start].as_py() for start, _ in ranges] if len(ids) else None


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
