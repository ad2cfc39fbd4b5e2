"""Whether new drives show far less than earlier ones did on the same road, so that the register would lose what stands.

Of each cell of the road that new drives share with earlier ones, what those had detected a frame is what is expected of
the new frames there. A model that finds nothing, a lens that is covered, or images that are all of the sky have a small
part of it on a whole night; rain, dusk or the other carriageway take a half at most, and drift tells of those.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.arrays import Bools, Floats, Ints
from roadscan.inventory.register.geoparquet import CORNERS
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
    runs = warehouse.read(release, "runs", columns=["drive_id", "bbox", "started_at"])
    ids, bounds = runs["drive_id"].to_pylist(), _bounds(runs)
    standing, digests = read_drives(warehouse, release), drive_digests(warehouse, release)
    known = {name for name, digest in digests.items() if name in standing and standing[name].digest == digest}
    is_known, has_place = np.array([name in known for name in ids], bool), np.isfinite(bounds).all(axis=1)
    before = _newest_first(runs, np.flatnonzero(is_known & has_place))
    seen: dict[str, pa.Table] = {}

    def cells(drive_id: str) -> pa.Table:
        if drive_id not in seen:
            seen[drive_id] = by_cell(warehouse.read(release, "frames", drive_id=drive_id, columns=COLUMNS))
        return seen[drive_id]

    sums = {"this night": np.zeros(2), "nights held back before": np.zeros(2)}
    for row in np.flatnonzero(~is_known & has_place).tolist():
        group = "this night" if ids[row] in drive_ids else "nights held back before"
        earlier = before[_overlap(bounds[row], bounds[before])][:BEFORE]
        sums[group] += _shared(cells(ids[row]), [cells(ids[one]) for one in earlier])
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


def _bounds(runs: pa.Table) -> Floats:
    """Rows of `RUNS` -> western, southern, eastern and northern end of each, degrees, (n, 4); NaN where unknown."""
    corners = (pc.struct_field(runs["bbox"], name) for name in CORNERS)
    return np.stack([corner.to_numpy().astype(float) for corner in corners], axis=1)


def _newest_first(runs: pa.Table, rows: Ints) -> Ints:
    """Some rows of `RUNS`, those that say when their drive began, the last drive first."""
    started = runs["started_at"].take(pa.array(rows))
    dated = rows[started.is_valid().to_numpy()]
    return np.asarray(dated[np.argsort(-started.drop_null().cast(pa.int64()).to_numpy(), kind="stable")])


def _overlap(bounds: Floats, others: Floats) -> Bools:
    """Which of others (n, 4) may have frames on the road of bounds (4,)."""
    apart = (bounds[:2] > others[:, 2:] + CELL_DEG) | (others[:, :2] > bounds[2:] + CELL_DEG)
    return np.asarray(~apart.any(axis=1))
