"""Finished drives to releases: many drives a release, but none that waits for long."""

from __future__ import annotations

import time
from collections.abc import Callable

from roadscan.scan import ledger
from roadscan.scan.plan import ScanPlan
from roadscan.warehouse import Warehouse
from roadscan.warehouse.drives import FILE_BYTES, StagedDrive

PUBLISH_BYTES = 8 * FILE_BYTES  # of finished drives: a long back-fill is seen before it ends
PUBLISH_S = 86_400  # a finished drive waits no longer: a vacuum takes what was staged a week ago


class Publisher:
    """Publishes the drives of a plan.

    Args:
        warehouse: where to.
        plan: of the scan.
        clock: seconds that go by.

    Attributes:
        finished: all drives whose shards are committed.
    """

    def __init__(self, warehouse: Warehouse, plan: ScanPlan, clock: Callable[[], float] = time.monotonic) -> None:
        self.finished: list[StagedDrive] = []
        self._warehouse, self._plan, self._clock = warehouse, plan, clock
        self._waiting: list[StagedDrive] = []
        self._since = 0.0

    def finish(self, drive_id: str) -> None:
        """Take a drive whose shards are all committed."""
        plan = self._plan
        drive = ledger.collect(self._warehouse, plan.drives[drive_id], plan.shards[drive_id], plan.model.sha256)
        self.finished.append(drive)
        if not self._waiting:
            self._since = self._clock()
        self._waiting.append(drive)

    def publish_if_due(self) -> None:
        """Publish those that wait if they fill some large files, or one of them has waited for a day."""
        size = sum(file.bytes for drive in self._waiting for file in drive.files)
        if size >= PUBLISH_BYTES or self._clock() - self._since >= PUBLISH_S:
            self.publish()

    def publish(self) -> None:
        """Publish those that wait."""
        if self._waiting:
            ledger.publish(self._warehouse, self._waiting)
            self._waiting.clear()
