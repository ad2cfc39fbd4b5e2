"""What drives that are no longer weighed anew have said of a region's assets: where its next build goes on from.

A build weighs the last passes of every stretch of road together, and takes what the earlier ones came to as given: in
the terms of Bayes, as its prior. So a night costs what is driven, however long the road has been surveyed.

Legend: P assets of the prior, N assets of a build. ENU metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from roadscan.arrays import Bools, Floats, Ints
from roadscan.inventory.drive.estimates import LineSegment
from roadscan.inventory.drive.passes import DrivePass
from roadscan.inventory.fuse.existence import Belief, Standing
from roadscan.inventory.fuse.tally import Tally
from roadscan.inventory.fuse.visibility import SECTORS
from roadscan.schemas import ASSET_CHANGES

#: What changed of which asset, a number: the columns of `Rows.changes`.
CHANGES = pa.schema(
    {"asset": pa.int64()} | {n: ASSET_CHANGES.field(n).type for n in ("change", "drive_id", "changed_at")}
)


@dataclass(frozen=True)
class PointPrior:
    """Point and overhead assets as earlier drives have them, (P,) each, in the order in which they were first seen.

    Attributes:
        class_name: what each is.
        xy: (P, 2) where it stands.
        raw_xy: (P, 2) where those drives put it on average, their biases not taken away: by this the mean of all drives
            stays theirs too, and is not drawn after the last ones night by night.
        cov: (P, 2, 2) that of one drive which would say as much of it, its bias taken away, as all of them do; the
            covariance of their errors less that of one drive's place, so by itself it is none.
        sigma_m: standard error of the mean of those drives, an axis: what is left of their biases.
        offset_m, course: as of the estimate that started it, see `roadscan.inventory.drive.estimates.DriveEstimates`.
        reach_m: how far beside their way it stood to those who saw it, at most.
        sectors: (P, `SECTORS`) the headings of cameras that saw it.
        tally: what was detected of it.
        belief: whether it stands; one that no drive of the prior has seen is there as they looked and saw nothing.
        changes: `CHANGES`, in the order in which they happened.
    """

    class_name: npt.NDArray[np.str_]
    xy: Floats
    raw_xy: Floats
    cov: Floats
    sigma_m: Floats
    offset_m: Floats
    course: Floats
    reach_m: Floats
    sectors: Bools
    tally: Tally
    belief: Belief
    changes: pa.Table

    @staticmethod
    def none() -> PointPrior:
        """Of no asset."""
        zero, xy, cov = np.zeros(0), np.zeros((0, 2)), np.zeros((0, 2, 2))
        sectors = np.zeros((0, SECTORS), bool)
        return PointPrior(
            np.zeros(0, np.str_),
            xy,
            xy,
            cov,
            zero,
            zero,
            zero,
            zero,
            sectors,
            Tally.none(0),
            Belief.none(0),
            CHANGES.empty_table(),
        )

    @property
    def s(self) -> Floats:
        """Along no drive: zeros."""
        return np.zeros(len(self.class_name))

    @property
    def frames(self) -> list[frozenset[int]]:
        """None of any drive that is weighed anew."""
        return [frozenset()] * len(self.class_name)

    def before(self, asset: Ints, n: int) -> Before:
        """What it says of the n assets of a build.

        Args:
            asset: (P,) what each asset of the prior is among them, -1 for none; one may be several of these.
            n: how many there are.
        """
        there = np.flatnonzero(asset >= 0)
        reach_m, sectors = np.zeros(n), np.zeros((n, SECTORS), bool)
        np.maximum.at(reach_m, asset[there], self.reach_m[there])
        np.logical_or.at(sectors, asset[there], self.sectors[there])
        return Before(
            reach_m,
            sectors,
            self.tally.take(there).of_assets(asset[there], n),
            merged(self.belief, asset, n),
            renumbered(self.changes, asset),
        )


@dataclass(frozen=True)
class Before:
    """What the prior says of a build's point and overhead assets, (N,) each; see `PointPrior`."""

    reach_m: Floats
    sectors: Bools
    tally: Tally
    belief: Belief
    changes: pa.Table


@dataclass(frozen=True)
class LinePrior:
    """Line assets as earlier drives have them, (P,) each, in the order in which they were first seen.

    Attributes:
        outlines: what drives agree on, (V, 2) metres each.
        segments: for each one segment a sector of the compass that it was seen from, with the sums and extremes of all
            those, the earliest sector first; none of a line that no drive of the prior saw.
        nights, last_day, last_drive: see `roadscan.inventory.fuse.tally.Tally`.
        class_names: what each is.
        belief: whether it stands, see `PointPrior`.
        changes: `CHANGES`.
    """

    class_names: list[str]
    outlines: list[Floats]
    segments: list[list[LineSegment]]
    nights: Ints
    last_day: Ints
    last_drive: list[str | None]
    belief: Belief
    changes: pa.Table

    @staticmethod
    def none() -> LinePrior:
        """Of no line."""
        zero = np.zeros(0, np.int64)
        return LinePrior([], [], [], zero, zero, [], Belief.none(0), CHANGES.empty_table())


@dataclass(frozen=True)
class Prior:
    """What the drives that a region's build leaves out have said of its assets.

    Attributes:
        drive_ids: which drives, in the order in which they were left out.
        points, lines: what they said.
    """

    drive_ids: tuple[str, ...]
    points: PointPrior
    lines: LinePrior

    @staticmethod
    def none() -> Prior:
        """Of no drives."""
        return Prior((), PointPrior.none(), LinePrior.none())


def merged(belief: Belief, asset: Ints, n: int) -> Belief:
    """The belief in n assets, of each as in the likeliest of those that it is.

    Args:
        belief: (P,) of each of those.
        asset: (P,) what it is, 0..n-1, or -1.
        n: how many assets there are.
    """
    there = np.flatnonzero(asset >= 0)
    belief, asset = belief.take(there), asset[there]
    order = np.lexsort((belief.odds, asset))
    rows = order[np.append(np.diff(asset[order]) != 0, True)] if len(order) else order
    every = Belief.none(n)
    for name, value in vars(every).items():
        value[asset[rows]] = getattr(belief, name)[rows]
    return every


def renumbered(changes: pa.Table, asset: Ints) -> pa.Table:
    """Changes (`CHANGES`) with the numbers that assets have now; those of -1 are left out."""
    number = asset[changes["asset"].to_numpy()]
    kept = np.flatnonzero(number >= 0)
    return changes.take(pa.array(kept)).set_column(0, CHANGES.field("asset"), pa.array(number[kept], pa.int64()))


def changes_of(drives: Sequence[DrivePass], standing: Standing) -> pa.Table:
    """What drives changed, `CHANGES`."""
    by = [drives[k] for k in standing.by.tolist()]
    columns = [standing.changed, standing.change, [d.drive_id for d in by], [d.ended_at for d in by]]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, CHANGES, strict=True)]
    return pa.Table.from_arrays(arrays, schema=CHANGES)
