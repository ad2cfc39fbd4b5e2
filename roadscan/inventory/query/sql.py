"""SQL over what a warehouse has committed: its tables and the shipped views, in DuckDB, and nothing else.

A query sees exactly the files of one release. It is one statement that reads; other files, the network, extensions and
settings are out of its reach. Its days and hours are those of the warehouse's time zone, never of the machine's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.errors import WarehouseError
from roadscan.inventory.query.asked import ASKED, Asked, Box, find_asked
from roadscan.inventory.tiles.cells import cell_of, cells_file
from roadscan.inventory.tiles.kept import SAID
from roadscan.inventory.views import STORED, VIEWS
from roadscan.schemas import TABLES
from roadscan.settings import time_zone
from roadscan.storage import reach
from roadscan.warehouse import Release, Warehouse
from roadscan.warehouse.warehouse import SURVEYED

#: Words of queries that ask what there is.
CATALOGUE = {"show", "information_schema", "duckdb_tables", "duckdb_views", "duckdb_columns"}

#: An earlier release's register, beside that of the release which a query is about.
BEFORE = "assets_before"

STREAMED_ROWS = 20_000  # of a part: some 20 MB

OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
}


def query(warehouse_uri: str, sql: str, *, as_of: datetime | None = None) -> pa.Table:
    """Run one SQL query over a warehouse.

    Args:
        warehouse_uri: the warehouse's root.
        sql: one SELECT over the names of `roadscan.schemas.TABLES` and `VIEWS`.
        as_of: the state of that moment; None for the current one.

    Raises:
        WarehouseError: DuckDB refuses the query (its message, and which tables and views there are), or nothing was
            ever published there, or not by `as_of`.
    """
    warehouse = Warehouse(warehouse_uri)
    return query_release(warehouse, warehouse.published() if as_of is None else warehouse.as_of(as_of), sql)


def query_release(warehouse: Warehouse, release: Release, sql: str) -> pa.Table:
    """Run one SQL query over one release, as `query` does; for several questions to the same one.

    Raises:
        WarehouseError: DuckDB refuses the query.
    """
    with _opened(warehouse, release, sql) as connection:
        return connection.sql(sql).to_arrow_table()


@contextmanager
def stream_release(
    warehouse: Warehouse, release: Release, sql: str, *, before: Release | None = None, rows: int = STREAMED_ROWS
) -> Iterator[pa.RecordBatchReader]:
    """Run one SQL query over one release, as `query_release` does, and read its answer a part at a time.

    Args:
        warehouse: whose.
        release: which state.
        sql: as of `query`.
        before: an earlier release, whose register is the table `BEFORE` of the query.
        rows: of a part.

    Raises:
        WarehouseError: DuckDB refuses the query; also while its answer is read.
    """
    with _opened(warehouse, release, sql, before) as connection:
        yield connection.sql(sql).to_arrow_reader(rows)


@contextmanager
def _opened(
    warehouse: Warehouse, release: Release, sql: str, before: Release | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can answer one question and nothing else; what DuckDB refuses is a `WarehouseError`."""
    with duckdb.connect(":memory:", config=OFFLINE) as connection:
        try:
            check_reads(connection, sql)
            connection.execute("SET enable_progress_bar = false")  # drawn on standard output, after 2 s
            connection.execute(f"SET TimeZone = {quoted(time_zone(warehouse.store))}")
            define_views(connection, warehouse, release, sql, before)
            yield connection
        except (duckdb.Error, OSError) as error:
            reach(warehouse.store)  # what a store refuses reaches here in DuckDB's words
            raise WarehouseError(f"query: {error}\n{_names()}") from None


def named(sql: str) -> tuple[set[str], set[str]]:
    """The tables and the views that a query may need, tables also through views; the rest does not exist for it.

    Every name that occurs as a word: perhaps one too many, and one too few only where a name is put together
    (``query_table('as' || 'sets')``), which then is an error and not an empty table. DuckDB's own `get_table_names`
    refuses joins with USING (2.0.0: "column does not exist on left side of join").

    >>> tables, views = named("SELECT * FROM Changes")
    >>> sorted(tables), sorted(views)
    (['asset_alias', 'asset_changes', 'assets', 'changes_since'], ['changes', 'changes_since'])
    """
    words = set(re.findall(r"\w+", sql.lower()))
    if words & CATALOGUE:
        return set(TABLES), set(VIEWS)
    while new := {word for view in words & VIEWS.keys() for word in re.findall(r"\w+", VIEWS[view].lower())} - words:
        words |= new
    return words & TABLES.keys(), words & VIEWS.keys()


def check_reads(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """One statement, which reads: the release's own files are open to COPY, also inside an EXPLAIN ANALYZE."""
    kinds = [statement.type.name for statement in connection.extract_statements(sql)]
    if kinds != ["SELECT"]:
        got = ", ".join(kinds) or "nothing"
        raise WarehouseError(f"query: got {got}; expected one SELECT statement, since a query only reads\n{_names()}")


def define_views(
    connection: duckdb.DuckDBPyConnection,
    warehouse: Warehouse,
    release: Release,
    sql: str,
    before: Release | None = None,
) -> None:
    """Make the tables and views that a query names, then take away every other file, the network and the settings."""
    tables, views = named(sql)
    views = {name for name in views if name not in STORED or not release.has(name)}  # these were computed before
    tables -= views
    narrowed = _narrowed(tables, sql) if tables & set(SAID) and cells_file(warehouse, release) else set[str]()
    tables |= {"asset_cells"} if narrowed else set()
    paths = [path for name in sorted(tables - narrowed) for path in _define(connection, warehouse, release, name)]
    asked = find_asked(connection, sql, changes="frames" in narrowed) if narrowed else None
    for name in sorted(narrowed):
        paths += _define(connection, warehouse, release, name, asked)
    if before is not None:
        paths += _define(connection, warehouse, before, "assets", called=BEFORE)
    for name in (name for name in VIEWS if name in views):  # in their order: a view may read one before it
        connection.execute(f"CREATE VIEW {name} AS {VIEWS[name]}")
    connection.execute(f"SET allowed_paths=[{', '.join(quoted(path) for path in paths)}]")
    connection.execute("SET enable_external_access=false")
    connection.execute("SET lock_configuration=true")


def _narrowed(tables: set[str], sql: str) -> set[str]:
    """Those of a question's tables of which only what is said of some assets may be needed."""
    narrowed = set(SAID)
    for view, table in (("asset_timeline", "changes_since"), ("change_photographs", "frames")):
        if table not in named(re.sub(rf"(?i)\b{view}\b", "", sql))[0]:  # else it is asked for in another way, too
            narrowed.add(table)
    return (narrowed - {"changes_since"} if "frames" in narrowed & tables else narrowed) & tables


def _define(
    connection: duckdb.DuckDBPyConnection,
    warehouse: Warehouse,
    release: Release,
    name: str,
    asked: Asked | None = None,
    *,
    called: str = "",
) -> list[str]:
    """Make one table, of what is `asked`, under its name or another; the paths that it is read from."""
    called = called or name
    if name in SURVEYED:
        where = _within(asked.box) if asked and asked.box else None
        connection.register(called, warehouse.dataset(release, name, where=where))
        return []
    there, rows = warehouse.paths(release, name), "true"
    if asked:
        there = [path for path in there if cell_of(path) in {"", *asked.cells}]
        said_as = "asset_id" if name == "changes_since" else "coalesce(said_as, asset_id)"
        rows = f"asset_id IN (SELECT {said_as} FROM {ASKED})"  # noqa: S608
    if there:
        paths = [str(path) for path in warehouse.local_files(warehouse.files(release, name, paths=there))]
        source = f"read_parquet([{', '.join(map(quoted, paths))}], union_by_name=true)"
        connection.execute(f"CREATE VIEW {called} AS SELECT * FROM {source} WHERE {rows}")  # noqa: S608
        return paths
    connection.register(f"empty_{called}", TABLES[name].empty_table())
    connection.execute(f"CREATE TABLE {called} AS SELECT * FROM empty_{called}")  # noqa: S608
    connection.unregister(f"empty_{called}")
    return []


def _within(box: Box) -> pc.Expression:
    """Which frames are within a box; DuckDB tells a dataset no condition on numbers that may be NaN."""
    west, south, east, north = box
    lon, lat = pc.field("camera_lon"), pc.field("camera_lat")
    return (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _names() -> str:
    return f"tables: {', '.join(name for name in TABLES if name not in VIEWS)}\nviews: {', '.join(VIEWS)}"
