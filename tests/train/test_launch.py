"""What the driver hears of the workers."""

from __future__ import annotations

from roadscan.errors import DatasetError
from roadscan.train import launch


def test_the_driver_hears_the_first_mistake() -> None:
    watch = launch._Watch()
    assert watch.failure() is None
    watch.fail(first := DatasetError("first"))
    watch.fail(DatasetError("second"))
    assert watch.failure() is first
