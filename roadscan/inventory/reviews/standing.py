"""All decisions that were ever taken to those that still hold."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from roadscan.schemas import REVIEWS

ACCEPT, REJECT, MERGE, SPLIT, REVOKE = "accept", "reject", "merge", "split", "revoke"
CONDITIONS = ("damaged", "repaired")
ACTIONS = (ACCEPT, REJECT, MERGE, SPLIT, *CONDITIONS, REVOKE)


def in_their_order(known: pa.Table, new: pa.Table) -> pa.Table:
    """The reviews of before and those taken in (`schemas.REVIEWS`), in the order in which they are applied."""
    return pa.concat_tables([known.cast(REVIEWS), new]).sort_by("reviewed_at")


def standing(reviews: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The reviews (rows of `schemas.REVIEWS`, in their order) that no later one revoked, without those that revoke.

    >>> rejected = {"asset_id": "A", "action": "reject", "target_id": None}
    >>> standing([rejected, rejected | {"action": "revoke"}, rejected | {"action": "accept"}])
    [{'asset_id': 'A', 'action': 'accept', 'target_id': None}]
    """
    held: list[dict[str, Any]] = []
    for review in reviews:
        if review["action"] == REVOKE:
            held = [one for one in held if not revokes(review, one)]
        else:
            held.append(review)
    return held


def revokes(revoke: dict[str, Any], review: dict[str, Any]) -> bool:
    """Whether a revoke is of that review, if it is an earlier one."""
    of_second = review["action"] == SPLIT and review["target_id"] == revoke["asset_id"]
    return (review["asset_id"] == revoke["asset_id"] or of_second) and revoke["target_id"] in (
        None,
        review["target_id"],
    )
