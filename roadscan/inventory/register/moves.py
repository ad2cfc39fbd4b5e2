"""Rows to rows: an asset that went, and one of its class that came a little way off at that time, are one that moved.

Legend: N rows.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from roadscan.arrays import Ints
from roadscan.inventory.fuse.existence import State
from roadscan.inventory.geometry.assignment import nearby_pairs
from roadscan.inventory.register.rows import Rows
from roadscan.survey.geodesy import LocalFrame


def with_moves(rows: Rows, enu: LocalFrame, move_m: float) -> Rows:
    """The assets, each that was moved once, where it stands now.

    Its row is that of its new place, with the `first_seen` of the old one; of `missing` and `new` one change is left,
    `moved`. Only where there is no choice: one asset that went, one that came, on one side of the road, the one never
    seen after the other was.

    Args:
        rows: as the drives have them.
        enu: metres.
        move_m: how far one may have been moved.
    """
    went, came = _pairs(rows, enu, move_m)
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
    history, observations = (
        events | {"asset": pa.array(number[events["asset"].to_numpy()], pa.int64())}
        for events in (rows.history, rows.observations)
    )
    return replace(
        rows,
        assets={name: column.take(pa.array(kept)) for name, column in assets.items()},
        shapes=rows.shapes[kept],
        changes=_merged_changes(rows.changes, went, came, number),
        history=history,
        observations=observations,
        moved_from=places,
    )


def _place(rows: Rows, row: int) -> tuple[float, float]:
    return rows.assets["lon"][row].as_py(), rows.assets["lat"][row].as_py()


def _pairs(rows: Rows, enu: LocalFrame, move_m: float) -> tuple[Ints, Ints]:
    """Assets that went, and the asset that each has become."""
    state, class_name, side = (
        np.array(rows.assets[name].to_pylist(), dtype=object) for name in ("state", "class", "side")
    )
    point = ~rows.assets["length_m"].is_valid().to_numpy(zero_copy_only=False) & (side != "overhead")
    new = np.zeros(len(state), bool)
    is_new = np.array(rows.changes["change"].to_pylist(), dtype=object) == "new"
    new[rows.changes["asset"].to_numpy()[is_new]] = True
    went = np.flatnonzero(point & (state == State.MISSING.label))
    came = np.flatnonzero(point & new & (state != State.MISSING.label))
    xy = np.stack(enu.to_xy(rows.assets["lon"].to_numpy(), rows.assets["lat"].to_numpy()), axis=1)
    i, j, _ = nearby_pairs(xy[went], xy[came], move_m)
    i, j = went[i], came[j]
    first, last = (rows.assets[name].cast(pa.int64()).to_numpy() for name in ("first_seen", "last_seen"))
    good = (class_name[i] == class_name[j]) & (side[i] == side[j]) & (first[j] > last[i])
    i, j = i[good], j[good]
    lonely = (np.bincount(i, minlength=len(state))[i] == 1) & (np.bincount(j, minlength=len(state))[j] == 1)
    return i[lonely], j[lonely]


def _merged_changes(changes: dict[str, pa.Array], went: Ints, came: Ints, number: Ints) -> dict[str, pa.Array]:
    """The changes with one `moved` for what went and came: when the second of both was known."""
    gone, born = set(went.tolist()), set(came.tolist())
    moved: dict[int, dict[str, object]] = {}
    others = []
    for row in pa.table(changes).to_pylist():
        ended = row["asset"] in gone and row["change"] in ("missing", "suspect")
        if ended or (row["asset"] in born and row["change"] == "new"):
            asset = int(number[row["asset"]])
            if row["change"] != "suspect" and (asset not in moved or row["changed_at"] > moved[asset]["changed_at"]):
                moved[asset] = row | {"asset": asset, "change": "moved"}
        else:
            others.append(row | {"asset": int(number[row["asset"]])})
    merged = pa.Table.from_pylist([*others, *moved.values()], schema=pa.table(changes).schema)
    return {name: merged[name].combine_chunks() for name in merged.column_names}
