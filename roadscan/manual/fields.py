"""A config model as a list of described fields: type, bounds, unit, default and meaning of each, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from roadscan.config import Config
from roadscan.units import unit_of

WORDS: dict[object, str] = {
    str: "text", int: "whole number", float: "number", bool: "true or false", NoneType: "null", Any: "any value",
    date: "date",
}  # fmt: skip
BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "multiple_of": "multiple of"}

#: How a field holds a group of fields: always one, one or null, a list of them, or each by a name.
Holds: TypeAlias = Literal["one", "optional", "many", "named"]


@dataclass(frozen=True)
class FieldFacts:
    """One field of a config model.

    Attributes:
        name: of the field in its group.
        description: what it means.
        values: type and bounds, in words.
        unit: by the name's suffix; empty where it has none.
        required: whether it has no default.
        default: as YAML has it; None of a required field.
        group: the model of the fields below it, for a group of fields.
        holds: how many of these groups.
        inner: the group's own default, where it has one.
    """

    name: str
    description: str
    values: str
    unit: str
    required: bool
    default: Any = None
    group: type[Config] | None = None
    holds: Holds = "one"
    inner: Config | None = None


def describe(model: type[Config], values: Config | None = None) -> Iterator[FieldFacts]:
    """The fields of a config model, in their order.

    Args:
        model: the model.
        values: what its fields have by default where the group as a whole has a default.
    """
    for name, info in model.model_fields.items():
        group, holds = _group(info.annotation)
        required = info.is_required() if values is None else False
        default = None if required else _default(info, name, values, group if holds == "one" else None)
        yield FieldFacts(
            name,
            info.description or "",
            "; ".join([in_words(info.annotation), *_bounds(info)]),
            unit_of(name),
            required,
            None if required else TypeAdapter(info.rebuild_annotation()).dump_python(default, mode="json"),
            group,
            holds,
            default if isinstance(default, Config) else None,
        )


def first_sentence(model: type[Config]) -> str:
    """What a config is of, from its docstring."""
    return (model.__doc__ or "").strip().split("\n", 1)[0]


def in_words(annotation: Any) -> str:
    """A type in words.

    >>> in_words(tuple[int, ...] | None), in_words(Literal["full", "half"])
    ('list of whole number, or null', 'full | half')
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return in_words(arguments[0])
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (Union, UnionType):
        return ", or ".join(dict.fromkeys(map(in_words, arguments)))
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"list of {in_words(arguments[0])}".replace("of group", "of groups")
    if origin is tuple:
        return f"[{', '.join(map(in_words, arguments))}]"
    if origin is dict:
        return f"mapping of {in_words(arguments[0])} to {in_words(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return "group"
    return WORDS.get(annotation, str(annotation))


def _bounds(info: FieldInfo) -> Iterator[str]:
    union = get_origin(info.annotation) in (Union, UnionType)
    what = "characters" if str in (get_args(info.annotation) if union else [info.annotation]) else "of them"
    for rule in info.metadata:
        for name, sign in BOUNDS.items():
            if (bound := getattr(rule, name, None)) is not None:
                yield f"{sign} {int(bound) if bound == int(bound) else bound}"
        if least := getattr(rule, "min_length", None):
            yield "not empty" if least == 1 else f"at least {least} {what}"
        if most := getattr(rule, "max_length", None):
            yield f"at most {most} {what}"
        if pattern := getattr(rule, "pattern", None):
            yield f"matches `{pattern}`"


def _group(annotation: Any) -> tuple[type[Config] | None, Holds]:
    """The model of the fields below this one, and how many of them there are."""
    arguments = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return annotation, "one"
    origin = get_origin(annotation)
    holds: Holds = "many" if origin is tuple else "named" if origin is dict else "optional"
    for one in arguments:
        if isinstance(one, type) and issubclass(one, Config):
            return one, holds
    return None, "one"


def _default(info: FieldInfo, name: str, values: Config | None, group: type[Config] | None) -> Any:
    default = info.get_default(call_default_factory=True) if values is None else getattr(values, name)
    return group.model_validate(default) if group and isinstance(default, dict) else default
