"""Label files as trees: JSON, XML, or a folder of such files. What is no tree is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from roadscan.dataset.files import Files
from roadscan.dataset.labels import Records
from roadscan.errors import DatasetError, Malformed
from roadscan.parsing import parsing, read_json

SUFFIXES = (".json", ".xml")


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of label files: their trees by key."""

    trees: Mapping[str, Any]


Tree: TypeAlias = dict[str, Any] | list[Any] | Element | Folder


@dataclass(frozen=True, slots=True)
class TreeFormat:
    """A format whose labels are trees.

    Attributes:
        looks: whether a tree looks like labels of this format.
        read: a tree and its key -> what it says.
        what: the format in words.
    """

    looks: Callable[[Tree], bool]
    read: Callable[[Any, str], Records]
    what: str


def read_tree(files: Files, key: str) -> Tree:
    """The tree of a label file, or of all label files of a folder.

    Raises:
        DatasetError: it is no JSON or XML, or the folder has none.
        StorageError: it cannot be read.
    """
    if key.lower().endswith(SUFFIXES):
        tree: Tree = _parsed(files.read(key), files.store.uri_of(key))
        return tree
    keys = [one for one in files.keys(key) if one.lower().endswith(SUFFIXES)]
    if not keys:
        raise DatasetError(
            f"{files.store.uri_of(key)}: no file of labels, and no folder with {' or '.join(SUFFIXES)} files; "
            "correct 'annotations'"
        )
    return Folder(
        dict(zip(keys, files.each(lambda one: _parsed(files.read(one), files.store.uri_of(one)), keys), strict=True))
    )


def _parsed(data: bytes, where: str) -> Any:
    return _json(data, where) if where.lower().endswith(".json") else _xml(data, where)


def _json(data: bytes, where: str) -> Any:
    try:
        return read_json(data, Any)
    except Malformed as error:
        raise DatasetError(f"{where}: {error}") from None


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses a document type: labels have none, and its entities may fill the memory or read other files."""

    def doctype(self, *_: str) -> None:
        raise ValueError("it has a document type (<!DOCTYPE …>), which labels have not; take it out")


def _xml(data: bytes, where: str) -> Element:
    parser = ElementTree.XMLParser(target=_NoDoctype())  # noqa: S314 - no document type, so no entities
    try:
        with parsing("XML"):
            parser.feed(data)
            return parser.close()
    except Malformed as error:
        raise DatasetError(f"{where}: {error}") from None
