"""Assets too close to each other to be two are made one, unless drives saw both side by side.

Legend: K estimates, N assets, P pairs of assets. ENU metres.
"""

from __future__ import annotations

import numpy as np

from roadscan.arrays import Floats, Ints, group_by
from roadscan.inventory.drive.join import side_by_side
from roadscan.inventory.fuse.pool import Pool, on_opposite_sides, weighted_means
from roadscan.inventory.geometry.assignment import GATE_CHI2, mahalanobis2, nearby_pairs

TWIN_REACH = 1.5  # of `merge_m`, for two assets that may be one as far as their covariances tell
TWIN_SHARE = 0.2  # of the drives that saw the rarer one: seen side by side more often than this, they are two


def merge_duplicates(pool: Pool, asset: Ints, shift: Floats) -> Ints:
    """The asset of each estimate (K,), duplicates made one; renumbered, the older one's number staying.

    Args:
        pool: the estimates.
        asset: (K,) of each, -1 for none.
        shift: (K, 2) by which each is moved.
    """
    asset = np.unique(asset, return_inverse=True)[1] - int((asset < 0).any())
    n = int(asset.max(initial=-1)) + 1
    if n == 0:
        return asset
    known = np.flatnonzero(asset >= 0)
    first = np.full(n, len(asset))
    np.minimum.at(first, asset[known], known)
    members = [part.tolist() for part in group_by(known, asset[known])]
    new = np.arange(n)
    for i, j in _twins(pool, asset, shift, first):
        older, younger = sorted((_root(new, i), _root(new, j)), key=lambda one: first[one])
        # A bridge is seen at both its stairs, side by side, and is one.
        apart = not pool.overhead[first[older]] and _seen_apart(pool, members[older], members[younger])
        if older != younger and not apart:
            new[younger] = older
            members[older] += members[younger]
    roots = np.array([_root(new, one) for one in range(n)])
    rank = np.empty(n, np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(n)
    asset[known] = np.unique(rank[roots[asset[known]]], return_inverse=True)[1]
    return asset


def _twins(pool: Pool, asset: Ints, shift: Floats, first: Ints) -> list[tuple[int, int]]:
    """Pairs of assets of one class and side that stand closer than the class allows, the nearest first."""
    known = np.flatnonzero(asset >= 0)
    xy, cov = weighted_means(asset[known], pool.xy[known] + shift[known], pool.placed_cov[known], len(first))
    i, j, distance = nearby_pairs(xy, xy, float(pool.merge_m.max()) * TWIN_REACH)
    good = (i < j) & (pool.class_index[first[i]] == pool.class_index[first[j]])
    good &= ~on_opposite_sides(pool, first[i], first[j])
    i, j, distance = i[good], j[good], distance[good]
    unsure = mahalanobis2(xy[i] - xy[j], cov[i] + cov[j]) <= GATE_CHI2
    near = np.flatnonzero(distance <= pool.merge_m[first][i] * np.where(unsure, TWIN_REACH, 1.0))
    near = near[np.argsort(distance[near], kind="stable")]
    return list(zip(i[near].tolist(), j[near].tolist(), strict=True))


def _seen_apart(pool: Pool, a: list[int], b: list[int]) -> bool:
    """Whether drives saw two assets, given as their estimates, side by side too often for them to be one."""
    of_drive: dict[int, list[int]] = {}
    for row in a:
        of_drive.setdefault(int(pool.drive[row]), []).append(row)
    together = {
        int(pool.drive[row])
        for row in b
        for other in of_drive.get(int(pool.drive[row]), ())
        if side_by_side(pool.frames[row], pool.frames[other])
    }
    rarer = min(len(of_drive), len({int(pool.drive[row]) for row in b}))
    return len(together) > TWIN_SHARE * rarer


def _root(parent: Ints, one: int) -> int:
    while parent[one] != one:
        one = int(parent[one])
    return one
