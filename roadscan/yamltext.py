"""YAML of which every scalar is known as it was typed: ``007``, ``no``, ``12:30`` and ``2026-11-01`` may be names.

Plain YAML makes 7, false, 750 and a date of these. Whoever reads a tree knows which of its values are text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from roadscan.errors import Malformed
from roadscan.parsing import parsing
from roadscan.shown import shown

MAX_BYTES = 16 << 20  # which take a minute
MAX_SCALAR = 100  # characters of a number or a date; a longer one is text
MERGE = "tag:yaml.org,2002:merge"
MAX_NODES = 1_000_000  # of a tree whose aliases are written out: some lines of them can mean billions


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
        Malformed: it is not YAML, a mapping has a key twice, or its aliases mean more than `MAX_NODES` values.

    >>> read_typed("[no, 007, sign]")
    [Typed(text='no', value=False), Typed(text='007', value=7), 'sign']
    """
    return _load(data, _Loader)


def read_yaml(data: bytes | str) -> Any:
    """YAML -> its tree, as YAML reads scalars; errors are those of `read_typed`.

    >>> read_yaml("[no, 007]")
    [False, 7]
    """
    return _load(data, yaml.SafeLoader)


def _load(data: bytes | str, of: type[yaml.SafeLoader]) -> Any:
    if len(data) > MAX_BYTES:
        raise Malformed(f"YAML of {len(data)} bytes, limit {MAX_BYTES}")
    with parsing("YAML"):
        loader = of(data)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _nodes(node, {})
            return loader.construct_document(node)
        finally:
            loader.dispose()


def _nodes(node: yaml.Node, known: dict[int, int | None]) -> int:
    """How many nodes a tree has with every alias written out; `known` of those met, None of those around this one."""
    if id(node) not in known:
        known[id(node)] = None
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
        pairs = node.value if isinstance(node, yaml.CollectionNode) else ()
        children = [one for pair in pairs for one in (pair if isinstance(pair, tuple) else (pair,))]
        known[id(node)] = 1 + sum(_nodes(child, known) for child in children)
    count = known[id(node)]
    if count is None:
        raise Malformed("YAML with an alias of what it is in, which never ends")
    if count > MAX_NODES:
        raise Malformed(f"YAML whose aliases mean more than {MAX_NODES} values")
    return count


def _check_keys(mapping: yaml.MappingNode) -> None:
    """Refuse a key that comes twice, of which PyYAML would take the last; what ``<<`` brings may be replaced.

    Source: YAML 1.2.2, section 3.2.1.1.
    """
    lines: dict[str, int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
            continue
        line = key.start_mark.line + 1
        if key.value in lines:
            both = f"lines {lines[key.value]} and {line}"
            raise Malformed(f"YAML with the key {shown(key.value)} twice, in {both}; expected it once")
        lines[key.value] = line


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
        if len(text) > MAX_SCALAR:
            return Typed(text, text)
        try:
            return Typed(text, read(loader, node))
        except ValueError:  # no such day, such as 2026-13-45
            return Typed(text, text)

    return construct


for _kind in ("null", "bool", "int", "float", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _constructor(_kind))
