"""Which estimates of many drives are one asset.

That question and the drives' biases (`roadscan.inventory.fuse.adjustment`) need each other's answer, so they are asked
in turn. Drives are taken in the order in which they were driven; each one's estimates are assigned one to one to the
assets so far, of which the prior's are the first; the rest start assets of their own. Then the biases are adjusted, and
with every drive moved by its own the question is asked again. Each drive counts as it is sure, those of the prior too:
where these put an asset themselves is carried on beside where it stood then.

Legend: K estimates of all drives, N assets, R estimates of one drive, P pairs of an asset and an estimate. ENU metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats, Ints, group_by
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive.join import side_by_side
from roadscan.inventory.fuse.adjustment import Neighbours, adjusted_shifts
from roadscan.inventory.fuse.bias import SHIFT_SAMPLES, along_course, clock_shift, local_shift
from roadscan.inventory.fuse.duplicates import merge_duplicates
from roadscan.inventory.fuse.pool import CONTROL, PRIOR, Pool, on_opposite_sides
from roadscan.inventory.geometry.assignment import GATE_CHI2, mahalanobis2, nearby_pairs, one_to_one

ROUNDS = 3


@dataclass(frozen=True)
class Association:
    """What the estimates of a pool show.

    Attributes:
        asset: (K,) which asset, 0… in the order in which they were first seen; -1 for none, as of a control point that
            no drive saw.
        shift: (K, 2) metres from where its drive puts it to where all drives do.
        clock: (K, 2) what of it makes up for a clock that is late.
    """

    asset: Ints
    shift: Floats
    clock: Floats


def associate(pool: Pool, config: InventoryConfig) -> Association:
    """The asset of every estimate, and every estimate's shift."""
    asset, start = _assign(pool, None, config)
    neighbours = Neighbours.of(pool, config.noise.gnss_memory_m)
    mean = _mean_shift(pool, config)
    shift = start + mean
    for _ in range(ROUNDS):
        asset = merge_duplicates(pool, asset, shift)
        shift = adjusted_shifts(pool, asset, shift, start, mean, neighbours)
        asset, _ = _assign(pool, shift, config)
    return Association(_driven(pool, merge_duplicates(pool, asset, shift)), shift, start)


def _driven(pool: Pool, asset: Ints) -> Ints:
    """The asset of each estimate, without those that are a control point alone; renumbered as they were first seen."""
    seen = np.flatnonzero((asset >= 0) & (pool.drive != CONTROL))
    numbers, first = np.unique(asset[seen], return_index=True)
    number = np.full(int(asset.max(initial=-1)) + 2, -1)  # the last is that of none
    number[numbers[np.argsort(first, kind="stable")]] = np.arange(len(numbers))
    return number[asset]


def _mean_shift(pool: Pool, config: InventoryConfig) -> Floats:
    """What is expected of each estimate's shift, (K, 2): of the prior's, that it goes to where its drives put it.

    So the mean of all drives is that of the prior's too.
    """
    raw = pool.raw_xy - pool.xy
    prior = np.flatnonzero(pool.drive == PRIOR)
    if len(prior) >= SHIFT_SAMPLES:
        raw[prior] = local_shift(pool.xy[prior], raw[prior], pool.xy[prior], config.matching.bias_window_m)
    return raw


class _Assets:
    """Assets while drives are added: the information-weighted mean of what was said of each; arrays are (N, …)."""

    def __init__(self, capacity: int) -> None:
        self.size = 0
        self.information = np.zeros((capacity, 2, 2))
        self.weighted = np.zeros((capacity, 2))
        self.xy = np.zeros((capacity, 2))
        self.cov = np.zeros((capacity, 2, 2))
        self.first = np.zeros(capacity, np.int64)  # the estimate that started it

    def start(self, rows: Ints) -> Ints:
        """New assets, each started by an estimate; their numbers."""
        asset = self.size + np.arange(len(rows))
        self.first[asset] = rows
        self.size += len(rows)
        return asset

    def add(self, asset: Ints, xy: Floats, cov: Floats) -> None:
        """Put estimates (n,) into assets, of which one may be named more than once."""
        for part in _without_repeats(asset):
            self._add(asset[part], xy[part], cov[part])

    def _add(self, asset: Ints, xy: Floats, cov: Floats) -> None:
        information = np.linalg.inv(cov)
        self.information[asset] += information
        self.weighted[asset] += (information @ xy[..., None])[..., 0]
        self.cov[asset] = np.linalg.inv(self.information[asset])
        self.xy[asset] = (self.cov[asset] @ self.weighted[asset][..., None])[..., 0]


def _assign(pool: Pool, shift: Floats | None, config: InventoryConfig) -> tuple[Ints, Floats]:
    """The asset of each estimate (K,), and how far drives whose clock is off were moved along their way, (K, 2) metres.

    Args:
        pool: all estimates.
        shift: (K, 2) of each; None where the drives' biases are not known yet.
        config: gates.
    """
    sigma = pool.aligned_m if shift is not None else np.maximum(pool.sigma_m, pool.aligned_m)
    cov = pool.cov + np.eye(2) * sigma[:, None, None] ** 2
    xy = pool.xy.copy() if shift is None else pool.xy + shift
    asset = np.full(len(xy), -1)
    late_m = np.zeros(int(pool.drive.max(initial=-1)) + 3)  # the last are those of control and prior, and stay 0
    assets = _Assets(len(xy))
    for rows in group_by(np.arange(len(xy)), pool.drive):
        if shift is None and pool.drive[rows[0]] >= 0:
            metres = clock_shift(pool, rows, assets.xy[: assets.size], assets.first)
            late_m[pool.drive[rows[0]]] = metres
            xy[rows] += metres * along_course(pool.course[rows])
            at = xy[rows] + _first_shift(pool, rows, xy[rows], assets, config)
            asset[rows] = _assign_drive(pool, rows, assets, at, cov[rows], pool.gate_m[rows])
        else:
            asset[rows] = _assign_drive(pool, rows, assets, xy[rows], cov[rows], 2 * pool.gate_m[rows])
        known = rows[asset[rows] >= 0]
        assets.add(asset[known], xy[known], cov[known])
        fresh = rows[(asset[rows] < 0) & pool.starts[rows]]
        asset[fresh] = assets.start(fresh)
        assets.add(asset[fresh], xy[fresh], cov[fresh])
    if PRIOR not in pool.drive:  # by which clocks are told, where there is one
        late_m[:-2] -= np.median(late_m[:-2]) if len(late_m) > 2 else 0.0
    return asset, late_m[pool.drive, None] * along_course(pool.course)


def _assign_drive(pool: Pool, rows: Ints, assets: _Assets, at: Floats, cov: Floats, gate_m: Floats) -> Ints:
    """The asset of each estimate of one drive, (R,), -1 for none: one to one, then what is left of broken tracks.

    Args:
        pool: all estimates.
        rows: (R,) those of the drive.
        assets: so far.
        at: (R, 2) where they stand.
        cov: (R, 2, 2) of that.
        gate_m: (R,) how far off an asset may be.
    """
    n, k = _allowed(pool, rows, assets, at, gate_m)
    spread = assets.cov[n] + cov[k]
    chi2 = mahalanobis2(assets.xy[n] - at[k], spread)
    near = np.flatnonzero(chi2 <= GATE_CHI2)
    n, k, cost = n[near], k[near], chi2[near] + np.log(np.linalg.det(spread[near]))  # the likelihood: vague is dear
    chosen = one_to_one(n, k, cost, miss_cost=float(cost.max(initial=0.0)) + 1)
    asset = np.full(len(rows), -1)
    asset[k[chosen]] = n[chosen]
    _attach(pool.frames[rows], asset, n, k, cost)
    return asset


def _attach(frames: npt.NDArray[np.object_], asset: Ints, n: Ints, k: Ints, cost: Floats) -> None:
    """Give what is left of a drive's estimates to assets that the drive saw, unless it saw both side by side.

    A track that broke off and began anew is two estimates of one asset.
    """
    best: dict[int, int] = {int(asset[row]): int(row) for row in np.flatnonzero(asset >= 0)}
    for pair in np.argsort(cost, kind="stable").tolist():
        row, one = int(k[pair]), int(n[pair])
        if asset[row] < 0 and (one not in best or not side_by_side(frames[row], frames[best[one]])):
            asset[row] = one
            best.setdefault(one, row)


def _without_repeats(values: Ints) -> list[Ints]:
    """Indices in parts, no value twice in one part."""
    order = np.argsort(values, kind="stable")
    new = np.r_[True, np.diff(values[order]) > 0] if len(order) else np.zeros(0, bool)
    rank = np.arange(len(order)) - np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    return [order[rank == place] for place in range(int(rank.max(initial=-1)) + 1)]


def _first_shift(pool: Pool, rows: Ints, at: Floats, assets: _Assets, config: InventoryConfig) -> Floats:
    """A drive's bias near each of its estimates, (R, 2) at `at`, from those with one possible asset and no rival."""
    n, k = _allowed(pool, rows, assets, at, pool.gate_m[rows])
    lonely = (np.bincount(n, minlength=assets.size)[n] == 1) & (np.bincount(k, minlength=len(rows))[k] == 1)
    sure = lonely & ~pool.overhead[rows[k]]
    residual = assets.xy[n[sure]] - at[k[sure]]
    return local_shift(at[k[sure]], residual, at, config.matching.bias_window_m)


def _allowed(pool: Pool, rows: Ints, assets: _Assets, at: Floats, gate_m: Floats) -> tuple[Ints, Ints]:
    """Pairs of asset and estimate (index into rows) within the gate, of one class and not on different sides."""
    n, k, distance = nearby_pairs(assets.xy[: assets.size], at, float(gate_m.max(initial=0.0)))
    first, row = assets.first[n], rows[k]
    good = (distance <= gate_m[k]) & (pool.class_index[first] == pool.class_index[row])
    good &= ~on_opposite_sides(pool, first, row)
    return n[good], k[good]
