"""An asset that went, and another of its class that came a little way off at the same time, are one that was moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from roadscan.inventory.associate import nearby_pairs
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive_pass import Ints
from roadscan.inventory.tables import Rows
from roadscan.survey.geodesy import LocalFrame


def with_moves(rows: Rows, frame: LocalFrame, config: InventoryConfig) -> Rows:
    """The assets, each that was moved once, where it stands now.

    Its row is that of its new place, with the first sighting of the old one; of `missing` and `new` one change is left,
    `moved`. Only where there is no choice: one asset that went, one that came, on one side of the road, the one never
    seen after the other was.

    Args:
        rows: as the drives have them.
        frame: metres.
        config: `move_m`.
    """
    went, came = _pairs(rows, frame, config.move_m)
    if not len(went):
        return rows
    kept = np.setdiff1d(np.arange(len(rows.shapes)), went)
    number = np.full(len(rows.shapes), -1)
    number[kept] = np.arange(len(kept))
    number[went] = number[came]
    first = rows.assets["first_seen"].to_pylist()
    for old, new in zip(went.tolist(), came.tolist(), strict=True):
        first[new] = first[old]
    assets = rows.assets | {"first_seen": pa.array(first, rows.assets["first_seen"].type)}
    places = {int(number[new]): _place(rows, int(old)) for old, new in zip(went, came, strict=True)}
    history = rows.history | {"asset": pa.array(number[rows.history["asset"].to_numpy()], pa.int64())}
    return replace(
        rows,
        assets={name: column.take(pa.array(kept)) for name, column in assets.items()},
        shapes=rows.shapes[kept],
        changes=_told_once(rows.changes, went, came, number),
        history=history,
        moved_from=places,
    )


def _place(rows: Rows, row: int) -> tuple[float, float]:
    return rows.assets["lon"][row].as_py(), rows.assets["lat"][row].as_py()


def _pairs(rows: Rows, frame: LocalFrame, move_m: float) -> tuple[Ints, Ints]:
    """Assets that went, and the asset that each has become."""
    state, kind, side = (np.array(rows.assets[name].to_pylist(), dtype=object) for name in ("state", "class", "side"))
    point = ~rows.assets["length_m"].is_valid().to_numpy(zero_copy_only=False) & (side != "overhead")
    new = np.zeros(len(state), bool)
    is_new = np.array(rows.changes["change"].to_pylist(), dtype=object) == "new"
    new[rows.changes["asset"].to_numpy()[is_new]] = True
    went = np.flatnonzero(point & (state == "missing"))
    came = np.flatnonzero(point & new & (state != "missing"))
    xy = np.stack(frame.to_xy(rows.assets["lon"].to_numpy(), rows.assets["lat"].to_numpy()), axis=1)
    i, j, _ = nearby_pairs(xy[went], xy[came], move_m)
    i, j = went[i], came[j]
    first, last = (rows.assets[name].cast(pa.int64()).to_numpy() for name in ("first_seen", "last_seen"))
    good = (kind[i] == kind[j]) & (side[i] == side[j]) & (first[j] > last[i])
    i, j = i[good], j[good]
    lonely = (np.bincount(i, minlength=len(state))[i] == 1) & (np.bincount(j, minlength=len(state))[j] == 1)
    return i[lonely], j[lonely]


def _told_once(changes: dict[str, pa.Array], went: Ints, came: Ints, number: Ints) -> dict[str, pa.Array]:
    """The changes with one `moved` for what went and came: when the second of both was known."""
    table = pa.table(changes).to_pylist()
    gone, born = set(went.tolist()), set(came.tolist())
    moved: dict[int, dict[str, object]] = {}
    told = []
    for row in table:
        ended = row["asset"] in gone and row["change"] in ("missing", "suspect")
        if ended or (row["asset"] in born and row["change"] == "new"):
            asset = int(number[row["asset"]])
            if row["change"] != "suspect" and (asset not in moved or row["changed_at"] > moved[asset]["changed_at"]):
                moved[asset] = row | {"asset": asset, "change": "moved"}
        else:
            told.append(row | {"asset": int(number[row["asset"]])})
    merged = pa.Table.from_pylist([*told, *moved.values()], schema=pa.table(changes).schema)
    return {name: merged[name].combine_chunks() for name in merged.column_names}
