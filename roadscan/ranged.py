"""A file of which only parts are read: what a disk or an object store gives by ranges of bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from roadscan.errors import StorageError

LEAST_BYTES = 16 << 10  # of a request that follows a jump: headers and small samples
MOST_BYTES = 4 << 20  # of one that goes on where the last ended


class RangedFile(io.RawIOBase):
    """A file as other programs read it, with one stretch of it in memory.

    Reading on takes twice as much with each request, from `LEAST_BYTES` to `MOST_BYTES`; jumping starts over. So an
    index at the end of gigabytes costs a few kilobytes, and a video that is played few requests.

    Args:
        name: for messages.
        size: bytes of it.
        read: (start, stop) -> those bytes; called by several threads.
        close: called when it is closed.

    Attributes:
        failure: what kept a read from it from being answered. A library may take that for the end of the file.
    """

    def __init__(
        self, name: str, size: int, read: Callable[[int, int], bytes], close: Callable[[], Any] = lambda: None
    ) -> None:
        self.name, self.size, self.failure = name, size, None
        self._read, self._close = read, close
        self._at = self._start = 0
        self._held, self._ahead = b"", LEAST_BYTES

    failure: StorageError | None

    def read_at(self, start: int, stop: int) -> bytes:
        """The bytes from start to stop, fewer at the end of the file; for several threads, and without a place in it.

        Raises:
            StorageError: the store did not give them.
        """
        stop = min(stop, self.size)
        if start >= stop:
            return b""
        try:
            data = self._read(start, stop)
            if len(data) != stop - start:
                raise StorageError(f"{self.name}: {len(data)} bytes at {start}, expected {stop - start}; it changed")
        except StorageError as error:
            self.failure = error
            raise
        return data

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as what is at hand goes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if not self._start <= self._at < self._start + len(self._held):
            self._fetch(len(view))
        place = self._at - self._start
        part = self._held[place : place + len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def close(self) -> None:
        if not self.closed:
            self._held = b""
            self._close()
        super().close()

    def _fetch(self, wanted: int) -> None:
        goes_on = self._at == self._start + len(self._held) and self._at > 0
        self._ahead = min(2 * self._ahead, MOST_BYTES) if goes_on else LEAST_BYTES
        self._held, self._start = self.read_at(self._at, self._at + max(wanted, self._ahead)), self._at
