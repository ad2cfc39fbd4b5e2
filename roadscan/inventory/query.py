"""SQL over what a warehouse has committed: its tables and the shipped views, in DuckDB, and nothing else.

A query sees exactly the files of one release. It is one statement that reads; other files, the network, extensions and
settings are out of its reach.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, get_args

import duckdb
import pyarrow as pa
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from roadscan.errors import ConfigError, WarehouseError
from roadscan.inventory.views import VIEWS
from roadscan.schemas import TABLES
from roadscan.warehouse import Release, Warehouse
from roadscan.warehouse.warehouse import SURVEYED

Format = Literal["table", "json", "csv"]

#: Words of queries that ask what there is.
CATALOGUE = {"show", "information_schema", "duckdb_tables", "duckdb_views", "duckdb_columns"}

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
    with duckdb.connect(":memory:", config=OFFLINE) as connection:
        try:
            check_reads(connection, sql)
            define_views(connection, warehouse, release, *named(sql))
            return connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
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
    connection: duckdb.DuckDBPyConnection, warehouse: Warehouse, release: Release, tables: set[str], views: set[str]
) -> None:
    """Make these tables and views, then take away every other file, the network and the settings."""
    paths: list[str] = []
    views = {name for name in views if not release.has(name)}  # the others were computed when it was published
    for name in sorted(tables - views):
        if name in SURVEYED:
            connection.register(name, warehouse.dataset(release, name))
            continue
        files = [str(path) for path in warehouse.local_files(warehouse.files(release, name))]
        if files:
            source = ", ".join(quoted(path) for path in files)
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{source}], union_by_name=true)")  # noqa: S608
            paths += files
        else:
            connection.register(f"empty_{name}", TABLES[name].empty_table())
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM empty_{name}")  # noqa: S608
            connection.unregister(f"empty_{name}")
    for name in (name for name in VIEWS if name in views):  # in their order: a view may read one before it
        connection.execute(f"CREATE VIEW {name} AS {VIEWS[name]}")
    connection.execute(f"SET allowed_paths=[{', '.join(quoted(path) for path in paths)}]")
    connection.execute("SET enable_external_access=false")
    connection.execute("SET lock_configuration=true")


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _names() -> str:
    return f"tables: {', '.join(name for name in TABLES if name not in VIEWS)}\nviews: {', '.join(VIEWS)}"


def render(table: pa.Table, format: Format, console: Console) -> None:  # noqa: A002 - the word users type
    """Print a query's result.

    Args:
        table: the rows.
        format: ``table`` for people, ``json`` (one array of objects) or ``csv`` for programs. Bytes are written as hex,
            times as ISO 8601.
        console: where to; for ``json`` and ``csv`` its width and colours have no effect.

    Raises:
        ConfigError: another format.
    """
    names = _unique(table.column_names)
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    if format == "json":
        text = json.dumps(
            [dict(zip(names, map(plain, row), strict=True)) for row in rows], ensure_ascii=False, indent=1
        )
        console.file.write(text + "\n")
    elif format == "csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(value) for value in row] for row in rows)
        console.file.write(buffer.getvalue())
    elif format == "table":
        view = Table(*names)
        for row in rows:
            view.add_row(*(escape(_cell(value)) for value in row))
        console.print(view)
    else:
        raise ConfigError(f"format: got {format!r}; expected one of {', '.join(get_args(Format))}")


def _unique(names: list[str]) -> list[str]:
    """Column names with `_1`, `_2` … where SQL gave one twice.

    >>> _unique(["a", "b", "a"])
    ['a', 'b', 'a_1']
    """
    unique: list[str] = []
    for name in names:
        tries = (f"{name}_{n}" if n else name for n in range(len(names)))
        unique.append(next(free for free in tries if free not in unique))
    return unique


def plain(value: Any) -> Any:
    """The value as JSON knows it."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float | str) else _text(value)


def _cell(value: Any) -> str:
    simple = plain(value)
    if simple is None:
        return ""
    return json.dumps(simple, ensure_ascii=False) if isinstance(simple, dict | list) else str(simple)


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
