"""Markdown tables: every field of every job's config, and every column of every table of a warehouse."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from roadscan.config import Config
from roadscan.manual.columns import Column, drive_frames, training_tables, warehouse_tables
from roadscan.manual.fields import FieldFacts, Holds, describe, first_sentence
from roadscan.manual.jobs import JOBS, Job

#: From a field to those of its groups.
BELOW: dict[Holds, str] = {"one": ".", "optional": ".", "many": "[].", "named": ".NAME."}


def config_tables() -> str:
    """Every field of every job's config."""
    return "\n\n".join(_job(name, job) for name, job in JOBS.items())


def schema_tables() -> str:
    """Every column of every table: a drive's, a warehouse's, those of trainings."""
    tables = {"a drive's frames": drive_frames(), **warehouse_tables(), **training_tables()}
    return "\n\n".join(
        f"### {name}\n\n{table.description}\n\n{_columns(table.columns)}" for name, table in tables.items()
    )


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table in Markdown.

    >>> print(markdown_table(["a", "b"], [["1 | 2", ""]]))
    | a | b |
    | --- | --- |
    | 1 \| 2 |  |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _job(name: str, job: Job) -> str:
    model = job.model()
    rows = list(_rows(model, None, "", job.without, {other.model(): key for key, other in JOBS.items()}))
    table = markdown_table(["field", "default", "values", "unit", "meaning"], rows)
    return f"### {name}\n\n{first_sentence(model)} `{job.command}`\n\n{table}"


def _rows(
    model: type[Config], values: Config | None, prefix: str, without: frozenset[str], jobs: dict[type[Config], str]
) -> Iterator[list[str]]:
    """A row a field; a group that is a job's whole config is named, and not repeated."""
    for field in describe(model, values):
        path = prefix + field.name
        if path in without:
            continue
        job = jobs.get(field.group) if field.group else None
        if field.group is None or job:
            meaning = f"{field.description}; fields as of [{job}](#{job})" if job else field.description
            yield [f"`{path}`", "" if job else _default(field), field.values, field.unit, meaning]
            continue
        if field.holds != "one":
            yield [f"`{path}`", _default(field), field.values, "", field.description]
        yield from _rows(field.group, field.inner, f"{path}{BELOW[field.holds]}", without, jobs)


def _default(field: FieldFacts) -> str:
    return "required" if field.required else f"`{_shown(field.default)}`"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _columns(columns: Iterable[Column]) -> str:
    rows = [
        [f"`{column.name}`", f"`{column.type}`", "yes" if column.nullable else "", column.unit, column.description]
        for column in columns
    ]
    return markdown_table(["column", "type", "null", "unit", "meaning"], rows)
