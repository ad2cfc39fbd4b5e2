"""Assets to the cells in which drives said something of them: a question about some assets then reads only these.

The index, table `asset_cells`, is written with the files that it is of, and knows which ones these are. So it is never
asked about others, whoever wrote or restored them. It may name a cell too many: ids stay in it that went.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import duckdb
import pyarrow as pa

from roadscan.inventory.tiles.kept import SAID
from roadscan.parsing import parquet_file
from roadscan.warehouse import DataFile, Release, Warehouse
from roadscan.warehouse.files import content_of, digest_of

TABLE = "asset_cells"
OF_TABLES = ("assets", "asset_alias", *SAID)
OF_FILES = b"of_files"  # in the metadata: digest of the contents of all files of `OF_TABLES` that it is of

PAIRS = pa.schema([("asset_id", pa.string()), ("cell", pa.string())])
# Once under the id that drives said it of, and once more under the one that the asset has now.
_INDEX = """
    SELECT asset_id, said_as, a.route_code, a.section_code, a.km_m, cell
    FROM (
        SELECT DISTINCT asset_id, NULL AS said_as, cell FROM said
        UNION ALL
        SELECT DISTINCT l.asset_id, said.asset_id, cell FROM asset_alias AS l JOIN said ON said.asset_id = l.alias_id)
    LEFT JOIN assets AS a USING (asset_id)
    ORDER BY a.route_code, asset_id, said_as, cell"""


def index_cells(
    warehouse: Warehouse, release: Release, tables: Mapping[str, pa.Table], files: list[DataFile]
) -> DataFile:
    """Write the index of a register that is about to be published.

    Of the files of `SAID` only those are read that the release before did not have, unless it had no index of its own.

    Args:
        warehouse: where to.
        release: what was published before.
        tables: assets and asset_alias.
        files: all that will be published, also of other tables.
    """
    known: set[str] = set()
    said = [PAIRS.empty_table()]
    if index := cells_file(warehouse, release):
        known = {path for table in SAID for path in warehouse.paths(release, table)}
        before = warehouse.read_files([index], TABLE, ["asset_id", "said_as", "cell"])
        said.append(before.filter(before["said_as"].is_null()).drop_columns("said_as").cast(PAIRS))
    for file in files:
        if file.table in SAID and file.path not in known:
            ids = warehouse.read_files([file], file.table, ["asset_id"])["asset_id"].unique()
            said.append(pa.table([ids, pa.array([cell_of(file.path)] * len(ids), pa.string())], schema=PAIRS))
    with duckdb.connect(":memory:") as connection:
        connection.register("said", pa.concat_tables(said))
        for name in ("assets", "asset_alias"):
            connection.register(name, tables[name])
        rows = connection.sql(_INDEX).to_arrow_table()
    return warehouse.write(
        TABLE, rows.replace_schema_metadata({OF_FILES: _digest(file.path for file in files if file.table in OF_TABLES)})
    )


def cells_file(warehouse: Warehouse, release: Release) -> DataFile | None:
    """The index of a release, if it has one of just the files that it has."""
    indexes = warehouse.files(release, TABLE)
    if len(indexes) != 1:
        return None
    (path,) = warehouse.local_files(indexes)
    paths = [path for table in OF_TABLES for path in warehouse.paths(release, table)]
    with parquet_file(path) as file:
        metadata = file.schema_arrow.metadata or {}
    return indexes[0] if metadata.get(OF_FILES) == _digest(paths) else None


def cell_of(path: str) -> str:
    """The cell of a file of `SAID`, as its folder is called; empty where an earlier version wrote it without one.

    >>> cell_of("asset_history/cell=201_-1/open/asset-history-599039a2-422fbcf81aab51bd.parquet")
    '201_-1'
    """
    return path.partition("/cell=")[2].partition("/")[0]


def _digest(paths: Iterable[str]) -> bytes:
    return digest_of("/".join(content_of(path)) for path in paths).encode()
