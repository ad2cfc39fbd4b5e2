"""The tables of `roadscan.schemas` in words: their metadata has the meanings and the units."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from roadscan import schemas


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
    return {name: _facts(schema) for name, schema in schemas.TABLES.items()}


def drive_frames() -> TableFacts:
    """The table of a drive."""
    return _facts(schemas.DRIVE_FRAMES)


def training_tables() -> dict[str, TableFacts]:
    """The tables that trainings and ablations leave, by what they are."""
    return {
        "what a model finds in a split": _facts(schemas.FOUND),
        "an ablation's runs": _facts(schemas.ABLATION_RUNS),
        "an ablation's differences": _facts(schemas.ABLATION_DIFFERENCES),
    }


def _facts(schema: pa.Schema) -> TableFacts:
    columns = (Column(field.name, str(field.type), field.nullable, *schemas.described(field)) for field in schema)
    return TableFacts(schema.metadata[b"description"].decode(), tuple(columns))
