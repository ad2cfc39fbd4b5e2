"""Who is told of a night: the warehouse's logs, then Prometheus, lineage and the webhook; none of them can fail it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from roadscan.errors import RoadscanError, in_words
from roadscan.nightly.lineage import LineageRun
from roadscan.nightly.metrics import leave_metrics
from roadscan.nightly.record import NightRecord
from roadscan.nightly.summary import NightSummary
from roadscan.nightly.webhook import post
from roadscan.warehouse import Release, Warehouse


@dataclass(frozen=True)
class Delivery:
    """Delivers summaries.

    Attributes:
        warehouse: in whose ``logs/`` they stand.
        metrics: where metrics are left; None for nowhere.
        webhook: secret address of a web service; None for none.
    """

    warehouse: Warehouse
    metrics: str | None
    webhook: str | None

    def deliver(self, summary: NightSummary, record: NightRecord, lineage: LineageRun | None) -> NightSummary:
        """Tell all of them; what one of them does not take is a warning in what the next is told.

        Args:
            summary: of the night.
            record: of the night.
            lineage: whose START was told; None where nobody asks for it.

        Returns:
            The summary with the warnings.
        """
        key = f"logs/nightly-{summary.night}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.json"
        summary = self._written(key, summary)
        uri, metrics, webhook = self.warehouse.store.uri, self.metrics, self.webhook
        if metrics:
            summary = self._told(key, summary, lambda now: leave_metrics(metrics, now, uri))
        if lineage:
            summary = self._told(key, summary, lambda now: lineage.end(record, now, self._release()))
        if webhook:
            summary = self._told(key, summary, lambda now: post(webhook, {**now.to_dict(), "text": now.text()}))
        return summary

    def _told(self, key: str, summary: NightSummary, tell: Callable[[NightSummary], str | None]) -> NightSummary:
        try:
            refused = tell(summary)
        except Exception as error:  # noqa: BLE001 - whoever is next is told all the same
            refused = f"somebody was not told of this night: {in_words(error)}"
        return self._written(key, replace(summary, warnings=(*summary.warnings, refused))) if refused else summary

    def _written(self, key: str, summary: NightSummary) -> NightSummary:
        try:
            self.warehouse.store.write(key, json.dumps(summary.to_dict(), indent=1).encode())
        except Exception as error:  # noqa: BLE001 - likewise
            return replace(summary, warnings=(*summary.warnings, f"this summary was not written: {in_words(error)}"))
        return summary

    def _release(self) -> Release | None:
        """The current release; None where the store does not answer, as the summary says by then."""
        with suppress(RoadscanError):
            return self.warehouse.current()
        return None
