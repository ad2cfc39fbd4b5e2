"""Folders for what a process needs while it runs; what killed processes left goes when the next one starts.

roadscan-<what>-<random>         the folder
roadscan-<what>-<random>.lock    locked while its process lives: the kernel releases it, whatever ends that
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Self

PREFIX = "roadscan-"


class Scratch:
    """A folder for temporary files, for as long as this object or a ``with`` block; removed at the process's end, too.

    Args:
        what: it is for, as "resume".
        within: the folder it is made in; None for that of temporary files.

    Attributes:
        path: of the folder, which this user alone may look into.
    """

    def __init__(self, what: str, within: Path | None = None) -> None:
        remove_left(within)
        self.path, lock = _make(what, within)
        self._finalizer = weakref.finalize(self, _remove, self.path, lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Remove the folder now."""
        self._finalizer()


@lru_cache
def scratch_of_process(what: str) -> Scratch:
    """The folder that this process has for something until it ends, as for files that another program takes away."""
    return Scratch(what)


def remove_left(within: Path | None = None) -> None:
    """Remove the folders of processes that are gone, from the folder for temporary files or another one."""
    for path in (within or Path(tempfile.gettempdir())).glob(f"{PREFIX}*.lock"):
        with suppress(OSError):  # another user's, or another process is at it
            lock = path.open("r+")
            if _is_ours(lock, path):
                _remove(path.with_suffix(""), lock)
            else:
                lock.close()


def _make(what: str, within: Path | None) -> tuple[Path, IO[str]]:
    while True:
        folder = Path(tempfile.mktemp(prefix=f"{PREFIX}{what}-", dir=within))  # noqa: S306 - taken by its lock, then made
        lock = Path(f"{folder}.lock").open("x")  # noqa: SIM115 - held as long as the folder is
        if _is_ours(lock, Path(f"{folder}.lock")):
            folder.mkdir(mode=0o700)
            return folder, lock
        lock.close()  # who removes what is left was faster than this one could lock it


def _is_ours(lock: IO[str], path: Path) -> bool:
    """Whether an open file is now locked by us, and is still the one at its path."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except OSError:
        return False


def _remove(folder: Path, lock: IO[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    Path(f"{folder}.lock").unlink(missing_ok=True)
    lock.close()
