"""The point estimates of all drives as one table, and what two of them have to do with each other.

Legend: K estimates of all drives together, by drive; P assets of the prior. ENU metres that all drives share.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from roadscan.arrays import Bools, Floats, Ints
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.control import CONTROL as CONTROL_POINTS
from roadscan.inventory.drive.estimates import DriveEstimates
from roadscan.inventory.fuse.prior import PointPrior
from roadscan.survey.geodesy import LocalFrame
from roadscan.taxonomy import Geometry, Taxonomy

SIDE_MARGIN_M = 2.0  # nearer to the path than this, left and right may be confused
SAME_WAY_COS = 0.7
ALIGNED_SHARE = 0.47  # of a drive's bias, as its standard error has it, that is left after it is taken away …
ALIGNED_SIGMA_M = 0.7  # … an axis; of the usual drive of 1.5 m, and of those of the prior
PRIOR = -1  # the number of the drive that the prior stands in for: it was driven before all drives …
CONTROL = -2  # … and of the control points: a drive before that, without any error but their own
EXACT_M = 1e-3  # the bias of that


@dataclass(frozen=True)
class ControlPoints:
    """Surveyed places, (C,) each, as if one drive without a bias had seen them.

    Attributes:
        control_id: the owner's name of each.
        class_name: what stands there.
        xy: (C, 2) where, ENU metres.
        cov: (C, 2, 2) of that.
    """

    control_id: list[str]
    class_name: npt.NDArray[np.str_]
    xy: Floats
    cov: Floats

    @staticmethod
    def of(control: pa.Table, enu: LocalFrame) -> ControlPoints:
        """Rows of `roadscan.inventory.control.CONTROL` in metres."""
        xy = np.stack(enu.to_xy(control["lon"].to_numpy(), control["lat"].to_numpy()), axis=1).reshape(-1, 2)
        cov = np.eye(2) * (control["sigma_m"].to_numpy() ** 2 / 2)[:, None, None]
        names = np.asarray(control["class"].to_pylist(), dtype=np.str_)
        return ControlPoints(control["control_id"].to_pylist(), names, xy, cov)

    @property
    def sigma_m(self) -> Floats:
        """The bias of the drive: none."""
        return np.full(len(self.class_name), EXACT_M)

    @property
    def s(self) -> Floats:
        """Along no drive: zeros; so are the others."""
        return np.zeros(len(self.class_name))

    offset_m = course = s

    @property
    def frames(self) -> list[frozenset[int]]:
        """None."""
        return [frozenset()] * len(self.class_name)


@dataclass(frozen=True)
class Pool:
    """The point estimates of all drives, (K,) each, by drive.

    Attributes:
        drive: whose they are, 0…, `PRIOR` or `CONTROL`.
        class_index: index into the names of the classes.
        xy, cov: (K, 2) position and (K, 2, 2) covariance, as the drive alone has them.
        raw_xy: (K, 2) the same as `xy`; of the prior without what its drives' biases were taken to be.
        sigma_m: standard error of its drive's position there, an axis; of the prior of the mean of its drives.
        s, offset_m, course: see `roadscan.inventory.drive.estimates.DriveEstimates`.
        starts: seen often enough to be an asset that no other drive has seen, and not so vague that an asset would not
            even be looked for where it stands.
        gate_m: how far from it its asset may be, the drive's bias being unknown.
        merge_m: no two assets of its class are closer.
        overhead: it spans the road.
        frames: the frames that detected it, a frozenset each.
    """

    drive: Ints
    class_index: Ints
    xy: Floats
    raw_xy: Floats
    cov: Floats
    sigma_m: Floats
    s: Floats
    offset_m: Floats
    course: Floats
    starts: Bools
    gate_m: Floats
    merge_m: Floats
    overhead: Bools
    frames: npt.NDArray[np.object_]

    @property
    def aligned_m(self) -> Floats:
        """Standard error of each estimate's drive, an axis, after its bias is taken away, (K,)."""
        return np.where(self.drive == PRIOR, ALIGNED_SIGMA_M, ALIGNED_SHARE * self.sigma_m)

    @property
    def placed_cov(self) -> Floats:
        """The covariance of each estimate, its drive's bias taken away, (K, 2, 2)."""
        return np.asarray(self.cov + np.eye(2) * self.aligned_m[:, None, None] ** 2)

    def take(self, chosen: Ints | Bools) -> Pool:
        """Some of the estimates."""
        return Pool(**{name: value[chosen] for name, value in vars(self).items()})


def pool_estimates(
    estimates: list[DriveEstimates],
    class_names: list[str],
    taxonomy: Taxonomy,
    config: InventoryConfig,
    prior: PointPrior | None = None,
    control: ControlPoints | None = None,
) -> Pool:
    """Control points and the assets of the prior as estimates of a drive each, then those of drives, in their order."""
    before, pinned = (
        prior or PointPrior.none(),
        control or ControlPoints.of(CONTROL_POINTS.empty_table(), LocalFrame(0.0, 0.0)),
    )
    sources: list[ControlPoints | PointPrior | DriveEstimates] = [pinned, before, *estimates]

    def stacked(attribute: str) -> Floats:
        return np.concatenate([np.asarray(getattr(one, attribute), float) for one in sources])

    classes = [taxonomy.get(name) for name in class_names]
    index_of = {name: index for index, name in enumerate(class_names)}
    class_index = np.array([index_of[str(name)] for one in sources for name in one.class_name], np.int64)
    overhead = np.array([c.geometry is Geometry.OVERHEAD for c in classes], bool)
    gate_m = np.where(overhead, config.matching.overhead_gate_m, config.matching.gate_m)[class_index]
    drive = np.repeat(np.arange(CONTROL, len(estimates)), [len(one.class_name) for one in sources])
    often = [one.hits >= config.tracking.candidate_hits for one in estimates]
    begun = [np.ones(len(pinned.class_name), bool), before.belief.begun, *often]
    cov = stacked("cov")
    sure = np.trace(cov, axis1=1, axis2=2) <= gate_m**2
    return Pool(
        drive=drive,
        class_index=class_index,
        xy=stacked("xy"),
        raw_xy=np.concatenate([pinned.xy, before.raw_xy, *(one.xy for one in estimates)]),
        cov=cov,
        sigma_m=stacked("sigma_m"),
        s=stacked("s"),
        offset_m=stacked("offset_m"),
        course=stacked("course"),
        starts=np.concatenate(begun) & (sure | (drive < 0)),
        gate_m=gate_m,
        merge_m=np.array([c.merge_m for c in classes], float)[class_index],
        overhead=overhead[class_index],
        frames=np.fromiter((f for one in sources for f in one.frames), object, len(class_index)),
    )


def on_opposite_sides(pool: Pool, a: Ints, b: Ints) -> Bools:
    """Which pairs of estimates stand clearly on different sides of the road.

    Driven the other way a side says nothing: on a divided road what stands in the middle is to the right both times.
    """
    same_way = np.cos(pool.course[a] - pool.course[b]) >= SAME_WAY_COS
    beside = np.minimum(np.abs(pool.offset_m[a]), np.abs(pool.offset_m[b])) >= SIDE_MARGIN_M
    other = np.sign(pool.offset_m[a]) != np.sign(pool.offset_m[b])
    return np.asarray(same_way & beside & other & ~pool.overhead[a])


def weighted_means(asset: Ints, xy: Floats, cov: Floats, n: int) -> tuple[Floats, Floats]:
    """Information-weighted mean position (N, 2) of each asset's estimates, and its covariance (N, 2, 2).

    Args:
        asset: (K,) of each estimate, 0..n-1, each there at least once.
        xy: (K, 2) where each stands, its drive's bias taken away.
        cov: (K, 2, 2) of that, `Pool.placed_cov`.
        n: how many assets.
    """
    information = np.linalg.inv(cov)
    total = np.zeros((n, 2, 2))
    np.add.at(total, asset, information)
    weighted = np.zeros((n, 2))
    np.add.at(weighted, asset, (information @ xy[..., None])[..., 0])
    spread = np.linalg.inv(total)
    return (spread @ weighted[..., None])[..., 0], np.asarray(spread, float)
