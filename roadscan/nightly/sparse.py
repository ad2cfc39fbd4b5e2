"""Whether new drives show far less than earlier ones did on the same road, so that the register would lose what stands.

Of each cell of the road that new drives share with earlier ones, what those had detected a frame is what is expected of
the new frames there. A model that finds nothing, a lens that is covered, or images that are all of the sky have a small
part of it on a whole night; rain, dusk or the other carriageway take a half at most, and drift tells of those.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.inventory.tiles.kept import drive_digests, read_drives
from roadscan.nightly.summary import GateReport
from roadscan.warehouse import Release, Warehouse

CELL_DEG = 0.002  # some 200 m: a road's, not one of its frames'
BEFORE = 5  # earlier drives of a road, the last ones
LEAST = 50  # detections that are expected: of fewer, a quarter may be chance
COLUMNS = ["status", "camera_lat", "camera_lon", "n_detections"]


def judge_detections(
    warehouse: Warehouse, release: Release, drive_ids: Collection[str], least_share: float
) -> GateReport | None:
    """The drives of a release that its register does not have yet, against those that it has, on the same road.

    A night's drives are judged together, and apart from them those of nights before that were held back.

    Args:
        warehouse: theirs.
        release: with the new drives.
        drive_ids: of the night.
        least_share: of the detections that are expected.

    Returns:
        None where there is nothing to judge: no gate, or hardly a road that was driven before.
    """
    if not least_share:
        return None
    runs = warehouse.read(release, "runs", columns=["drive_id", "bbox", "started_at"]).to_pylist()
    standing, digests = read_drives(warehouse, release), drive_digests(warehouse, release)
    known = {name for name, digest in digests.items() if name in standing and standing[name].digest == digest}
    before = [row for row in runs if row["drive_id"] in known and row["bbox"] and row["started_at"]]
    seen: dict[str, pa.Table] = {}

    def cells(drive_id: str) -> pa.Table:
        if drive_id not in seen:
            seen[drive_id] = by_cell(warehouse.read(release, "frames", drive_id=drive_id, columns=COLUMNS))
        return seen[drive_id]

    sums = {"this night": np.zeros(2), "nights held back before": np.zeros(2)}
    for row in runs:
        if row["drive_id"] not in known and row["bbox"]:
            group = "this night" if row["drive_id"] in drive_ids else "nights held back before"
            sums[group] += _shared(cells(row["drive_id"]), [cells(one) for one in _earlier(row, before)])
    judged = {name: (found, expected) for name, (found, expected) in sums.items() if expected >= LEAST}
    if not judged:
        return None
    words = [
        f"{found:.0f} detections of {name} where earlier drives had {expected:.0f} on the same road, "
        f"{found / expected:.1%}; health.min_detections is {least_share:.1%}"
        for name, (found, expected) in judged.items()
    ]
    return GateReport(any(found < least_share * expected for found, expected in judged.values()), tuple(words))


def by_cell(frames: pa.Table) -> pa.Table:
    """Rows of `FRAMES`, with `COLUMNS` -> of each cell (``lat``, ``lon``) its ``frames`` and ``detections``."""
    ok = frames.filter(pc.and_(pc.equal(frames["status"], "ok"), pc.is_valid(frames["camera_lat"])))
    rows = pa.table({
        "lat": pc.floor(pc.divide(ok["camera_lat"], CELL_DEG)).cast(pa.int64()),
        "lon": pc.floor(pc.divide(ok["camera_lon"], CELL_DEG)).cast(pa.int64()),
        "n": ok["n_detections"],
    })  # fmt: skip
    made = rows.group_by(["lat", "lon"]).aggregate([("n", "count"), ("n", "sum")])
    return made.rename_columns(["lat", "lon", "frames", "detections"])


def _shared(new: pa.Table, earlier: Sequence[pa.Table]) -> tuple[float, float]:
    """Detections of a drive in the cells that others were in, and how many these would have had in its frames."""
    if not earlier:
        return 0.0, 0.0
    old = pa.concat_tables(earlier).group_by(["lat", "lon"]).aggregate([("frames", "sum"), ("detections", "sum")])
    both = new.join(old, ["lat", "lon"], join_type="inner")
    rate = pc.divide(both["detections_sum"].cast(pa.float64()), both["frames_sum"])
    return float(pc.sum(both["detections"]).as_py() or 0), float(pc.sum(pc.multiply(rate, both["frames"])).as_py() or 0)


def _earlier(new: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> list[str]:
    """The last drives whose frames may lie on the road of a new one."""
    near = [row for row in before if _overlap(new["bbox"], row["bbox"])]
    return [row["drive_id"] for row in sorted(near, key=lambda row: row["started_at"], reverse=True)[:BEFORE]]


def _overlap(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return all(
        one[f"{axis}min"] <= other[f"{axis}max"] + CELL_DEG and other[f"{axis}min"] <= one[f"{axis}max"] + CELL_DEG
        for axis in ("x", "y")
    )
