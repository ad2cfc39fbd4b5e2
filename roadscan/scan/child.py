"""Programs of our own that are given work through a pipe: a pipe that closes is how either side learns of an end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection


def start(module: str, environment: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], Connection]:
    """A module of ours, started as ``python -P -m MODULE FD``, and the pipe whose other end is that file descriptor.

    With -P, as the program itself, it imports nothing from the folder that it is started in.
    """
    ours, theirs = Pipe()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module, str(theirs.fileno())], pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL, env=environment,
        process_group=0,  # Ctrl-C is for whoever started it, who then closes the pipe
    )  # fmt: skip
    theirs.close()
    return process, ours


def how_it_ended(exit_code: int) -> str:
    """A process's exit code, as subprocess has it, in words.

    >>> how_it_ended(-6), how_it_ended(7)
    ('signal SIGABRT', 'exit code 7')
    """
    if exit_code >= 0:
        return f"exit code {exit_code}"
    with suppress(ValueError):
        return f"signal {signal.Signals(-exit_code).name}"
    return f"signal {-exit_code}"
