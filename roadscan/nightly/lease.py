"""A lease: of several runs over one warehouse one works, and one that died does not keep others out for long.

    taken ──renewed three times in its length──► released
      └──── not renewed for its length, plus what clocks may differ ────► another run may take it

Every step is a conditional write of one small object, so of many takers exactly one wins, and a holder whose lease was
taken learns it at its next renewal. The holder measures the end with its own clock, from before the write was sent,
and a taker adds `skew_s` to what it reads; so two never hold it at a time while their clocks differ by less than that.
What a scan commits and what a release holds is safe without it (both are conditional writes too): the lease saves work.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

from roadscan.errors import Conflict, LeaseHeld, Malformed, NotFound, RoadscanError, StorageError, WarehouseError
from roadscan.parsing import read_json
from roadscan.storage import MAX_RECORD_BYTES, Store

LOG = logging.getLogger(__name__)
RENEWALS = 3  # in the length of a lease: two of them may fail


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, as its object says.

    Attributes:
        owner: a random name of the run.
        host, pid: where it runs, for people.
        taken_at, expires_at: ISO 8601, UTC.
        released: the run ended and gave it back.
    """

    owner: str
    host: str
    pid: int
    taken_at: str
    expires_at: str
    released: bool = False

    def free(self, now: datetime, skew_s: float) -> bool:
        """Whether another run may take it."""
        return self.released or now > datetime.fromisoformat(self.expires_at) + timedelta(seconds=skew_s)


class Lease:
    """A lease that is held for the length of a ``with`` block; a thread renews it.

    Args:
        store: the warehouse's.
        key: the object, one a kind of work.
        length_s: how long it holds without a renewal.
        skew_s: by which the clocks of two machines may differ.
        now: the clock, aware.

    Raises:
        LeaseHeld: another run has it (on entering the block, or from `acquire`).
    """

    def __init__(
        self, store: Store, key: str, *, length_s: float, skew_s: float, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._store, self._key, self._now = store, key, now
        self._length_s, self._skew_s = length_s, skew_s
        self._hold = Holder(secrets.token_hex(8), socket.gethostname(), os.getpid(), "", "")
        self._tag = ""
        self._taken_by_another = False
        self._ended = threading.Event()
        self._renewer = threading.Thread(target=self._renew_until_ended, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self.acquire()
        self._renewer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._renewer.join()
        self.release()

    def holder(self) -> Holder | None:
        """Who has it now; None when it is free."""
        found = self._read()
        return None if found is None or found[0].free(self._now(), self._skew_s) else found[0]

    def acquire(self) -> None:
        """Acquire the lease, or raise with who has it."""
        found = self._read()
        if found is not None and not found[0].free(self._now(), self._skew_s):
            raise LeaseHeld(self._in_words(found[0]))
        self._hold = replace(self._hold, taken_at=self._now().isoformat())
        try:
            self._write(self._extended(), found[1] if found else None)
        except Conflict:
            raise LeaseHeld(f"{self._store.uri_of(self._key)}: another run took it just now") from None

    def renew(self) -> None:
        """Extend it to its whole length from now on; an unreachable store is tried again at the next turn."""
        try:
            with suppress(Conflict):
                return self._write(self._extended(), self._tag)
            self._read_again()
        except RoadscanError as error:
            LOG.warning("the lease was not renewed: %s", error)

    def lost(self) -> str | None:
        """Why it is no longer ours; None while it is."""
        if self._taken_by_another:
            return "another run took the lease"
        if self._now() > datetime.fromisoformat(self._hold.expires_at):
            return f"the lease could not be renewed for {self._length_s:g} s"
        return None

    def release(self) -> None:
        """Release it; one that is lost, or a store that does not answer, is left to its expiry."""
        try:
            if not self.lost():
                self._write(replace(self._hold, released=True), self._tag)
        except StorageError as error:
            LOG.warning("the lease was not released: %s", error)

    def _read_again(self) -> None:
        """Read who has it: a renewal whose acknowledgement was lost is in the way of the next one, and is ours."""
        found = self._read()
        if found is None or found[0].owner != self._hold.owner:
            self._taken_by_another = True
        else:
            self._hold, self._tag = found

    def _renew_until_ended(self) -> None:
        while not self._taken_by_another and not self._ended.wait(self._length_s / RENEWALS):
            self.renew()

    def _extended(self) -> Holder:
        return replace(self._hold, expires_at=(self._now() + timedelta(seconds=self._length_s)).isoformat())

    def _write(self, hold: Holder, tag: str | None) -> None:
        data = json.dumps(asdict(hold)).encode()
        tagged = self._store.create(self._key, data) if tag is None else self._store.swap(self._key, data, tag=tag)
        self._hold, self._tag = hold, tagged

    def _read(self) -> tuple[Holder, str] | None:
        try:
            data, tag = self._store.read_tagged(self._key, max_bytes=MAX_RECORD_BYTES)
        except NotFound:
            return None
        try:
            holder = read_json(data, Holder)
            holder.free(self._now(), 0)  # its times are times
            return holder, tag
        except (Malformed, ValueError, TypeError) as error:
            where = self._store.uri_of(self._key)
            raise WarehouseError(
                f"{where}: not a lease ({error}); make sure that no run is under way, and remove it"
            ) from None

    def _in_words(self, hold: Holder) -> str:
        return (
            f"another run is under way on {hold.host} (process {hold.pid}), since {hold.taken_at}; its lease "
            f"{self._store.uri_of(self._key)} ends at {hold.expires_at} unless it is renewed"
        )
