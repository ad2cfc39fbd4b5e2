"""A call that ends in time, wherever it then waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


def in_time(call: Callable[[], T], seconds: float) -> T:
    """What a call gives, or raises.

    No time-out of a socket ends an answer of which a byte comes every ten seconds. So the call has a thread of its own,
    which is left behind where it is late.

    Raises:
        TimeoutError: it was not over within so many seconds.
    """
    over: SimpleQueue[Any] = SimpleQueue()

    def run() -> None:
        try:
            over.put((call(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            over.put((None, error))

    threading.Thread(target=run, name="in time", daemon=True).start()
    try:
        result, error = over.get(timeout=max(seconds, 0.0))
    except Empty:
        raise TimeoutError(f"not over within {seconds:.0f} s") from None
    if error is not None:
        try:
            raise error
        finally:
            del error  # whose traceback has this frame: what it holds, as a socket, is to go with it
    return result  # type: ignore[no-any-return]
