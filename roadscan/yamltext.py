"""YAML of which every scalar is known as it was typed: ``007``, ``no``, ``12:30`` and ``2026-11-01`` may be names.

Plain YAML makes 7, false, 750 and a date of these. Whoever reads a tree knows which of its values are text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Typed:
    """A scalar that YAML does not take for text.

    Attributes:
        text: as it was typed.
        value: as YAML reads it: a number, a truth value, a date, None.
    """

    text: str
    value: Any


def read_typed(data: bytes | str) -> Any:
    """YAML -> its tree, in which each scalar that is no text is a `Typed`, keys of mappings too.

    Raises:
        yaml.YAMLError: it is not YAML.
        UnicodeDecodeError: it is not text.

    >>> read_typed("[no, 007, sign]")
    [Typed(text='no', value=False), Typed(text='007', value=7), 'sign']
    """
    return yaml.load(data, _Loader)  # noqa: S506 - a SafeLoader


def as_text(tree: Any) -> Any:
    """The tree with every scalar as it was typed, but None for nothing, ``null`` and ``~``.

    >>> as_text(read_typed("{names: [no, 007], nc: 2, val: ~}"))
    {'names': ['no', '007'], 'nc': '2', 'val': None}
    """
    if isinstance(tree, dict):
        return {key.text if isinstance(key, Typed) else key: as_text(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [as_text(value) for value in tree]
    if isinstance(tree, Typed):
        return None if tree.value is None else tree.text
    return tree


class _Loader(yaml.SafeLoader):
    """A safe loader that makes `Typed`."""


def _constructor(kind: str) -> Callable[[_Loader, yaml.ScalarNode], Typed]:
    read = getattr(yaml.SafeLoader, f"construct_yaml_{kind}")

    def construct(loader: _Loader, node: yaml.ScalarNode) -> Typed:
        text = str(node.value)
        try:
            return Typed(text, read(loader, node))
        except ValueError:  # no such day, such as 2026-13-45
            return Typed(text, text)

    return construct


for _kind in ("null", "bool", "int", "float", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _constructor(_kind))
