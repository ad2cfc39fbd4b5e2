"""Files that are written again a part at a time."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.years import LAST, Night

from roadscan.errors import StorageError
from roadscan.schemas import RUNS
from roadscan.warehouse import Warehouse
from roadscan.warehouse.files import PART_ROWS, encode_parts, read_parts


def test_parts_of_any_size_become_row_groups_of_one() -> None:
    sizes = (0, 3, PART_ROWS, 1, 2 * PART_ROWS + 5, 0, 7)
    parts = [Night(LAST + timedelta(days=k), cars).runs() for k, cars in enumerate(sizes)]
    data, told = encode_parts("runs", parts)
    file = pq.ParquetFile(io.BytesIO(data))
    assert file.read().equals(pa.concat_tables(parts))
    groups = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    assert groups == [PART_ROWS] * 3 + [16]
    assert told["drive_id"].equals(file.read(["drive_id"])["drive_id"])


def test_no_rows_are_a_file_without_any() -> None:
    data, told = encode_parts("runs", [])
    assert pq.ParquetFile(io.BytesIO(data)).read().num_rows == told.num_rows == 0


def test_no_row_comes_of_a_file_that_is_another(tmp_path: Path) -> None:
    warehouse = Warehouse(str(tmp_path))
    file = warehouse.rewrite("runs", [], lambda rows: rows, Night(LAST, 5).runs())
    assert next(read_parts(warehouse.store, file, RUNS)).num_rows == 5
    warehouse.store.write(file.path, b"something else")
    with pytest.raises(StorageError, match="not the one that was committed"):
        next(read_parts(warehouse.store, file, RUNS))
