"""Tracks of one drive that show one asset to one track, whichever was seen first.

A track ends where its asset is not seen for a while, or looks as if it were elsewhere; a drive comes back by another
street, or the other way. So what is one asset is asked once more of all tracks of the drive, by where they stand and
how sure that is: tracks that may stand at one place are one, the likeliest first (agglomerative clustering).

Legend: K tracks, P pairs of them. ENU metres.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from roadscan.arrays import Floats, Ints
from roadscan.inventory.geometry.assignment import GATE_CHI2, mahalanobis2, nearby_pairs

FARTHEST_M = 25.0  # that two tracks of one asset are apart, however little each of them is sure


def join_tracks(xy: Floats, cov: Floats, frames: Sequence[frozenset[int]], merge_m: float) -> Ints:
    """A new label for each track, (K,), so that tracks of one asset share it.

    Two tracks are one asset when they lie within `merge_m`, or where both may stand as far as they are sure, and are
    not two things seen side by side, more than half of `merge_m` apart. Pairs are joined that are the likeliest for
    both of them; what is joined stands at their mean, and is asked again.

    Args:
        xy: (K, 2) where each stands.
        cov: (K, 2, 2) of that.
        frames: the frames that detected each.
        merge_m: no two assets of their class are closer.

    Source: reciprocal nearest neighbours, F. Murtagh, "A survey of recent advances in hierarchical clustering
    algorithms" (1983).
    """
    label, seen = np.arange(len(xy)), list(frames)
    xy, cov = xy.copy(), cov.copy()
    while True:
        a, b = _partners(np.unique(label), xy, cov, seen, merge_m)
        if len(a) == 0:
            return np.asarray(np.unique(label, return_inverse=True)[1])
        information = np.linalg.inv(cov[a]), np.linalg.inv(cov[b])
        told = sum(sure @ xy[one][..., None] for sure, one in zip(information, (a, b), strict=True))
        cov[a] = np.linalg.inv(information[0] + information[1])
        xy[a] = (cov[a] @ told)[..., 0]
        for one, other in zip(a.tolist(), b.tolist(), strict=True):
            seen[one] |= seen[other]
        now = np.arange(len(xy))
        now[b] = a
        label = now[label]


def _partners(
    asked: Ints, xy: Floats, cov: Floats, seen: Sequence[frozenset[int]], merge_m: float
) -> tuple[Ints, Ints]:
    """Pairs (P,) of tracks that are each other's likeliest partner, none of them in two pairs.

    How likely is the density of both standing at one place: of two as near, the pair that is surer of it.
    """
    a, b, off = nearby_pairs(xy[asked], xy[asked], max(FARTHEST_M, merge_m))
    once = a < b
    a, b, off = asked[a[once]], asked[b[once]], off[once]
    spread = cov[a] + cov[b]
    chi2 = mahalanobis2(xy[a] - xy[b], spread)
    one = (off <= merge_m) | (chi2 <= GATE_CHI2)
    apart = np.flatnonzero(one & (off >= merge_m / 2))
    one[apart] = [not side_by_side(seen[i], seen[j]) for i, j in zip(a[apart].tolist(), b[apart].tolist(), strict=True)]
    order = np.flatnonzero(one)[np.argsort((chi2 + np.log(np.linalg.det(spread)))[one], kind="stable")]
    a, b, rank = a[order], b[order], np.arange(len(order))
    first = np.full(len(xy), len(order))  # the place of each track's likeliest pair
    np.minimum.at(first, a, rank)
    np.minimum.at(first, b, rank)
    mutual = (first[a] == rank) & (first[b] == rank)
    return a[mutual], b[mutual]


def side_by_side(a: frozenset[int], b: frozenset[int]) -> bool:
    """Whether two estimates of one drive were seen together, in at least half of the frames of the rarer one.

    >>> side_by_side(frozenset({1, 2, 3}), frozenset({3, 4})), side_by_side(frozenset({1, 2, 3}), frozenset({4, 5}))
    (True, False)
    """
    return 2 * len(a & b) >= min(len(a), len(b))
