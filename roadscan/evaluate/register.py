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
        assets: confirmed assets against what stood on the last night scanned, one to one within 5 m.
        changes: every ``missing``, ``new`` and ``reappeared`` of point and overhead assets against what was removed and
            added, each on its own night; the truth has no reappearance, so one is always wrong. A change of a line is
            not scored.
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
    release = warehouse.current()
    store = open_store(truth_uri)
    try:
        truth, changes = _read(store, "assets.parquet"), _read(store, "changes.parquet")
        nights = {key.split("/")[1].removesuffix(".parquet"): 0 for key in store.keys("frames/")}
    except NotFound as error:
        raise WarehouseError(f"{error}; expected the truth folder of a simulation") from None
    nights = {drive_id: night for night, drive_id in enumerate(sorted(nights), start=1)}
    scanned = warehouse.read(release, "runs", columns=["drive_id"])["drive_id"].to_pylist()
    unknown = sorted(set(scanned) - set(nights))
    if unknown:
        raise WarehouseError(
            f"{truth_uri}: has no drive {unknown[0]}; expected the truth of the warehouse's own drives"
        )
    seen = seen_assets(_read(store, f"boxes/{drive_id}.parquet") for drive_id in scanned)
    first, last = min(nights[name] for name in scanned), max(nights[name] for name in scanned)
    stood = (pc.field("first_night") <= last) & (pc.field("last_night") >= last)
    assets = warehouse.read(release, "assets")
    confirmed = assets.filter(pc.equal(assets["state"], "confirmed"))
    ids = score_assets(assets, truth, seen=seen).matches  # also of what is missing, with all that ever stood
    lines = set(assets.filter(pc.is_valid(assets["length_m"]))["asset_id"].to_pylist())
    reported = [
        (ids.get(row["asset_id"], row["asset_id"]), KNOWN_AS.get(row["change"], row["change"]), nights[row["drive_id"]])
        for row in warehouse.read(release, "asset_changes").to_pylist()
        if row["asset_id"] not in lines
    ]
    points = set(truth.filter(pc.field("geometry") != "line")["asset_id"].to_pylist())
    known = [
        (row["asset_id"], row["change"], row["night"])
        for row in changes.to_pylist()
        if row["asset_id"] in points and row["change"] in KNOWN_AS.values() and first < row["night"] <= last
    ]
    standing = truth.filter(stood)
    return RegisterScores(score_assets(confirmed, standing, seen=seen), score_changes(reported, known), standing)


def _read(store: Store, key: str) -> pa.Table:
    return pq.read_table(io.BytesIO(store.read(key)))
