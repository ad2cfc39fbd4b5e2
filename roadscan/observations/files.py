"""The files of a table, on a disk or in an object store, read in batches of the columns that are used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from roadscan.errors import Malformed, SurveyError
from roadscan.observations.check import check_columns
from roadscan.parsing import parquet_file, parsing
from roadscan.storage import DiskStore, Store, open_file, open_store

SUFFIXES = (".parquet", ".csv", ".csv.gz")
BLOCK_BYTES = 32 << 20  # of CSV text: about as many rows
READ_AHEAD_BYTES = 8 << 20  # of each column of a Parquet file; without it one huge row group would be read whole


def table_files(uri: str, what: str) -> list[tuple[Store, str]]:
    """The files that a path or an address means."""
    if uri.lower().endswith(SUFFIXES):
        store, key = open_file(uri)
        if store.exists(key):
            return [(store, key)]
    folder = open_store(uri)
    found = [(folder, key) for key in folder.keys() if key.lower().endswith(SUFFIXES)]  # noqa: SIM118 - a store
    if not found:
        raise SurveyError(
            f"{what}: got {uri}, which does not exist or has no {', '.join(SUFFIXES)}; expected such a file, or a "
            "folder of them"
        )
    return found


@contextmanager
def local_file(store: Store, key: str, folder: Path) -> Iterator[Path]:
    """A file on this machine; of an object store a verified copy, for the length of the block."""
    if isinstance(store, DiskStore):
        yield store.path(key)
        return
    copy = folder / f"copy-{key.rpartition('/')[2]}"
    copy.write_bytes(store.read(key))
    yield copy
    copy.unlink()


class TableFile:
    """One file, read in batches of the columns that are used; its columns are checked at once.

    Attributes:
        broken: lines of CSV that are no rows: their number and text. Filled while batches come.
        unused: columns that nothing uses.
    """

    def __init__(self, path: Path, name: str, listed: bool, batch_rows: int) -> None:
        self._path, self._name, self.listed, self._batch_rows = path, name, listed, batch_rows
        self._is_csv = not path.name.lower().endswith(".parquet")
        self.broken: list[tuple[int, str]] = []
        with self._errors():
            if self._is_csv:
                schema = self._csv(None).schema
            else:
                with parquet_file(path) as file:
                    schema = file.schema_arrow
        self._used = check_columns(schema, name, listed=listed, text=self._is_csv)
        self.unused = [column for column in schema.names if column not in self._used]

    def batches(self) -> Iterator[pa.RecordBatch]:
        with self._errors():
            if self._is_csv:
                self.broken.clear()  # of what was read ahead for the names
                yield from self._csv(self._used)
            else:
                with parquet_file(self._path, buffer_size=READ_AHEAD_BYTES) as file:
                    yield from file.iter_batches(self._batch_rows, columns=self._used)

    def _csv(self, columns: list[str] | None) -> pacsv.CSVStreamingReader:
        def keep(row: pacsv.InvalidRow) -> str:
            self.broken.append((row.number - 1, row.text))  # Arrow counts the line of names as the first
            return "skip"

        return pacsv.open_csv(
            # Of another name than "utf-8", else pyarrow looks at nothing, and fails in the middle of a line.
            pa.transcoding_input_stream(pa.input_stream(str(self._path), compression="detect"), "utf-8-sig", "utf-8"),
            read_options=pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),  # so it tells a line's number
            # Quotes may hold commas, never line breaks: one stray quote would swallow the rest of the file.
            parse_options=pacsv.ParseOptions(invalid_row_handler=keep, newlines_in_values=False),
            # Text in every column: Arrow would refuse the whole file for one wrong cell.
            convert_options=pacsv.ConvertOptions(
                include_columns=columns,
                column_types=dict.fromkeys(columns or (), pa.string()),
                strings_can_be_null=True,
                null_values=["", "NA", "null", "None"],
            ),
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with parsing("CSV" if self._is_csv else "Parquet"):
                yield
        except Malformed as error:
            raise SurveyError(
                f"{self._name}: {error}; expected Parquet, or CSV in UTF-8 with commas and a line of names"
            ) from None
