"""Score a warehouse's register against a simulation's truth: assets, positions, and the changes between its drives."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from roadscan.errors import NotFound, WarehouseError
from roadscan.evaluate.assets import AssetScores, Score, score_assets, score_changes, seen_assets
from roadscan.storage import Store, open_store
from roadscan.warehouse import Warehouse

#: The truth's word for each kind of change that the register reports.
KNOWN_AS = {"missing": "removed", "new": "added"}


@dataclass(frozen=True)
class RegisterScores:
    """How good a register is.

    Attributes:
        assets: confirmed assets against what stood on the last night, one to one within 5 m.
        changes: ``missing`` and ``new`` against what was removed and added on nights after the first.
        truth: the known assets that stood on the last night.
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
    release = warehouse.current()
    store = open_store(truth_uri)
    try:
        truth, changes = _read(store, "assets.parquet"), _read(store, "changes.parquet")
    except NotFound as error:
        raise WarehouseError(f"{error}; expected the truth folder of a simulation") from None
    drives = sorted(warehouse.read(release, "runs", columns=["drive_id"])["drive_id"].to_pylist())
    seen = seen_assets(_read(store, f"boxes/{drive}.parquet") for drive in drives)
    last = len(drives)
    standing = truth.filter(
        (pc.field("first_night") <= last) & (pc.field("last_night").is_null() | (pc.field("last_night") >= last))
    )
    assets = warehouse.read(release, "assets")
    confirmed = assets.filter(pc.equal(assets["state"], "confirmed"))
    scores = score_assets(confirmed, standing, seen=seen)
    # A change is identified by the known asset that it is about: match missing assets too, with all that ever stood.
    ids = score_assets(assets, truth, seen=seen).matches
    reported = [
        (ids.get(row["asset_id"], row["asset_id"]), KNOWN_AS[row["change"]])
        for row in warehouse.read(release, "asset_changes").to_pylist()
        if row["change"] in KNOWN_AS
    ]
    known = [
        (row["asset_id"], row["change"])
        for row in changes.to_pylist()
        if row["change"] in KNOWN_AS.values() and 1 < row["night"] <= last
    ]
    return RegisterScores(scores, score_changes(reported, known), standing)


def _read(store: Store, key: str) -> pa.Table:
    return pq.read_table(io.BytesIO(store.read(key)))
