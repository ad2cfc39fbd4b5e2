"""What a warehouse's tables and views are, for `roadscan query --describe`."""

from __future__ import annotations

import textwrap

import pyarrow as pa

from roadscan.errors import WarehouseError
from roadscan.inventory.query.sql import query
from roadscan.inventory.views import VIEWS
from roadscan.schemas import TABLES, described
from roadscan.units import unit_of


def describe_all() -> pa.Table:
    """Every table and view: its name, and what a row is."""
    names = [*TABLES, *(name for name in VIEWS if name not in TABLES)]
    said = {name: (schema.metadata or {})[b"description"].decode() for name, schema in TABLES.items()}
    return pa.table(
        {"name": names, "meaning": [said.get(name, f"a view; its SQL: --describe {name}") for name in names]}
    )


def describe_columns(uri: str, name: str) -> tuple[pa.Table, str]:
    """A table or a view -> its columns, and in words what a row is; of a view its SQL.

    Args:
        uri: the warehouse.
        name: of the table or the view.

    Raises:
        WarehouseError: there is no such name, or no warehouse.
    """
    if name in TABLES:
        fields = list(TABLES[name])
        facts = [described(field) for field in fields]
        nulls = ["yes" if field.nullable else "" for field in fields]
        columns = {
            "column": [field.name for field in fields],
            "unit": [unit for unit, _ in facts],
            "meaning": [meaning for _, meaning in facts],
            "null": nulls,
            "type": [str(field.type) for field in fields],
        }
        return pa.table(columns), (TABLES[name].metadata or {})[b"description"].decode()
    if name not in VIEWS:
        raise WarehouseError(f"--describe: got {name!r}; expected one of {', '.join([*TABLES, *VIEWS])}")
    shape = query(uri, f"SELECT * FROM {name} LIMIT 0").schema  # noqa: S608 - a name of VIEWS
    columns = {
        "column": shape.names,
        "type": [str(field.type) for field in shape],
        "unit": [unit_of(field) for field in shape.names],
    }
    return pa.table(columns), f"A view:\n{textwrap.dedent(VIEWS[name]).strip()}"
