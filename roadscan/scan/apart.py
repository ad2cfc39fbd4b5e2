"""Frames loaded in a process of their own, one at a time: what kills that process costs one frame and nothing else.

For shards that a process has died of. ``python -m roadscan.scan.apart`` is that process; it is given frames and answers
with `Loaded` through a pipe, as `roadscan.scan.processes` does with shards.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import cv2

from roadscan.errors import RoadscanError
from roadscan.scan.child import how_it_ended, start
from roadscan.scan.loading import Loaded, Loader, LoaderSettings
from roadscan.survey.drive import Drive

TRIES = 2  # of a frame: the first process may have been ended by somebody else, as where memory is short


def load_apart(drive: Drive, frames: Sequence[dict[str, Any]], settings: LoaderSettings) -> Iterator[Loaded]:
    """The frames of a drive in order, as `Loader.load` gives them; those that kill a process are ``crashed``.

    Args:
        drive: where they are from.
        frames: rows of `DRIVE_FRAMES`.
        settings: of the `Loader`.

    Raises:
        RoadscanError: no such process can be started.
    """
    process = _Process(drive, settings)
    try:
        for row, frame in enumerate(frames):
            for _ in range(TRIES):
                loaded = process.load(frame)
                if loaded is not None:
                    break
                ended, process = process.end(), _Process(drive, settings)
            else:
                loaded = Loaded(row, status="quarantined", reason=f"crashed: whoever decodes it ends with {ended}")
            yield replace(loaded, row=row)
    finally:
        process.end()


class _Process:
    """One process that loads frames of a drive."""

    def __init__(self, drive: Drive, settings: LoaderSettings) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._popen, self._connection = start("roadscan.scan.apart", environment)
        empty = replace(drive, frames=drive.frames.slice(0, 0))
        if self._answer((empty, settings)) is None:
            raise RoadscanError(f"a process that loads images ended before it began, with {self.end()}")

    def load(self, frame: dict[str, Any]) -> Loaded | None:
        """A frame, loaded; None where the process died of it."""
        loaded: Loaded | None = self._answer(frame)
        return loaded

    def end(self) -> str:
        """End it -> how it ended."""
        self._connection.close()
        with suppress(subprocess.TimeoutExpired):
            return how_it_ended(self._popen.wait(timeout=1))
        self._popen.kill()
        return how_it_ended(self._popen.wait())

    def _answer(self, question: object) -> Any:
        try:
            self._connection.send(question)
            return self._connection.recv()
        except (EOFError, OSError):
            return None


def main() -> None:
    """A process that loads what it is given until its pipe closes."""
    cv2.setNumThreads(1)
    connection = Connection(int(sys.argv[1]))
    with suppress(EOFError, ConnectionError):
        drive, settings = connection.recv()
        loader = Loader(**{**settings, "threads": 1})
        connection.send("ready")
        while True:
            frame = connection.recv()
            (loaded,) = loader.load(drive, [frame], ahead=0)
            connection.send(loaded)
    os._exit(0)


if __name__ == "__main__":
    main()
