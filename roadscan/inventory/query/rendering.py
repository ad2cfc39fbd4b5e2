"""Rows to text: a table that fits the terminal, one block a record, JSON, or CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, get_args

import pyarrow as pa
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table

from roadscan.errors import ConfigError
from roadscan.parsing import python_values
from roadscan.printing import Terminal, cell, json_text
from roadscan.shown import printable

Format = Literal["table", "record", "json", "csv"]

FORMULA = ("=", "+", "-", "@")  # what a spreadsheet takes for one begins with these
NUMBER = re.compile(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?")
GAP = 2  # between two columns; the margins of a table take as much
WIDE = 40  # beyond which a cell goes on in the next line, unless there is room


def render(table: pa.Table, format: Format, console: Terminal, *, guard: bool = True) -> None:  # noqa: A002 - users' word
    """Print rows.

    Args:
        table: the rows.
        format: ``table`` and ``record`` for people: a table leaves out the columns that the console has no room for,
            and says which; a record has each column on a line of its own. ``json`` (one array of objects) or ``csv``
            for programs. Bytes are written as hex, times as ISO 8601; for people without their zone, which is said
            below.
        console: where to; for ``json`` and ``csv`` its width and colours have no effect.
        guard: of ``csv``, as of `csv_text`.

    Raises:
        ConfigError: another format.
    """
    names = _unique(table.column_names)
    rows = _rows(table)
    if format == "json":
        console.file.write(json_text([dict(zip(names, map(plain, row), strict=True)) for row in rows], 1) + "\n")
    elif format == "csv":
        console.file.write(csv_text(table, guard=guard))
    elif format == "record":
        _print_records(names, rows, console)
        _print_zones(table.schema, names, console)
    elif format == "table":
        _print_table(table.schema, names, rows, console)
    else:
        raise ConfigError(f"format: got {format!r}; expected one of {', '.join(get_args(Format))}")


def csv_text(table: pa.Table, *, guard: bool = True) -> str:
    """Rows as CSV, with a header; null is empty.

    Args:
        table: the rows.
        guard: a text that a spreadsheet would run as a formula begins with ', and characters that act on a terminal are
            shown. Without it every text is as it is, for programs.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    cell_of = guarded if guard else _cell
    writer.writerow(map(cell_of, _unique(table.column_names)))
    writer.writerows(map(cell_of, row) for row in _rows(table))
    return buffer.getvalue()


def guarded(value: Any) -> str:
    """A cell of CSV that a spreadsheet takes for text where it is text (OWASP, "CSV Injection").

    >>> guarded("=A1+1"), guarded("-12.5"), guarded(-12.5), guarded("a-b")
    ("'=A1+1", '-12.5', '-12.5', 'a-b')
    """
    text = printable(_cell(value), "\n\t")
    runs = isinstance(value, str) and text.lstrip().startswith(FORMULA) and not NUMBER.fullmatch(text)
    return f"'{text}" if runs else text


def _rows(table: pa.Table) -> list[tuple[Any, ...]]:
    """Rows as Python has them; times of which it has none, before the year 1 or after 9999, as text."""
    return list(zip(*map(python_values, table.columns), strict=True)) if table.num_columns else []


def _print_table(schema: pa.Schema, names: list[str], rows: Sequence[tuple[Any, ...]], console: Terminal) -> None:
    cells = [[_short(value) for value in row] for row in rows]
    widths = [max(_width(text) for text in (name, *column)) for name, *column in zip(names, *cells, strict=True)]
    shown = fitting(widths, [_is_shape(field.type) for field in schema], console.width)
    view = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0))  # the box has a space, too
    for column, width in shown.items():
        number = pa.types.is_integer(schema.field(column).type) or pa.types.is_floating(schema.field(column).type)
        view.add_column(cell(names[column]), width=width, overflow="fold", justify="right" if number else "left")
    for row in cells:
        view.add_row(*(cell(row[column]) for column in shown))
    console.print(view)
    left_out = [name for column, name in enumerate(names) if column not in shown]
    if left_out:
        console.print(
            f"{len(shown)} of {len(names)} columns fit; --record shows the others: {', '.join(left_out)}",
            markup=False,
            style="dim",
        )
    if not rows:
        console.print("no rows", style="dim")
    _print_zones(schema, [names[column] for column in shown], console)


def fitting(widths: Sequence[int], last: Sequence[bool], room: int) -> dict[int, int]:
    """The columns that a line has room for, in their order, and how wide each is.

    Args:
        widths: that each would take, in characters.
        last: of each whether it is shown only when all others are.
        room: characters of a line.

    >>> fitting([10, 90, 8], [False, False, False], 80)
    {0: 10, 1: 56, 2: 8}
    >>> fitting([30, 20, 40, 5], [False, True, False, False], 80)
    {0: 30, 2: 40}
    >>> fitting([100, 20], [False, False], 20)
    {0: 18}
    """
    chosen: dict[int, int] = {}
    left = room
    for column in sorted(range(len(widths)), key=lambda column: (last[column], column)):
        width = min(widths[column], WIDE)
        if not chosen:
            width = max(1, min(width, left - GAP))
        if width + GAP <= left or not chosen:
            chosen[column] = width
            left -= width + GAP
    for column in sorted(chosen):
        more = max(0, min(widths[column] - chosen[column], left))
        chosen[column] += more
        left -= more
    return {column: chosen[column] for column in sorted(chosen)}


def _is_shape(type_: pa.DataType) -> bool:
    """Whether values are for programs: WKB, boxes, covering structs."""
    return bool(pa.types.is_binary(type_) or pa.types.is_nested(type_))


def _print_records(names: list[str], rows: Sequence[tuple[Any, ...]], console: Terminal) -> None:
    for number, row in enumerate(rows, 1):
        console.print(f"record {number} of {len(rows)}", style="bold")
        view = Table.grid(padding=(0, 2))
        view.add_column(no_wrap=True)
        view.add_column(overflow="fold")
        for name, value in zip(names, row, strict=True):
            view.add_row(cell(name), cell(_short(value)))
        console.print(view)
    if not rows:
        console.print(f"no rows of {', '.join(names)}", markup=False)


def _print_zones(schema: pa.Schema, shown: Sequence[str], console: Terminal) -> None:
    """In which zone the times are that were shown."""
    zones = {
        field.type.tz
        for name, field in zip(_unique(schema.names), schema, strict=True)
        if name in shown and pa.types.is_timestamp(field.type) and field.type.tz
    }
    if zones:
        console.print(f"times in {' and '.join(sorted(zones))}", style="dim", markup=False)


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


def _short(value: Any) -> str:
    """A cell as people read it: times to the second, ten digits of a number.

    >>> _short(100.53061841234567), _short(datetime(2026, 11, 1, 2, 3, 4, 500_000))
    ('100.5306184', '2026-11-01 02:03:04')
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ", "seconds")
    return f"{value:.10g}" if isinstance(value, float) and math.isfinite(value) else _cell(value)


def _cell(value: Any) -> str:
    simple = plain(value)
    if simple is None:
        return ""
    return json.dumps(simple, ensure_ascii=False) if isinstance(simple, dict | list) else str(simple)


def _text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _width(text: str) -> int:
    return max((cell_len(line) for line in text.splitlines()), default=0)
