"""Decisions that reviewers took in a viewer and no register has yet: one small object of the warehouse.

Several viewers, on one machine or on many, add to it by swaps, so that none is lost and two reviewers of one asset
learn of each other. The next register takes in what it can (`ingest`), lets go of it here when it is published, and
leaves what cannot be applied, with the reason. Killed between the two, it takes the same ones again, which it knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import pyarrow as pa

from roadscan.errors import Conflict, Malformed, NotFound, StorageError
from roadscan.inventory.reviews.ingest import GIVEN
from roadscan.parsing import read_json
from roadscan.storage import MAX_RECORD_BYTES, Store

KEY = "reviews-waiting.json"
FORMAT = "roadscan.reviews-waiting/1"
TRIES = 50  # of two who write at a time one loses each round


@dataclass(frozen=True, slots=True)
class Decision:
    """What a reviewer decided.

    Attributes:
        id: of the decision, unique.
        asset_id, action, target_id, lon, lat, reviewer, note: as the columns of a file of reviews.
        reviewed_at: ISO 8601 with its zone.
        refused: why no register could take it in so far.
    """

    id: str
    asset_id: str
    action: str
    reviewed_at: str
    target_id: str | None = None
    lon: float | None = None
    lat: float | None = None
    reviewer: str | None = None
    note: str | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    format: str
    decisions: list[Decision]


def waiting(store: Store) -> list[Decision]:
    """The decisions that wait in a warehouse, in the order in which they were taken.

    Raises:
        StorageError: they cannot be read.
    """
    return _read(store)[0]


def decide(store: Store, decision: Decision, after: str | None) -> None:
    """Add a decision.

    Args:
        store: the warehouse's.
        decision: what was decided.
        after: the last decision about the asset that the reviewer knew of; None for none.

    Raises:
        Conflict: somebody decided about the asset meanwhile: who, and what.
        StorageError: it cannot be written.
    """

    def added(known: list[Decision]) -> list[Decision]:
        last = next((one for one in reversed(known) if one.asset_id == decision.asset_id), None)
        if last is not None and last.id not in (after, decision.id):
            raise Conflict(
                f"{decision.asset_id}: {last.reviewer or 'somebody'} decided {last.action} at {last.reviewed_at}; "
                "look at it again"
            )
        return known if last is not None and last.id == decision.id else [*known, decision]

    _change(store, added)


def undo(store: Store, decision_id: str) -> Decision:
    """Take back a decision that no register has yet; which one.

    Raises:
        NotFound: it waits no longer: a register has it, or somebody took it back.
        StorageError: it cannot be written.
    """
    gone: list[Decision] = []

    def without(known: list[Decision]) -> list[Decision]:
        gone[:] = [one for one in known if one.id == decision_id]
        if not gone:
            raise NotFound(
                "undo: the decision waits no longer, as a register has it, or somebody took it back; decide revoke"
            )
        return [one for one in known if one.id != decision_id]

    _change(store, without)
    return gone[0]


def settle(store: Store, taken: Collection[str], refused: Mapping[str, str]) -> None:
    """Let go of decisions that a register has, and note why others were refused.

    Args:
        store: the warehouse's.
        taken: ids of those that it has.
        refused: why, by id.
    """
    if taken or refused:
        _change(
            store,
            lambda known: [
                replace(one, refused=refused.get(one.id, one.refused)) for one in known if one.id not in taken
            ],
        )


def as_reviews(decisions: Sequence[Decision]) -> pa.Table:
    """Decisions as the rows of a file of reviews."""
    rows = [{**asdict(one), "reviewed_at": datetime.fromisoformat(one.reviewed_at)} for one in decisions]
    return pa.Table.from_pylist([{name: row[name] for name in GIVEN} for row in rows], pa.schema(list(GIVEN.items())))


def _change(store: Store, change: Callable[[list[Decision]], list[Decision]]) -> None:
    for _ in range(TRIES):
        known, tag = _read(store)
        wanted = change(known)
        if wanted == known:
            return
        data = json.dumps(asdict(_Waiting(FORMAT, wanted)), allow_nan=False).encode()
        try:
            if tag is None:
                store.create(KEY, data)
            else:
                store.swap(KEY, data, tag=tag)
            return
        except Conflict:  # somebody wrote in between: what is wanted is asked again of what is there now
            continue
    raise StorageError(f"{store.uri_of(KEY)}: others wrote {TRIES} times in a row; try again")


def _read(store: Store) -> tuple[list[Decision], str | None]:
    try:
        data, tag = store.read_tagged(KEY, max_bytes=MAX_RECORD_BYTES)
    except NotFound:
        return [], None
    try:
        found = read_json(data, _Waiting)
        if found.format != FORMAT:
            raise Malformed(f"format {found.format!r}")
    except Malformed as error:
        raise StorageError(
            f"{store.uri_of(KEY)}: not decisions that this version reads ({error}); upgrade, or restore it"
        ) from None
    return found.decisions, tag
