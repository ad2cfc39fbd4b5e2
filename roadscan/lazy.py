"""Packages whose exported names are imported when they are first asked for: torch and Ray take seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy_exports(package: str, names: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package that exports names of its modules (PEP 562).

    Args:
        package: its ``__name__``.
        names: by module of the package, what is exported of it.

    >>> lazy_exports("roadscan", {"nodes": ["Node"]})("Node")
    <class 'roadscan.nodes.Node'>
    """
    module_of = {name: module for module, exported in names.items() for name in exported}

    def get(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{module_of[name]}"), name)
        setattr(sys.modules[package], name, value)  # from now on it is found without asking here
        return value

    return get
