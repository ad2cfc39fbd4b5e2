"""A program that dies at each of its writes to a warehouse in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from roadscan.ranged import RangedFile
from roadscan.storage import MAX_OBJECT_BYTES, Entry, Stat, Store, open_store
from roadscan.warehouse import Warehouse
from roadscan.warehouse import warehouse as module


class Killed(BaseException):
    """Not an `Exception`: like a kill, nothing in the program gets over it."""


class Dying(Store):
    """A store that passes everything on, until the program dies in one of its writes.

    Args:
        store: the real one.
        writes: how many reach it; None for all.

    Attributes:
        kinds: of the writes that came, by the store's method.
    """

    def __init__(self, store: Store, writes: int | None) -> None:
        self.store, self.uri, self.writes, self.is_dead = store, store.uri, writes, False
        self.kinds: list[str] = []

    def _written(self, kind: str, write: Callable[[], Any]) -> Any:
        assert not self.is_dead, "the program went on after its death"
        if len(self.kinds) == self.writes:
            self.is_dead = True
            raise Killed
        self.kinds.append(kind)
        return write()

    def write(self, key: str, data: bytes) -> None:
        self._written("write", lambda: self.store.write(key, data))

    def write_file(self, key: str, file: Path) -> None:
        self._written("write_file", lambda: self.store.write_file(key, file))

    def create(self, key: str, data: bytes) -> str:
        return self._written("create", lambda: self.store.create(key, data))

    def swap(self, key: str, data: bytes, *, tag: str) -> str:
        return self._written("swap", lambda: self.store.swap(key, data, tag=tag))

    def delete(self, key: str) -> None:
        self._written("delete", lambda: self.store.delete(key))

    def read_tagged(self, key: str, *, max_bytes: int = MAX_OBJECT_BYTES) -> tuple[bytes, str]:
        return self.store.read_tagged(key, max_bytes=max_bytes)

    def open(self, key: str) -> RangedFile:
        return self.store.open(key)

    def stat(self, key: str) -> Stat:
        return self.store.stat(key)

    def written_at(self, key: str) -> datetime:
        return self.store.written_at(key)

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        return self.store.entries(prefix)

    def folders(self) -> list[str]:
        return self.store.folders()


def deaths(
    start: str,
    places: Callable[[str], str],
    run: Callable[[str], object],
    monkeypatch: pytest.MonkeyPatch,
    *,
    few: bool = False,
) -> Iterator[Warehouse]:
    """What the run leaves from the same start when it dies at its first write, then at its second …, to its last.

    Args:
        start: address of the warehouse that it begins with.
        places: a name -> where a warehouse of that name lies.
        run: works on the warehouse of an address.
        monkeypatch: of the test.
        few: only at the first and the last write of each kind, which is what a store does differently from another.
    """
    files = _files(start)

    def until_death(name: str, writes: int | None) -> Dying:
        uri = places(name)
        _write(files, uri)
        dying = Dying(open_store(uri), writes)
        with monkeypatch.context() as patched:
            patched.setattr(module, "open_store", lambda at: _same(at, uri, dying))
            with suppress(Killed):
                run(uri)
        return dying

    kinds = until_death("undisturbed", None).kinds
    ends = {end for kind in kinds for end in (kinds.index(kind), len(kinds) - 1 - kinds[::-1].index(kind))}
    for writes in sorted(ends) if few else range(len(kinds)):
        dying = until_death(f"after-{writes}", writes)
        assert dying.is_dead
        yield Warehouse(dying.uri)


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
