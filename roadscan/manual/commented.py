"""A config as commented YAML: every field with its description, type, bounds, unit and default.

What is printed loads again as the defaults. Required fields are there as comments, to be filled in.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from roadscan.config import Config
from roadscan.manual.fields import FieldFacts, describe, first_sentence
from roadscan.manual.jobs import JOBS, JobName

WIDTH = 110  # of the comments above a field
STEP = "  "


def commented_yaml(name: JobName) -> str:
    """The config of a job, every field with its default."""
    job = JOBS[name]
    head = [first_sentence(job.model()), job.command, "Fields that are required stand in comments: fill them in."]
    lines = [*(f"# {line}" for line in head), "", *_group(job.model(), None, job.without)]
    return "\n".join(lines) + "\n"


def _group(
    model: type[Config], values: Config | None, without: frozenset[str], *, hide_required: bool = True
) -> Iterator[str]:
    """The lines of a group of fields."""
    for field in describe(model, values):
        if field.name in without:
            continue
        yield from (f"# {line}" for line in textwrap.wrap(field.description, WIDTH))
        below = frozenset(name.removeprefix(f"{field.name}.") for name in without if name.startswith(f"{field.name}."))
        if field.group is None:
            line = f"{field.name}: {_value(field)}# {_facts(field)}"
            yield f"# {line}" if field.required and hide_required else line
        elif field.holds == "one":
            yield f"{field.name}:"
            yield from _indented(_group(field.group, field.inner, below, hide_required=hide_required))
        else:
            yield f"{field.name}: {_value(field)}# {_facts(field)}; such as"
            yield from (f"# {line}" for line in _example(field, below))


def _example(field: FieldFacts, without: frozenset[str]) -> Iterator[str]:
    """A group that is not there by default, as it would be written."""
    assert field.group is not None
    yield f"{field.name}:"
    lines = list(_indented(_group(field.group, field.inner, without, hide_required=False)))
    if field.holds == "named":
        lines = [f"{STEP}a name:", *(STEP + line for line in lines)]
    if field.holds == "many":
        first = next(number for number, line in enumerate(lines) if not line.lstrip().startswith("#"))
        lines = [STEP + line for line in lines]
        lines[first] = f"{STEP}- {lines[first].lstrip()}"
    yield from lines


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (STEP + line for line in lines)


def _value(field: FieldFacts) -> str:
    return "" if field.required else f"{_flow(field.default)} "


def _facts(field: FieldFacts) -> str:
    return "; ".join(part for part in (field.values, field.unit, "required" if field.required else "") if part)


def _flow(value: Any) -> str:
    """A value as YAML on one line.

    >>> _flow(None), _flow("a: b"), _flow([1, "x"]), _flow(1e-5)
    ('null', "'a: b'", '[1, x]', '1.0e-05')
    """
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")
