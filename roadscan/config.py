"""Configs: one frozen pydantic base, YAML files, and ``--set a.b=c`` overrides.

Each package keeps its own config model beside its code and derives it from `Config`. A text field takes its value as it
was typed, ``007`` and ``no`` too; other fields take what YAML reads. Credentials never stand in a config: they come
from the usual AWS environment or profile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from roadscan.errors import ConfigError, Malformed
from roadscan.shown import shown
from roadscan.yamltext import MAX_BYTES, Typed, read_typed, read_yaml


class Config(BaseModel):
    """Base of every config model: frozen, and an unknown field is an error.

    Attributes:
        renamed: a field's name of earlier releases to its dotted name of now, for the message that refuses it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    renamed: ClassVar[Mapping[str, str]] = {}


ConfigT = TypeVar("ConfigT", bound=Config)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # unknown; a folder of zones; a path
        raise ValueError("expected a name of the IANA time zone database, such as Asia/Bangkok") from None
    return name


#: The name of a time zone.
ZoneName = Annotated[str, AfterValidator(_known_zone)]


def load_config(model: type[ConfigT], path: str | Path | None = None, overrides: Sequence[str] = ()) -> ConfigT:
    """Read a config from YAML, apply overrides, validate.

    Args:
        model: the config model.
        path: a YAML file; None for the model's defaults.
        overrides: ``a.b=value`` strings. A text field takes the value as it is, without quotes around it; nothing and
            ``null`` unset it. For other fields it is read as YAML, so ``x=3`` is an int and ``x=[a, b]`` a list.

    Raises:
        ConfigError: the file is missing or is not a YAML mapping, an override is malformed, or a field is unknown,
            missing or out of bounds. Every wrong field is named, with what was got.
    """
    tree = _settled(_read_yaml(Path(path)), model) if path is not None else {}
    for override in overrides:
        _apply(tree, override, model)
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain(error, model, f"config {path}" if path is not None else "config")) from None


def replace_fields(config: ConfigT, fields: Mapping[str, Any]) -> ConfigT:
    """The config with other values for some fields, by dotted name: ``{"loss.gamma": 2.0}``.

    Raises:
        ConfigError: a field is unknown, or its value is out of bounds.
    """
    tree = config.model_dump(mode="json")
    for name, value in fields.items():
        _put(tree, name.split("."), value, name)
    try:
        return type(config).model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain(error, type(config), "config")) from None


def dump_config(config: Config) -> str:
    """The resolved config as YAML, as ``--dry-run`` prints it."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def overrides_of(config: Config) -> list[str]:
    """The overrides from which `load_config` makes the same config without a file: every field that is no default."""
    tree = config.model_dump(mode="json", exclude_defaults=True)
    return [f"{name}={_on_one_line(value)}" for name, value in _fields(config, tree)]


def _fields(config: Config, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The dotted names and values of a config's dump; what is no group of fields stays whole."""
    for name, value in tree.items():
        group = getattr(config, name)
        if isinstance(group, Config) and value:
            yield from ((f"{name}.{field}", inner) for field, inner in _fields(group, value))
        else:
            yield name, value


def _on_one_line(value: Any) -> str:
    """The value as YAML on one line.

    >>> _on_one_line("s3://roads/highways"), _on_one_line("2026"), _on_one_line([1, 2])
    ('s3://roads/highways', "'2026'", '[1, 2]')
    """
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf).removesuffix("...\n").strip()


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            tree = read_typed(file.read(MAX_BYTES + 1))
    except OSError as error:
        raise ConfigError(f"config {path}: cannot be read ({error.strerror}); expected a YAML file") from None
    except Malformed as error:
        raise ConfigError(f"config {path}: {error}") from None
    if isinstance(tree, Typed):
        tree = tree.value
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"config {path}: expected a mapping of fields, got {type(tree).__name__}")
    return tree


def _apply(tree: dict[str, Any], override: str, model: type[Config]) -> None:
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {override}: expected field=value or group.field=value")
    kind: Any = model
    for key in keys:
        kind = _kind_within(kind, key)
    try:
        value = _typed_text(text, kind) if _is_text(kind) else _settled(read_typed(text), kind)
    except Malformed:
        raise ConfigError(f"--set {override}: the value is not valid YAML; quote it") from None
    _put(tree, keys, value, f"--set {override}")


def _typed_text(text: str, kind: Any) -> str | None:
    """The text without quotes around it; None for nothing and ``null``, where the field may be unset."""
    text = text.strip()
    if text in ("", "null") and NoneType in _members(kind):
        return None
    if not text.startswith(("'", '"')):
        return text
    try:
        return str(read_yaml(text))
    except Malformed:  # 'a' and 'b'
        return text


def _settled(node: Any, kind: Any) -> Any:
    """A tree of `read_typed` as fields of a type take it: text as it was typed, all else as YAML reads it."""
    if isinstance(node, Typed):
        return node.text if _is_text(kind) and node.value is not None else node.value
    if isinstance(node, dict):
        names = {key: _key_of(key, kind) for key in node}
        return {name: _settled(node[key], _kind_within(kind, name)) for key, name in names.items()}
    if isinstance(node, list):
        return [_settled(value, _kind_within(kind, index)) for index, value in enumerate(node)]
    return node


def _key_of(key: Any, kind: Any) -> Any:
    """A mapping's key, a text unless the field's type says otherwise."""
    keys = [get_args(one)[0] for one in _members(kind) if _is_mapping(one) and get_args(one)]
    return _settled(key, keys[0] if keys else str)


def _kind_within(kind: Any, key: str | int) -> Any:
    """The type of a field of a model, of a value of a mapping, or of an item of a list; Any where it is not known."""
    for one in _members(kind):
        inner = get_args(one)
        if isinstance(one, type) and issubclass(one, BaseModel):
            if key in one.model_fields:
                return one.model_fields[key].annotation
        elif inner and isinstance(key, str) == _is_mapping(one):
            fixed = isinstance(key, int) and get_origin(one) is tuple and Ellipsis not in inner
            return inner[min(int(key), len(inner) - 1)] if fixed else inner[-1 if _is_mapping(one) else 0]
    return Any


def _is_mapping(kind: Any) -> bool:
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _is_text(kind: Any) -> bool:
    """Whether a field of this type takes text and nothing else, but for None."""
    members = [one for one in _members(kind) if one is not NoneType]
    return bool(members) and all(one is str for one in members)


def _members(kind: Any) -> tuple[Any, ...]:
    """The types that a value may have: those of a union; of a literal, those of its values.

    >>> _members(int | Literal["auto"] | None)
    (<class 'int'>, <class 'str'>, <class 'NoneType'>)
    """
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return tuple(member for one in get_args(kind) for member in _members(one))
    if origin is Annotated:
        return _members(get_args(kind)[0])
    return tuple({type(value): None for value in get_args(kind)}) if origin is Literal else (kind,)


def _put(tree: dict[str, Any], keys: Sequence[str], value: Any, what: str) -> None:
    for key in keys[:-1]:
        child = tree[key] = tree.get(key) or {}
        if not isinstance(child, dict):
            raise ConfigError(f"{what}: {key!r} is a value, not a group of fields")
        tree = child
    tree[keys[-1]] = value


def check_renamed(columns: Mapping[str, str], names: Sequence[str], of: str, kind: str = "property") -> dict[str, str]:
    """A field ``{name: what the file calls it}``, as it is.

    Args:
        columns: the field.
        names: that there are.
        of: what they are, as "columns of roadscan".
        kind: what the file has instead.

    Raises:
        ValueError: a name is none of them.
    """
    if unknown := sorted(set(columns) - set(names)):
        raise ValueError(f"{unknown} are no {of}; expected {{name: {kind} of the file}}, names {list(names)}")
    return dict(columns)


def explain(error: ValidationError, model: type[Config], where: str) -> str:
    """What is wrong with the fields of a model, one a line: each with what was got and what was expected."""
    lines = [f"{where}:"]
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"]) or "(top level)"
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {field}: {_unknown(_group(model, problem['loc']), problem['loc'])}")
        elif problem["type"] == "missing":
            lines.append(f"  {field}: required, and not given; set it in the file or with --set {field}=…")
        else:
            lines.append(f"  {field}: got {shown(problem['input'])}; {problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


def _group(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    """The group in which a field was not known."""
    for part in location[:-1]:
        if part not in model.model_fields:  # a name or a number within a field of several groups
            continue
        annotation = model.model_fields[part].annotation
        for one in (annotation, *get_args(annotation)):  # a group, or one that may be left out, or several
            if isinstance(one, type) and issubclass(one, BaseModel):
                model = one
    return model


def _unknown(group: type[BaseModel], location: tuple[int | str, ...]) -> str:
    *parents, name = (str(part) for part in location)
    if issubclass(group, Config) and name in group.renamed:
        return f"is now {'.'.join([*parents, group.renamed[name]])}; set that instead"
    return f"unknown field; known fields: {', '.join(sorted(group.model_fields))}"
