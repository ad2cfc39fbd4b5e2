"""Data files of an object store on this machine: fetched once, verified, let go of when they were not used long.

A copy whose content was looked at has a time of writing that no clock gives, from its digest: with its size it says at
once, to every process, that the file is as it was. What writes to it later changes that, and it is looked at again; one
that is damaged is fetched again. When it was used last is in its time of reading.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from roadscan.disk import read_regular
from roadscan.storage import DiskStore, Store, sha256_hex
from roadscan.warehouse.files import DataFile, verified

CACHE_BYTES = 20e9  # files beyond it go, those first that were not used for longest …
IN_USE_S = 3600  # … but not what some process may have opened a short while ago


def local_copies(store: Store, files: Sequence[DataFile]) -> list[Path]:
    """Data files -> their copies on this machine, in ``$XDG_CACHE_HOME/roadscan/data``.

    Several processes may use it at a time: a copy appears whole, and is named by its content.
    """
    cache = DiskStore(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "roadscan" / "data")
    paths, fetched = [], False
    for file in files:
        name = f"{file.table}-{file.digest}.parquet"
        path = cache.path(name)
        try:
            whole = _is_whole(path, file)
            if whole:
                _mark(path, file)
        except FileNotFoundError:
            whole = False
        if not whole:
            cache.write(name, verified(store, file.path))
            _mark(path, file)
            fetched = True
        paths.append(path)
    if fetched:
        _let_go(cache.root)
    return paths


def _is_whole(path: Path, file: DataFile) -> bool:
    """Whether a copy is what the file was."""
    stat = path.stat()
    if stat.st_size != file.bytes:
        return False
    return stat.st_mtime_ns == _seen_ns(file) or sha256_hex(read_regular(path, file.bytes)).startswith(file.digest)


def _mark(path: Path, file: DataFile) -> None:
    """Note that a copy was looked at, and is in use from now."""
    os.utime(path, ns=(time.time_ns(), _seen_ns(file)))


def _seen_ns(file: DataFile) -> int:
    return int(file.digest, 16) % 10**9 * 10**9  # whole seconds, since some disks have no finer times; before 2002


def _let_go(folder: Path) -> None:
    known = []
    for path in folder.glob("*.parquet"):
        with suppress(FileNotFoundError):  # another process let go of it
            stat = path.stat()
            known.append((stat.st_atime, stat.st_size, path))
    total = sum(size for _, size, _ in known)
    for used_at, size, path in sorted(known):
        if total <= CACHE_BYTES or used_at > time.time() - IN_USE_S:
            return
        with suppress(FileNotFoundError):
            if path.stat().st_atime == used_at:  # or it came into use meanwhile
                path.unlink()
        total -= size
