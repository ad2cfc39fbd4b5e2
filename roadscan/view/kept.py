"""What was computed last and may be asked for again, up to a size; for several threads at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class Kept(Generic[KeyT, ValueT]):
    """Values by key, those used last.

    Args:
        limit: of the sizes of all values together; one that is larger is not kept.
        size: of a value.
    """

    def __init__(self, limit: int, size: Callable[[ValueT], int] = lambda _: 1) -> None:
        self._limit, self._size, self._total = limit, size, 0
        self._values: OrderedDict[KeyT, ValueT] = OrderedDict()
        self._lock, self._making = Lock(), Lock()

    def get(self, key: KeyT, make: Callable[[], ValueT], *, alone: bool = False) -> ValueT:
        """The value of a key, made where it is not kept; two threads may both make it.

        Args:
            key: of the value.
            make: makes it.
            alone: forget all others first, and let no other thread make one meanwhile.
        """
        if alone:
            with self._making:
                if key not in self._values:
                    self.drop()
                return self.get(key, make)
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._total += self._size(value)
            while self._total > self._limit and self._values:
                self._total -= self._size(self._values.popitem(last=False)[1])
        return value

    def drop(self) -> None:
        """Forget all."""
        with self._lock:
            self._values.clear()
            self._total = 0
