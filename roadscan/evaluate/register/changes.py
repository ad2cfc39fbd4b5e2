"""A simulation's register and the changes that it reports, against what was removed and added: for the report."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.evaluate.register.scores import AssetScores, Score, score_assets
from roadscan.evaluate.register.states import STANDING, drive_ids, in_state
from roadscan.evaluate.register.truth import read_simulated
from roadscan.warehouse import Warehouse

#: The truth's word for each kind of change that the register reports.
KNOWN_AS = {"missing": "removed", "new": "added"}
SCORED_CHANGES = (*KNOWN_AS, "reappeared")


@dataclass(frozen=True)
class RegisterScores:
    """How good a register is.

    Attributes:
        assets: standing assets (`STANDING`) against what stood on the last night scanned, one to one within 5 m.
        changes: every ``missing``, ``new`` and ``reappeared`` of point and overhead assets against what was removed and
            added, on its own night or later: the register waits for a second drive. The truth has no reappearance, so
            one is always wrong. A change of a line is not scored.
        truth: the known assets that stood on the last night scanned.
    """

    assets: AssetScores
    changes: Score
    truth: pa.Table


def score_register(warehouse_uri: str, truth_uri: str) -> RegisterScores:
    """Score the current release of a warehouse whose drives are those of one simulation.

    Args:
        warehouse_uri: the warehouse.
        truth_uri: the simulation's ``truth`` folder.

    Raises:
        WarehouseError: there is no truth there.
    """
    warehouse = Warehouse(warehouse_uri)
    release = warehouse.published()
    truth = read_simulated(truth_uri)
    drives = drive_ids(warehouse, release)
    known = truth.after(drives)
    assets = warehouse.read(release, "assets")
    ids = score_assets(assets, truth.assets).matches  # also of what is missing, with all that ever stood
    lines = set(assets.filter(pc.is_valid(assets["length_m"]))["asset_id"].to_pylist())
    first, last = truth.span(drives)
    points = set(truth.assets.filter(pc.field("geometry") != "line")["asset_id"].to_pylist())
    happened = {
        (row["asset_id"], row["change"]): row["night"]
        for row in truth.changes.to_pylist()
        if row["asset_id"] in points and row["change"] in KNOWN_AS.values() and first < row["night"] <= last
    }
    reported = []
    for row in warehouse.read(release, "asset_changes").to_pylist():
        if row["asset_id"] not in lines and row["change"] in SCORED_CHANGES:
            what = (ids.get(row["asset_id"], row["asset_id"]), KNOWN_AS.get(row["change"], row["change"]))
            night = truth.nights[row["drive_id"]]
            reported.append((*what, min(night, happened.get(what, night))))
    found = score_assets(in_state(assets, STANDING), known.standing, seen=known.seen)
    return RegisterScores(
        found, score_changes(reported, [(*what, night) for what, night in happened.items()]), known.standing
    )


def score_changes(found: Sequence[Hashable], known: Sequence[Hashable]) -> Score:
    """Score reported changes against known ones; a change reported twice is right once.

    Args:
        found: what identifies each reported change, such as (id of the known asset, what happened, night).
        known: the same for each change that did happen.
    """
    both = len(set(found) & set(known))
    return Score(both, len(found), both, len(known))
