"""A program that dies at each of its writes to a warehouse in turn."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from roadscan.storage import Entry, Stat, Store, open_store
from roadscan.warehouse import Warehouse
from roadscan.warehouse import warehouse as module


class Killed(BaseException):
    """Not an `Exception`: like a kill, nothing in the program gets over it."""


class Dying(Store):
    """A store that passes everything on, until the program dies in one of its writes.

    Args:
        store: the real one.
        writes: how many reach it.
    """

    def __init__(self, store: Store, writes: int) -> None:
        self.store, self.uri, self.left, self.is_dead = store, store.uri, writes, False

    def _written(self, write: Callable[[], Any]) -> Any:
        assert not self.is_dead, "the program went on after its death"
        if not self.left:
            self.is_dead = True
            raise Killed
        self.left -= 1
        return write()

    def write(self, key: str, data: bytes) -> None:
        self._written(lambda: self.store.write(key, data))

    def create(self, key: str, data: bytes) -> str:
        return self._written(lambda: self.store.create(key, data))

    def swap(self, key: str, data: bytes, *, tag: str) -> str:
        return self._written(lambda: self.store.swap(key, data, tag=tag))

    def delete(self, key: str) -> None:
        self._written(lambda: self.store.delete(key))

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        return self.store.read_tagged(key)

    def stat(self, key: str) -> Stat:
        return self.store.stat(key)

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        return self.store.entries(prefix)

    def folders(self) -> list[str]:
        return self.store.folders()


def deaths(
    start: str, places: Callable[[str], str], run: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """What the run leaves from the same start when it dies at its first write, then at its second …, until it lives."""
    files = _files(start)
    for writes in itertools.count():
        uri = places(f"after-{writes}")
        _write(files, uri)
        dying = Dying(open_store(uri), writes)
        with monkeypatch.context() as patched:
            patched.setattr(module, "open_store", lambda at, uri=uri, dying=dying: _same(at, uri, dying))
            try:
                run(uri)
            except Killed:
                pass
            else:
                assert dying.left == 0
                return
        yield Warehouse(uri)


def _same(at: str, uri: str, store: Store) -> Store:
    assert at == uri
    return store


def copy(start: str, uri: str) -> None:
    """All that lies at one address to another."""
    _write(_files(start), uri)


def _files(uri: str) -> dict[str, bytes]:
    store = open_store(uri)
    return {key: store.read(key) for key in store.keys()}  # noqa: SIM118 - a store is no dictionary


def _write(files: dict[str, bytes], uri: str) -> None:
    store = open_store(uri)
    for key, data in files.items():
        store.write(key, data)
