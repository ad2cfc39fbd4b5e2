"""Rows to what a format has room for: types, names and lengths; whatever does not fit is counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.export.formats import Format
from roadscan.inventory.query.rendering import guarded, plain

MICROSECONDS = pa.timestamp("us", tz="UTC")
FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years 1 to 9999, since 1970
ISO = "%Y-%m-%dT%H:%M:%S"  # with the microseconds, which Arrow's %S has


class Fit:
    """How one format has the columns of an answer.

    Args:
        schema: of the answer, without what is hidden and what places a row.
        format: the format.
        guard: whether a text of CSV that a spreadsheet would run begins with '.

    Attributes:
        schema: as it is written.
        losses: what did not fit, in words, and in how many values.
        rounded: times whose microseconds did not fit, by column.
        changes: what is told otherwise and is all there, in words.
    """

    def __init__(self, schema: pa.Schema, format: Format, *, guard: bool = True) -> None:  # noqa: A002 - users' word
        self._format, self._guard = format, guard and format.driver == "CSV"
        self._names = fitting_names(schema.names, format)
        self.losses, self.rounded, self.changes = Counter[str](), Counter[str](), list[str]()
        renamed = {old: new for old, new in zip(schema.names, self._names, strict=True) if old != new}
        if renamed:
            self.changes.append("renamed: " + ", ".join(f"{old} is {new}" for old, new in renamed.items()))
        nested = [field.name for field in schema if pa.types.is_nested(field.type) and not self._is_list(field.type)]
        decimal = [field.name for field in schema if pa.types.is_decimal(field.type)]
        for said, told in (("JSON text", nested), ("floating-point numbers", decimal)):
            if told:
                self.changes.append(f"as {said}: {', '.join(told)}")
        self.schema = self.apply(schema.empty_table()).schema

    def apply(self, rows: pa.Table) -> pa.Table:
        """Some rows -> the same as they are written."""
        columns = [self._column(name, rows.column(place)) for place, name in enumerate(self._names)]
        return pa.table(dict(zip(self._names, columns, strict=True)))

    def _column(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        type_, text = column.type, self._format.text_types
        if pa.types.is_dictionary(type_):
            return self._column(name, column.cast(type_.value_type))
        if pa.types.is_boolean(type_):
            return self._text(name, column) if "bool" in text else column
        if pa.types.is_integer(type_) and type_ != pa.uint64():  # of which the formats have no type: it is text
            return column if type_ in (pa.int32(), pa.int64()) else column.cast(_wider(type_))
        if pa.types.is_decimal(type_):
            return column.cast(pa.float64())
        if pa.types.is_floating(type_):
            return self._finite(name, column)
        if pa.types.is_date(type_):
            return pc.strftime(column, format="%Y-%m-%d") if "date" in text else column.cast(pa.date32())
        if pa.types.is_timestamp(type_):
            return self._time(name, column)
        return column if self._is_list(type_) else self._text(name, column)

    def _is_list(self, type_: pa.DataType) -> bool:
        """Whether the format has a type of list."""
        if not self._format.lists or not (pa.types.is_list(type_) or pa.types.is_fixed_size_list(type_)):
            return False
        inner = type_.value_type
        return bool(pa.types.is_string(inner) or pa.types.is_integer(inner) or pa.types.is_floating(inner))

    def _finite(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """NaN and infinity are no numbers of any of these formats."""
        finite = pc.is_finite(column)
        self.losses[f"{name}: not a finite number, so empty"] += pc.sum(pc.invert(finite)).as_py() or 0
        return pc.if_else(finite, column, pa.scalar(None, column.type))

    def _time(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """An instant in UTC; a time without a zone stays one."""
        zoned = column.type.tz is not None
        column = column.cast(MICROSECONDS if zoned else pa.timestamp("us"), safe=False)
        count = column.cast(pa.int64())
        known = pc.and_(pc.greater_equal(count, FIRST_US), pc.less_equal(count, LAST_US))
        self.losses[f"{name}: not in the years 1 to 9999, so empty"] += pc.sum(pc.invert(known)).as_py() or 0
        column = pc.if_else(known, column, pa.scalar(None, column.type))
        if "time" in self._format.text_types:
            said = pc.replace_substring(pc.strftime(column, format=ISO), ".000000", "")
            return pc.binary_join_element_wise(said, "Z" if zoned else "", "")
        cut = pc.not_equal(pc.microsecond(column), 0)
        self.rounded[name] += pc.sum(cut).as_py() or 0
        return column

    def _text(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        text = _as_text(column)
        if count := pc.sum(pc.match_substring(text, "\0")).as_py():
            self.losses[f"{name}: a NUL, which ends a text, written as \\x00"] += count
            text = pc.replace_substring(text, "\0", "\\x00")
        if self._guard and pc.any(risky := pc.match_substring_regex(text, r"^\s*[=+\-@]")).as_py():
            now = [guarded(one) if at else one for one, at in zip(text.to_pylist(), risky.to_pylist(), strict=True)]
            text = pa.chunked_array([pa.array(now, pa.string())])
        most = self._format.text_bytes
        if most is not None and (count := pc.sum(long := pc.greater(pc.binary_length(text), most)).as_py()):
            self.losses[f"{name}: longer than {most} bytes, so cut"] += count
            now = [_cut(one, most) if at else one for one, at in zip(text.to_pylist(), long.to_pylist(), strict=True)]
            text = pa.chunked_array([pa.array(now, pa.string())])
        return text


def fitting_names(names: Sequence[str], format: Format) -> list[str]:  # noqa: A002 - users' word
    """Names of columns that a format takes: none twice in any case, none too long, none of its own.

    >>> from roadscan.export.formats import format_of
    >>> fitting_names(["a", "A", "fid", ""], format_of("a.gpkg"))
    ['a', 'A_1', 'fid_1', 'column']
    >>> fitting_names(["evidence_uri", "evidence_box_px"], format_of("a.shp.zip"))
    ['evidence_u', 'evidence_b']
    """
    most = format.name_bytes
    made: list[str] = []
    taken = set(format.reserved)
    for name in names:
        base = name.replace("\0", "") or "column"
        tries = (_ended(base, f"_{n}" if n else "", most) for n in range(len(names) + len(taken) + 1))
        free = next(one for one in tries if one.casefold() not in taken)
        taken.add(free.casefold())
        made.append(free)
    return made


def _ended(name: str, end: str, most: int | None) -> str:
    return name + end if most is None else _cut(name, most - len(end)) + end


def _cut(text: str, most: int) -> str:
    """As much of a text as so many bytes of UTF-8 hold.

    >>> _cut("ป้าย", 7)
    'ป้'
    """
    return text.encode()[:most].decode(errors="ignore")


def _wider(type_: pa.DataType) -> pa.DataType:
    return pa.int64() if type_ == pa.uint32() else pa.int32()


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    plainly = (pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_integer, pa.types.is_null)
    if any(is_one(column.type) for is_one in plainly):
        return column.cast(pa.string())
    return pa.chunked_array([pa.array([_said(one) for one in column.to_pylist()], pa.string())])


def _said(value: Any) -> str | None:
    """A value of a type that no format has, as text: lists and records as JSON, bytes as hex."""
    simple = plain(value)
    if simple is None or isinstance(simple, str):
        return simple
    return json.dumps(simple, ensure_ascii=False)
