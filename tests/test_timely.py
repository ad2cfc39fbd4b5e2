from __future__ import annotations

import gc
import threading
import weakref

import pytest

from roadscan.timely import in_time


def test_what_is_in_time_is_given_or_raised() -> None:
    assert in_time(lambda: 7, 60) == 7
    with pytest.raises(ZeroDivisionError):
        in_time(lambda: 1 // 0, 60)


def test_what_is_late_is_left_behind() -> None:
    go_on = threading.Event()
    with pytest.raises(TimeoutError, match="not over within 0 s"):
        in_time(lambda: go_on.wait(60), 0.2)
    go_on.set()


def test_what_an_error_holds_goes_with_it() -> None:
    class Socket:
        pass

    held = []

    def call() -> None:
        socket = Socket()
        held.append(weakref.ref(socket))
        raise OSError("refused")

    gc.disable()
    try:
        with pytest.raises(OSError, match="refused") as caught:
            in_time(call, 60)
        del caught
        assert held[0]() is None
    finally:
        gc.enable()
