"""The tables of `roadscan.schemas` in words: names, types and units from the schemas, meanings from their comments.

A column's comment stands behind it or above it, a table's begins with ``#:`` and stands above it. They are read from
the source, since a description in the schemas themselves would be part of every file that is written.
"""

from __future__ import annotations

import ast
import inspect
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from roadscan import schemas
from roadscan.manual.fields import unit_of


@dataclass(frozen=True)
class Column:
    """One column of a table; `description` is empty where the name says it all."""

    name: str
    type: str
    nullable: bool
    unit: str
    description: str


@dataclass(frozen=True)
class TableFacts:
    """One table."""

    description: str
    columns: tuple[Column, ...]


def warehouse_tables() -> dict[str, TableFacts]:
    """Every table of a warehouse, by name."""
    described = _described()
    name_of = {id(schema): name for name, schema in vars(schemas).items() if isinstance(schema, pa.Schema)}
    return {table: described[name_of[id(schema)]] for table, schema in schemas.TABLES.items()}


def drive_frames() -> TableFacts:
    """The table of a drive."""
    return _described()["DRIVE_FRAMES"]


@dataclass(frozen=True)
class _Comments:
    """A source's comments by line: behind code, and on lines of their own."""

    behind: dict[int, str]
    alone: dict[int, str]

    def of(self, first: int, last: int) -> str:
        """What is said of the lines first to last: right above them, and behind the last one."""
        above = first
        while above - 1 in self.alone:
            above -= 1
        said = [" ".join(self.alone[line] for line in range(above, first)), self.behind.get(last, "")]
        return "; ".join(filter(None, said))


def _described() -> dict[str, TableFacts]:
    """The tables, by the name of their constant."""
    source = inspect.getsource(schemas)
    comments = _read_comments(source)
    tables = {}
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                schema = getattr(schemas, name)
                if isinstance(schema, pa.Schema):
                    tables[name] = TableFacts(comments.of(call.lineno, 0), _columns(schema, call, comments))
    return tables


def _columns(schema: pa.Schema, call: ast.Call, comments: _Comments) -> tuple[Column, ...]:
    meaning = {ast.literal_eval(row.elts[0]): comments.of(row.lineno, row.end_lineno or 0) for row in _rows(call)}
    return tuple(
        Column(field.name, str(field.type), field.nullable, unit_of(field.name), meaning[field.name])
        for field in schema
    )


def _rows(call: ast.Call) -> Iterator[ast.Tuple]:
    for argument in call.args:
        assert isinstance(argument, ast.Tuple), "schemas are written as tuples, one a column"
        yield argument


def _read_comments(source: str) -> _Comments:
    comments = _Comments({}, {})
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            alone = token.line.lstrip().startswith("#")
            (comments.alone if alone else comments.behind)[token.start[0]] = token.string.lstrip("#: ")
    return comments
