"""Two registers of the same drives, with the same ids, to what differs between them, by kind.

Legend: P assets that both have.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.arrays import Bools
from roadscan.survey.geodesy import WGS84

SAME_SHARE = 0.1  # of the observations that may be another asset's nearby
SEEN = ("first_seen", "last_seen")  # on which days; within a day one frame more or less moves them by its half second


def asset_differences(before: pa.Table, after: pa.Table) -> dict[str, list[str]]:
    """The ids of assets that differ, by kind; kinds of which there are none are left out.

    Args:
        before: `schemas.ASSETS`.
        after: the same, as it should be.

    Returns:
        gone: only in `before`; added: only in `after`; of both: state; place, by more than its standard deviation (a
        prior weighs drives in another order than all of them together), or in length by more than twice that;
        evidence: on which day (UTC) it was seen first or last, by which drive last, or in how many frames, by more than
        `SAME_SHARE` of them.
    """
    old = {row: number for number, row in enumerate(before["asset_id"].to_pylist())}
    new = {row: number for number, row in enumerate(after["asset_id"].to_pylist())}
    both = [one for one in new if one in old]
    was, now = (
        table.take(pa.array([rows[one] for one in both], pa.int64())) for table, rows in ((before, old), (after, new))
    )
    ids = np.array(both, dtype=object)
    found = {
        "gone": [one for one in old if one not in new],
        "added": [one for one in new if one not in old],
        "state": ids[_other(was, now, "state")].tolist(),
        "place": ids[_moved(was, now)].tolist(),
        "evidence": ids[_recounted(was, now) | _seen_otherwise(was, now)].tolist(),
    }
    return {kind: sorted(names) for kind, names in found.items() if names}


def _other(was: pa.Table, now: pa.Table, name: str) -> Bools:
    """Of which assets (P,) a column differs."""
    pairs = zip(was[name].to_pylist(), now[name].to_pylist(), strict=True)
    return np.array([a != b for a, b in pairs], bool)


def _seen_otherwise(was: pa.Table, now: pa.Table) -> Bools:
    """Which assets (P,) were seen first or last on another day, or last by another drive."""
    days = [
        [pc.floor_temporal(table[name], unit="day").cast("int64").to_numpy() for name in SEEN] for table in (was, now)
    ]
    other_day = np.any([before != after for before, after in zip(*days, strict=True)], axis=0)
    return np.asarray(other_day | _other(was, now, "last_drive_id"), bool)


def _recounted(was: pa.Table, now: pa.Table) -> Bools:
    """Which assets (P,) were seen in another number of frames."""
    before, after = (table["n_observations"].to_numpy() for table in (was, now))
    return np.asarray(np.abs(before - after) > SAME_SHARE * np.maximum(before, after), bool)


def _moved(was: pa.Table, now: pa.Table) -> Bools:
    """Which assets (P,) stand elsewhere or, being lines, have another length."""
    if not was.num_rows:
        return np.zeros(0, bool)
    places = [table[name].to_numpy() for table in (was, now) for name in ("lon", "lat")]
    off_m = WGS84.inv(*places)[2]
    length = [np.nan_to_num(table["length_m"].to_numpy().astype(float)) for table in (was, now)]
    sigma_m = now["pos_sigma_m"].to_numpy()
    return np.asarray((off_m > sigma_m) | (np.abs(length[0] - length[1]) > 2 * sigma_m), bool)
