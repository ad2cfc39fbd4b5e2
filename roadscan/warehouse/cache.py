"""Data files of an object store on this machine: fetched once, verified, and let go of when they were not used long."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from roadscan.storage import DiskStore, Store
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
            os.utime(path)  # in use, from now
        except FileNotFoundError:
            cache.write(name, verified(store, file))
            fetched = True
        paths.append(path)
    if fetched:
        _let_go(cache.root)
    return paths


def _let_go(folder: Path) -> None:
    known = []
    for path in folder.glob("*.parquet"):
        with suppress(FileNotFoundError):  # another process let go of it
            stat = path.stat()
            known.append((stat.st_mtime, stat.st_size, path))
    total = sum(size for _, size, _ in known)
    for used_at, size, path in sorted(known):
        if total <= CACHE_BYTES or used_at > time.time() - IN_USE_S:
            return
        with suppress(FileNotFoundError):
            if path.stat().st_mtime == used_at:  # or it came into use meanwhile
                path.unlink()
        total -= size
