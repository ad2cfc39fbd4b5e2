"""The files of a dataset: many small reads at once, and a record of what was read."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from roadscan.errors import NotFound
from roadscan.nodes import usable_cores
from roadscan.progress import OnCount
from roadscan.storage import DiskStore, Stat, Store

T = TypeVar("T")
U = TypeVar("U")

REQUESTS = 32  # at once to an object store, which answers a small one in tens of milliseconds


class Files:
    """A store, and what was read through this object.

    Attributes:
        store: the dataset's root.
        was_read: size and tag by key.
        decomposed: keys that were listed and cannot be read, since they are not in NFC.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.was_read: dict[str, Stat] = {}
        self.decomposed: set[str] = set()

    def read(self, key: str) -> bytes:
        """One whole file.

        Raises:
            StorageError: as `Store.read`.
        """
        data, tag = self.store.read_tagged(key)
        self.was_read[key] = Stat(len(data), tag)
        return data

    def read_if_there(self, key: str) -> bytes | None:
        """One whole file, or None where there is none."""
        try:
            return self.read(key)
        except NotFound:
            return None

    def keys(self, folder: str) -> list[str]:
        """What lies in a folder and the folders in it, in order; the root's is ``""`` or ``"."``.

        Without what is hidden, such as a Mac's ``._a.jpg``, and without markers of folders. Names that are not in
        Unicode normalisation form C, as a Mac writes them, are not given: the store could not read them back. They are
        kept in `decomposed`.
        """
        keys = [key for key in self.store.keys(f"{folder}/" if folder not in ("", ".") else "") if _is_shown(key)]
        self.decomposed.update(key for key in keys if not unicodedata.is_normalized("NFC", key))
        return [key for key in keys if key not in self.decomposed]

    def each(self, function: Callable[[T], U], items: Sequence[T], on_done: OnCount | None = None) -> list[U]:
        """Apply a function that reads or decodes to each item, several at once; results in order."""
        threads = usable_cores() if isinstance(self.store, DiskStore) else REQUESTS
        return in_threads(function, items, threads, on_done)


def _is_shown(key: str) -> bool:
    return not key.endswith("/") and not any(part.startswith(".") or part == "__MACOSX" for part in key.split("/"))


def in_threads(function: Callable[[T], U], items: Sequence[T], threads: int, on_done: OnCount | None = None) -> list[U]:
    """Like ``list(map(function, items))``, several at once; at the first exception those not begun are left out."""
    pool = ThreadPoolExecutor(threads)
    try:
        return list(_counted(pool.map(function, items), len(items), on_done))
    finally:
        pool.shutdown(cancel_futures=True)


def _counted(results: Iterable[U], total: int, on_done: OnCount | None) -> Iterable[U]:
    for number, result in enumerate(results, 1):
        yield result
        if on_done is not None:
            on_done(number, total)
