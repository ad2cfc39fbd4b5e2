"""What a reviewer sends, to a decision that waits for the next register; what none could apply is refused at once."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pydantic import Field
from ulid import ULID

from roadscan.config import Config
from roadscan.inventory.query import query_release, quoted
from roadscan.inventory.reviews import Decision, as_reviews, decide, ingest, undo, waiting
from roadscan.schemas import ASSET_ALIAS, ASSETS, REVIEWS
from roadscan.warehouse import Release, Warehouse

MAX_TEXT = 2000  # letters of a note


class Sent(Config):
    """What a page sends.

    Attributes:
        after: the last decision about the asset that waits, as far as the page knows.
    """

    asset_id: str = Field(min_length=1, max_length=200, description="of the asset")
    action: str = Field(max_length=20, description="as of a file of reviews")
    target_id: str | None = Field(None, max_length=200, description="merge: the asset that stays")
    lon: float | None = Field(None, ge=-180, le=180, description="split: where the second one stands, degrees")
    lat: float | None = Field(None, ge=-90, le=90, description="split: where the second one stands, degrees")
    reviewer: str = Field(min_length=1, max_length=100, description="who decided")
    note: str | None = Field(None, max_length=MAX_TEXT, description="what else is to be said")
    after: str | None = Field(None, max_length=40, description="the last decision that was known")


def take(warehouse: Warehouse, release: Release, sent: Sent) -> dict[str, Any]:
    """Let a decision wait for the next register; it as JSON.

    Raises:
        ConfigError: no register could be built with it, and why.
        Conflict: somebody decided about the asset meanwhile.
        StorageError: the warehouse cannot be written.
    """
    made = Decision(
        id=str(ULID()),
        asset_id=sent.asset_id,
        action=sent.action,
        reviewed_at=datetime.now(UTC).isoformat(),
        target_id=sent.target_id,
        lon=sent.lon,
        lat=sent.lat,
        reviewer=sent.reviewer,
        note=sent.note or None,
    )
    named = ", ".join(quoted(one) for one in (sent.asset_id, sent.target_id) if one is not None)

    def rows(table: str, column: str) -> Any:
        return query_release(warehouse, release, f"FROM {table} WHERE {column} IN ({named})")

    assets, aliases = rows("assets", "asset_id").cast(ASSETS), rows("asset_alias", "alias_id").cast(ASSET_ALIAS)
    known = rows("reviews", "asset_id").cast(REVIEWS)
    ingest(as_reviews([made]), assets, aliases, known, datetime.now(UTC), lambda: "second")
    decide(warehouse.store, made, sent.after)
    return asdict(made)


def pending(warehouse: Warehouse) -> list[dict[str, Any]]:
    """The decisions that wait, as JSON."""
    return [asdict(one) for one in waiting(warehouse.store)]


def take_back(warehouse: Warehouse, decision_id: str) -> dict[str, Any]:
    """Take back a decision that waits; it as JSON.

    Raises:
        NotFound: it waits no longer.
        StorageError: the warehouse cannot be written.
    """
    return asdict(undo(warehouse.store, decision_id))
