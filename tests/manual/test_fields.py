"""Config models in words."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

import pytest
from pydantic import Field

from roadscan.config import Config
from roadscan.manual.fields import describe, in_words
from roadscan.manual.jobs import JOBS, JobName
from roadscan.units import unit_of


class Inner(Config):
    """A group."""

    width_px: int = Field(640, ge=32, multiple_of=32, description="of the image")


class Outer(Config):
    """A config with every kind of field."""

    name: str = Field(min_length=1, pattern="^a", description="what it is called")
    speed_mps: float | None = Field(None, gt=0, lt=0.5, description="of the vehicle")
    tags: tuple[str, ...] = Field((), max_length=3, description="words")
    inner: Inner = Field(Inner(width_px=96), description="one")
    spare: Inner | None = Field(None, description="one, or none")
    more: tuple[Inner, ...] = Field((), description="any number")


def test_a_field_is_told_with_type_bounds_unit_and_default() -> None:
    told = {field.name: field for field in describe(Outer)}
    assert (told["name"].values, told["name"].required) == ("text; not empty; matches `^a`", True)
    assert (told["speed_mps"].values, told["speed_mps"].unit) == ("number, or null; > 0; < 0.5", "m/s")
    assert (told["tags"].values, told["tags"].default) == ("list of text; at most 3 of them", [])
    holds = {name: field.holds for name, field in told.items() if field.group is Inner}
    assert holds == {"inner": "one", "spare": "optional", "more": "many"}


def test_a_groups_own_default_counts_before_the_models() -> None:
    (inner,) = [field for field in describe(Outer) if field.name == "inner"]
    (width,) = describe(Inner, inner.inner)
    assert (width.default, width.values, width.unit) == (96, "whole number; ≥ 32; multiple of 32", "px")


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (bool, "true or false"),
        (int | None, "whole number, or null"),
        (date | None, "date, or null"),
        (tuple[int, int], "[whole number, whole number]"),
        (tuple[str, ...] | None, "list of text, or null"),
        (dict[str, float], "mapping of text to number"),
        (Literal["a", "b"], "a | b"),
        (tuple[Inner, ...], "list of groups"),
        (Any, "any value"),
    ],
)
def test_types_in_words(annotation: Any, words: str) -> None:
    assert in_words(annotation) == words


@pytest.mark.parametrize(
    ("name", "unit"), [("track_gap_m", "m"), ("cov_ee_m2", "m²"), ("fov_deg", "°"), ("m", ""), ("epochs", "")]
)
def test_a_unit_is_the_end_of_a_name(name: str, unit: str) -> None:
    assert unit_of(name) == unit


@pytest.mark.parametrize("name", JOBS)
def test_every_field_of_every_job_says_what_it_means(name: JobName) -> None:
    def undescribed(model: type[Config], path: str) -> list[str]:
        found = []
        for field in describe(model):
            found += [] if field.description and "<" not in field.values.split("; ")[0] else [f"{path}{field.name}"]
            found += undescribed(field.group, f"{path}{field.name}.") if field.group else []
        return found

    assert undescribed(JOBS[name].model(), "") == []
