"""An asset's records and its replayed existence to the reasons for its state, and notes on the figures: in words."""

from __future__ import annotations

from collections.abc import Sequence

from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.explain.read import Records, Row
from roadscan.inventory.explain.replay import Existence
from roadscan.inventory.fuse.existence import CONFIRM_AT, MISSING_AT, State
from roadscan.inventory.reviews import standing

AGREES = 0.02  # by which the replayed probability and the register's may differ without a note


def reasons_of(records: Records, config: InventoryConfig) -> list[str]:
    """Why the asset has its state, one sentence each."""
    state = records.asset["state"]
    decided = [_decision(row, records.asset["asset_id"]) for row in records.reviews]
    if state == State.REJECTED.label:
        return [*decided, "no drive changes what a reviewer rejected: only a later review that accepts it does"]
    seen = sum(bool(row["seen"]) for row in records.history)
    told = f"{seen} of the {len(records.history)} drives that told something of it saw it"
    sure = (
        [told, _by_likelihood(records.asset), *_unsure(records.asset, config)]
        if records.history
        else ["no drive told anything of it"]
    )
    return [*decided, *sure, *_doubts(records, state)]


def _by_likelihood(asset: Row) -> str:
    """How likely the asset stands, and why that is its state; a state lasts until the next one's limit is passed."""
    existence = asset["existence"]
    if existence is None:
        return "how likely it stands is not known"
    likely = f"it is {existence:.3f} likely to stand"
    match State[asset["state"].upper()]:
        case State.CONFIRMED:
            return f"{likely}: {CONFIRM_AT} or more is confirmed" if existence >= CONFIRM_AT else likely
        case State.CANDIDATE:
            return f"{likely}: below {CONFIRM_AT} it is not confirmed" if existence < CONFIRM_AT else likely
        case State.SUSPECT:
            return f"it was confirmed, and now {likely}: below {CONFIRM_AT}, and above {MISSING_AT}, is suspect"
        case _ if existence <= MISSING_AT:
            return f"it was confirmed, and now {likely}: {MISSING_AT} or less is missing"
        case _:
            return f"it was missing, and now {likely}: below {CONFIRM_AT} it stays so"


def _unsure(asset: Row, config: InventoryConfig) -> list[str]:
    limit_m = config.existence.confirm_sigma_m
    if asset["state"] != State.CANDIDATE.label or asset["pos_sigma_m"] <= limit_m:
        return []
    return [f"its position is sure to {asset['pos_sigma_m']:.1f} m only: to be confirmed it must be {limit_m:g} m"]


def _doubts(records: Records, state: str) -> list[str]:
    """Which drives looked for it and did not see it, since it was seen last."""
    if state not in (State.SUSPECT.label, State.MISSING.label):
        return []
    saw = [number for number, row in enumerate(records.history) if row["seen"]]
    missed = records.history[saw[-1] + 1 if saw else 0 :]
    return [f"{row['drive_id']} had {row['covering']} opportunities to see it, and did not" for row in missed]


def _decision(review: Row, asset_id: str) -> str:
    """What a reviewer decided of an asset."""
    who = review["reviewer"] or "a reviewer"
    what = {
        "accept": "accepted it: it is confirmed until a later drive looks and misses it",
        "reject": "rejected it: it is no asset",
        "merge": f"made {review['asset_id']} one with {review['target_id']}",
        "split": f"had a second asset, {review['target_id']}, split off {review['asset_id']}",
        "damaged": "saw it damaged",
        "repaired": "saw it repaired",
        "revoke": f"took back what was decided of {review['asset_id']} before",
    }[review["action"]]
    if review["action"] == "split" and review["target_id"] == asset_id:
        what = f"split it off {review['asset_id']}: it stands where the reviewer said"
    note = f" ({review['note']})" if review["note"] else ""
    return f"{review['reviewed_at']:%Y-%m-%d}: {who} {what}{note}"


def notes_of(records: Records, replayed: Sequence[Existence]) -> list[str]:
    """What to know of the figures, one sentence each."""
    notes = ["which observation showed which asset is not kept: those of its class that point to it are listed"]
    if any(change["change"] == "moved" for change in records.changes):
        notes.append("it was moved: its history is of both places, and the replayed probabilities mix them")
    acted = {row["action"] for row in standing(records.reviews)} - {"damaged", "repaired"}
    if acted:
        notes.append("probabilities and states of the drives are by drives alone, without what reviewers decided")
    if replayed and not acted:
        last, existence = replayed[-1], records.asset["existence"]
        if (
            existence is None
            or abs(last.probability - existence) > AGREES
            or last.state.label != records.asset["state"]
        ):
            there = "unknown" if existence is None else f"{existence:.3f}"
            notes.append(
                f"the register has {there} ({records.asset['state']}), and its history gives {last.probability:.3f} "
                f"({last.state.label}): glances, which say little, are not kept in the history, or the register was "
                "made with other thresholds (--config)"
            )
    if replayed and replayed[-1].state.label != records.asset["state"] != State.REJECTED.label:
        notes.append("what would change it is not told, as the replayed drives do not lead to the register's state")
    return notes
