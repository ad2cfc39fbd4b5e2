"""The point estimates of all drives to point and overhead assets: where each stands, and whether it does.

Legend: D drives, K estimates of all drives, N assets, M detections of one drive, F its frames. ENU metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Bools, Floats, Ints
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive.estimates import DriveEstimates
from roadscan.inventory.drive.passes import DrivePass
from roadscan.inventory.fuse.associate import Association, associate
from roadscan.inventory.fuse.existence import Standing, filter_existence, log_likelihood_ratio
from roadscan.inventory.fuse.pool import CONTROL, PRIOR, ControlPoints, Pool, pool_estimates, weighted_means
from roadscan.inventory.fuse.prior import Before, PointPrior
from roadscan.inventory.fuse.tally import ShownDetections, Tally
from roadscan.inventory.fuse.visibility import (
    SECTORS,
    AlignedDrive,
    PointObservations,
    Targets,
    Visibility,
    point_visibility,
    sector_of,
)
from roadscan.inventory.geometry.assignment import nearby_pairs
from roadscan.taxonomy import Taxonomy

SHARED_SIGMA_M = 0.3  # an axis, that all detections of an asset may be off together


@dataclass(frozen=True)
class PointAssets:
    """The point and overhead assets of a region, (N,) each.

    Attributes:
        class_names: of all classes that drives saw.
        class_index: index into them.
        xy, cov: (N, 2) metres and (N, 2, 2) square metres.
        first: its first estimate that is of a drive or the prior, a row of the pool.
        control_id: (N,) the name of the control point that pins it, or None.
        visibility, ratio: what each drive says of each, and how much that speaks for it (log-likelihood ratio).
        standing: whether each stands.
        located: which places are sure enough to be confirmed.
        shown: the detections that show them.
        tally: what these and those before them come to.
        pool, association: the estimates behind it.
        observations: each drive, aligned, and the asset that each of its detections shows.
        before: what the prior says of each.
    """

    class_names: list[str]
    class_index: Ints
    xy: Floats
    cov: Floats
    first: Ints
    control_id: npt.NDArray[np.object_]
    visibility: Visibility
    ratio: Floats
    standing: Standing
    located: Bools
    shown: ShownDetections
    tally: Tally
    pool: Pool
    association: Association
    observations: list[PointObservations]
    before: Before


def fuse_points(
    drives: list[DrivePass],
    estimates: list[DriveEstimates],
    taxonomy: Taxonomy,
    config: InventoryConfig,
    prior: PointPrior | None = None,
    control: ControlPoints | None = None,
) -> PointAssets:
    """The point and overhead assets that drives saw.

    Args:
        drives: (D) in the order in which they were driven, all in the same ENU metres.
        estimates: (D) of each drive.
        taxonomy: what is known of the classes.
        config: gates, sigmas and probabilities.
        prior: what earlier drives said, in the same metres.
        control: what was surveyed, in the same metres.
    """
    prior = prior or PointPrior.none()
    surveyed = [] if control is None else [control.class_name]
    names = [*surveyed, prior.class_name, *(one.class_name for one in estimates)]
    class_names = sorted({str(name) for one in names for name in one})
    pool = pool_estimates(estimates, class_names, taxonomy, config, prior, control)
    association = associate(pool, config)
    observations = _observations(drives, estimates, pool, association, class_names)
    n = int(association.asset.max(initial=-1)) + 1
    known = np.flatnonzero(association.asset >= 0)
    asset = association.asset[known]
    first = np.full(n, len(pool.drive))
    driven = known[pool.drive[known] != CONTROL]
    np.minimum.at(first, association.asset[driven], driven)
    xy, cov = weighted_means(asset, pool.xy[known] + association.shift[known], pool.placed_cov[known], n)
    before = prior.before(_of_prior(prior, pool, association.asset, xy, first), n)
    reach_m = before.reach_m.copy()
    np.maximum.at(reach_m, asset, np.abs(pool.offset_m[known]))
    class_index = pool.class_index[first]
    targets = Targets(xy, class_index, reach_m, sectors_of(observations, n) | before.sectors)
    visibility = point_visibility(observations, targets, config.visibility)
    ratio = log_likelihood_ratio(visibility, class_index, config.existence, before.belief)
    shown = ShownDetections.of(observations)
    tally = before.tally.plus(shown, drives)
    control_id = np.full(n, None, object)
    pinned = np.flatnonzero((pool.drive == CONTROL) & (association.asset >= 0))
    if control is not None:
        control_id[association.asset[pinned]] = np.array(control.control_id, object)[pinned]
    information = bias_information(pool, association.asset, driven, n)
    cov = _with_bias(cov, information, config, np.isin(np.arange(n), association.asset[pinned]))
    located = np.trace(cov, axis1=1, axis2=2) <= config.existence.confirm_sigma_m**2
    standing = filter_existence(visibility, ratio, located, config.existence, before.belief)
    return PointAssets(
        class_names=class_names,
        class_index=class_index,
        xy=xy,
        cov=cov,
        first=first,
        control_id=control_id,
        visibility=visibility,
        ratio=ratio,
        standing=standing,
        located=located,
        shown=shown,
        tally=tally,
        pool=pool,
        association=association,
        observations=observations,
        before=before,
    )


def _of_prior(prior: PointPrior, pool: Pool, asset: Ints, xy: Floats, first: Ints) -> Ints:
    """The number of each asset of the prior among those of the build, (P,), -1 for none.

    One that the prior has only looked for is the nearest new one of its class that stands where it would be too close.
    """
    number = np.asarray(asset[pool.drive == PRIOR])
    sought = np.flatnonzero(number < 0)
    i, n, distance = nearby_pairs(prior.xy[sought], xy, float(pool.merge_m.max(initial=0.0)))
    same = pool.class_index[sought[i]] == pool.class_index[first[n]]
    good = same & (pool.drive[first[n]] != PRIOR) & (distance <= pool.merge_m[sought[i]])
    i, n, distance = i[good], n[good], distance[good]
    farthest_first = np.argsort(-distance, kind="stable")  # the nearest overwrites
    number[sought[i[farthest_first]]] = n[farthest_first]
    return number


def _observations(
    drives: list[DrivePass],
    estimates: list[DriveEstimates],
    pool: Pool,
    association: Association,
    class_names: list[str],
) -> list[PointObservations]:
    """Each drive, aligned, and the asset that each of its detections shows."""
    index_of = {name: index for index, name in enumerate(class_names)}
    starts = np.searchsorted(pool.drive, np.arange(len(estimates) + 1))
    found = []
    for number, (drive, one) in enumerate(zip(drives, estimates, strict=True)):
        of_estimate = association.asset[starts[number] : starts[number + 1]]
        asset = np.where(one.label >= 0, of_estimate[np.maximum(one.label, 0)], -1) if len(of_estimate) else one.label
        class_index = np.array([index_of.get(str(name), -1) for name in drive.detections.class_name], np.int64)
        found.append(PointObservations(_aligned(drive, one.yaw, pool, association, number), class_index, asset))
    return found


def _aligned(drive: DrivePass, yaw: float, pool: Pool, association: Association, number: int) -> AlignedDrive:
    """The drive, its bias and its yaw error taken away."""
    rows = np.flatnonzero(pool.drive == number)
    if len(rows) == 0:
        return AlignedDrive(drive, drive.camera_xy, yaw)
    rows = rows[np.argsort(pool.s[rows], kind="stable")]
    shift = [np.interp(drive.poses.s, pool.s[rows], association.shift[rows, axis]) for axis in (0, 1)]
    return AlignedDrive(drive, np.asarray(drive.camera_xy + np.stack(shift, axis=1)), yaw)


def sectors_of(observations: Sequence[PointObservations], n: int) -> Bools:
    """Which way cameras looked that saw each of n assets, (N, `SECTORS`)."""
    sectors = np.zeros((n, SECTORS), bool)
    for seen in observations:
        shown = np.flatnonzero(seen.asset >= 0)
        detections = seen.view.drive.detections
        looking = seen.view.looking(detections.frame_index[shown], detections.bearing[shown] + seen.view.yaw)
        sectors[seen.asset[shown], sector_of(looking)] = True
    return sectors


def bias_information(pool: Pool, asset: Ints, rows: Ints, n: int) -> Floats:
    """How sure the mean of the drives that saw each of n assets is of its place, an axis, (N,): sum of 1 / sigma².

    Args:
        pool: the estimates.
        asset: (K,) of each, -1 for none.
        rows: the estimates that count.
        n: how many assets.
    """
    pairs = np.stack([asset[rows], pool.drive[rows]])
    (of_asset, _), first = np.unique(pairs, axis=1, return_index=True)  # a track in two parts is one drive's
    return np.asarray(np.bincount(of_asset, pool.sigma_m[rows[first]] ** -2.0, n), float)


def _with_bias(cov: Floats, information: Floats, config: InventoryConfig, pinned: Bools) -> Floats:
    """The covariances (N, 2, 2) with the bias that the mean of drives has, see `bias_information`, unless `pinned`."""
    untold = config.noise.gnss_sigma_m**2
    variance = np.where(information > 0, 1 / np.maximum(information, 1e-9), untold) + SHARED_SIGMA_M**2
    return np.asarray(cov + np.eye(2) * np.where(pinned, 0.0, variance)[:, None, None])
