"""What a register calls missing, against what was removed."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.evaluate.register.scores import Score, score_assets
from roadscan.evaluate.register.states import REGISTERED, in_state


@dataclass(frozen=True)
class MissingScores:
    """Assets that the register calls missing against those that were removed; points and overhead assets.

    Attributes:
        score: missing against removed; None where nobody says what was removed.
        missing: how many the register calls so.
        false_alarms: of these, those that stand.
        never_known: of these, those that no known asset is near: what was never there rightly left the register, but
            no removal was found.
        standing_found: standing known assets that the register has in any state, missing too.
    """

    score: Score | None
    missing: int
    false_alarms: int
    never_known: int
    standing_found: int

    @property
    def false_alarm_rate(self) -> float:
        """Share of the standing assets in the register that it calls missing; NaN where it has none."""
        return self.false_alarms / self.standing_found if self.standing_found else float("nan")


def score_missing(
    assets: pa.Table,
    standing: pa.Table,
    removed: pa.Table | None,
    *,
    seen: set[str] | None = None,
    radius_m: float = 5.0,
) -> MissingScores:
    """Score what a register calls missing; points and overhead assets.

    Args:
        assets: rows of `schemas.ASSETS`, in any state; candidates and rejected ones are ignored.
        standing: known assets that stand, as in `score_assets`.
        removed: known assets that stood during the drives and do not any more; None where nobody says.
        seen: ids of the known assets that count for recall; None for all.
        radius_m: as in `score_assets`.
    """
    ours = in_state(assets, REGISTERED)
    ours = ours.filter(pc.is_null(ours["length_m"]))
    columns = ["asset_id", "class", "geometry", "lon", "lat"]
    known = pa.concat_tables([table.select(columns) for table in (standing, removed) if table is not None])
    matches = score_assets(ours, known.filter(pc.not_equal(known["geometry"], "line")), radius_m=radius_m).matches
    missing = set(in_state(ours, ("missing",))["asset_id"].to_pylist())
    gone = set() if removed is None else _points(removed)
    called = {matches[one] for one in missing if one in matches}
    counted = gone if seen is None else gone & seen
    hits = len(called & gone)
    return MissingScores(
        None if removed is None else Score(hits, len(missing), len(called & counted), len(counted)),
        missing=len(missing),
        false_alarms=len(called - gone),
        never_known=len(missing - matches.keys()),
        standing_found=len(set(matches.values()) - gone),
    )


def _points(known: pa.Table) -> set[str]:
    return set(known.filter(pc.not_equal(known["geometry"], "line"))["asset_id"].to_pylist())
