"""Optuna's journal in one object of a store.

It has the format of Optuna's own journal files, so the Optuna dashboard opens it (`optuna-dashboard study.journal`).
The object is replaced whole, on the condition that nobody else replaced it: of two drivers of one sweep one is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from roadscan.errors import Conflict, Malformed, NotFound, StorageError, TrainingError
from roadscan.parsing import read_json
from roadscan.storage import Store

JOURNAL = "study.journal"


class StoreJournal(BaseJournalBackend):
    """Optuna's journal, kept in a store by a sweep's one driver."""

    def __init__(self, store: Store) -> None:
        """Read what is there.

        Raises:
            StorageError: it is no journal, or cannot be read.
        """
        self._store = store
        self._tag: str | None = None
        try:
            data, self._tag = store.read_tagged(JOURNAL)
        except NotFound:
            data = b""
        try:
            self._logs: list[dict[str, Any]] = [read_json(line) for line in data.splitlines()]
            if not all(log.keys() >= {"op_code", "worker_id"} for log in self._logs):
                raise Malformed("without an operation")
        except Malformed:
            raise StorageError(f"{store.uri_of(JOURNAL)}: not a journal of Optuna; rename it, or the sweep") from None

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._logs = [*self._logs, *logs]
        data = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in self._logs).encode()
        try:
            if self._tag is None:
                self._tag = self._store.create(JOURNAL, data)
            else:
                self._tag = self._store.swap(JOURNAL, data, tag=self._tag)
        except Conflict:
            raise TrainingError(
                f"{self._store.uri}: another process goes on with this sweep; let it, or stop it and start again"
            ) from None
