"""The search space of a sweep: for each field of a training, the values it may take.

A dimension is a list of values, a range, or a list of both: ``[0, {low: 1, high: 3}]`` is 0 or anything from 1 to 3. A
range in a list is a parameter of its own, which exists only in trials that chose it (define-by-run), so the search
learns about it from those trials alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from roadscan.config import Config

Value = bool | int | float | str | None
Settings = dict[str, Any]  # by dotted field of the training config
Params = dict[str, Value]  # by name of the parameter in the study


class Range(Config):
    """All numbers between two."""

    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)
    log: bool = Field(False, description="search factors instead of differences")
    whole: bool = Field(False, description="whole numbers only")

    def __contains__(self, value: object) -> bool:
        number = isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high  # type: ignore[operator]

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}"

    @model_validator(mode="after")
    def _has_room(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"expected low < high, got low {self.low} and high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"log: expected low > 0, got {self.low}")
        if self.whole and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"whole: expected whole bounds, got {self.low} and {self.high}")
        return self


def _shape(given: object) -> str:
    """A value -> its shape, so that an error speaks of that one alone."""
    return "range" if isinstance(given, dict | Range) else "values" if isinstance(given, list | tuple) else "value"


def _distinct(given: tuple[Value | Range, ...]) -> tuple[Value | Range, ...]:
    """Refuse equal options: a trial could not say which it has."""
    if not given:
        raise ValueError("expected at least 1 value")
    if len({_label(one) for one in given}) < len(given):
        raise ValueError("expected each value once")
    return given


Option = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Value, Tag("value")],
    Discriminator(_shape, custom_error_type="option", custom_error_message="expected a value or {low: , high: }"),
]
Options = Annotated[tuple[Option, ...], AfterValidator(_distinct)]
Dimension = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Options, Tag("values")],
    Discriminator(_shape, custom_error_type="dimension", custom_error_message="expected [values] or {low: , high: }"),
]


class Suggester(Protocol):
    """Who suggests values: Optuna's `Trial` and `FixedTrial`."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of the choices."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """A number."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        """A whole number."""


def suggest(space: Mapping[str, Dimension], suggester: Suggester) -> Settings:
    """A search space -> a value for each of its fields, as suggested."""
    return {field: _suggest(field, dimension, suggester) for field, dimension in space.items()}


def _suggest(field: str, dimension: Dimension, suggester: Suggester) -> Value:
    if isinstance(dimension, Range):
        return _number(field, dimension, suggester)
    option = suggester.suggest_categorical(field, tuple(map(_label, dimension)))
    for one in dimension:
        if isinstance(one, Range) and str(one) == option:
            return _number(f"{field} in {one}", one, suggester)
    return option  # type: ignore[no-any-return]


def _number(name: str, range_: Range, suggester: Suggester) -> int | float:
    if range_.whole:
        return suggester.suggest_int(name, int(range_.low), int(range_.high), log=range_.log)
    return suggester.suggest_float(name, range_.low, range_.high, log=range_.log)


def params_of(space: Mapping[str, Dimension], settings: Mapping[str, Any]) -> Params | None:
    """Settings -> the parameters by which `suggest` gives them, or None if they are not in the space."""
    params: Params = {}
    for field, dimension in space.items():
        value = settings[field]
        if isinstance(dimension, Range):
            if value not in dimension:
                return None
            params[field] = value
            continue
        found = next((one for one in dimension if _is_or_holds(one, value)), Ellipsis)
        if found is Ellipsis:
            return None
        params[field] = _label(found)
        if isinstance(found, Range):
            params[f"{field} in {found}"] = value
    return params


def _is_or_holds(option: Value | Range, value: object) -> bool:
    if isinstance(option, Range):
        return value in option
    return option == value and isinstance(option, bool) == isinstance(value, bool)


def _label(option: Value | Range) -> Value:
    return str(option) if isinstance(option, Range) else option


def options(dimension: Dimension) -> tuple[Value | Range, ...]:
    """A dimension -> its values and ranges."""
    return (dimension,) if isinstance(dimension, Range) else dimension


def probes(dimension: Dimension) -> list[Value]:
    """A dimension -> values to check it by: those of a list; the ends of each range, and a fraction in it."""
    found: list[Value] = []
    for one in options(dimension):
        if not isinstance(one, Range):
            found.append(one)
        elif one.whole:
            found += [int(one.low), int(one.high)]
        else:
            found += [one.low, one.high, one.low + (one.high - one.low) / math.pi]
    return found


def grid_points(space: Mapping[str, Dimension], points_per_range: int) -> int:
    """A search space -> how many points a full grid over it has, with so many in each range."""
    counts = ([points_per_range if isinstance(one, Range) else 1 for one in options(space[field])] for field in space)
    return math.prod(map(sum, counts))


def describe(dimension: Dimension) -> str:
    """A dimension -> the same in words."""
    return " | ".join("none" if one is None else str(one) for one in options(dimension))
