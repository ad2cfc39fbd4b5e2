"""Files of a disk, read: regular ones, and no more of them than what they are for may have."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from roadscan.errors import AccessDenied, NotFound, StorageError, TooLarge

CHUNK_BYTES = 64 << 10
#: Errors of a name at which no file can be, however often it is asked for: a socket's, a link to itself, a name that is
#: too long, one below a file.
NEVER_THERE = (errno.ENXIO, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR)


def read_regular(path: Path, max_bytes: int) -> bytes:
    """A regular file -> all of its bytes.

    Raises:
        NotFound: nothing is there, or a folder, a pipe, a socket or a device: reading one of these may never end.
        TooLarge: it has more than `max_bytes`.
        AccessDenied, StorageError: the disk refused.
    """
    with disk_errors(path), open_regular(path) as file:
        parts, size = list[bytes](), os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise TooLarge(f"{path}: {size} bytes, limit {max_bytes}")
        while part := file.read(max(size, CHUNK_BYTES)):  # a file may grow meanwhile, or not tell its size
            parts.append(part)
            size = 0
            if sum(map(len, parts)) > max_bytes:
                raise TooLarge(f"{path}: more than {max_bytes} bytes")
    return b"".join(parts)


def open_regular(path: Path) -> FileIO:
    """A regular file, opened.

    Raises:
        NotFound: as `read_regular`.
        OSError: the disk refused; see `disk_errors`.
    """
    try:
        file = FileIO(path, opener=_without_waiting)
    except IsADirectoryError:
        raise NotFound(f"{path}: no such file; what is there is a folder") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise NotFound(f"{path}: no such file; what is there is no regular file")
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # else a pipe that nobody writes to would be waited for


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """The disk's errors as roadscan's."""
    try:
        yield
    except OSError as error:
        raise error_of_disk(path, error) from None


def error_of_disk(path: Path, error: OSError) -> StorageError:
    """The error for what a disk answered; whatever may pass (a network file system that is away) is no `NotFound`."""
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{path}: no such file")
    if isinstance(error, PermissionError):
        return AccessDenied(f"{path}: permission denied")
    if error.errno in NEVER_THERE:
        return NotFound(f"{path}: no file can be there: {error.strerror}")
    return StorageError(f"{path}: {error.strerror or error}")
