"""What the driver hears of the workers."""

from __future__ import annotations

from roadscan.errors import DatasetError
from roadscan.train.reporter import Reporter


def test_the_driver_hears_the_first_mistake() -> None:
    reporter = Reporter()
    assert reporter.failure() is None
    reporter.on_failure(first := DatasetError("first"))
    reporter.on_failure(DatasetError("second"))
    assert reporter.failure() is first
