"""How far each drive is off along its way, of all drives at once: a least squares adjustment.

Unknown are where the assets stand, and the bias of each drive at each of its estimates. An estimate says where its
asset is, less the bias; a bias is about zero within the drive's own standard error, and about the same at places that
are near (a Gauss-Markov process of first order, of `noise.gnss_memory_m`). So of drives that are equally sure the
register stands at their mean, and one that is surer by far draws all others to it.

Source: W. Niemeier, "Ausgleichungsrechnung" (2008), chapter 8, adjustment with stochastic parameters; Rue & Held,
"Gaussian Markov Random Fields" (2005), section 1.2, for the precision of the process.

Legend: K estimates of all drives, R of them that tie drives together, N assets, E edges between neighbours. ENU metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from roadscan.arrays import Floats, Ints
from roadscan.inventory.fuse.pool import PRIOR, Pool, weighted_means
from roadscan.inventory.geometry.assignment import mahalanobis2

ITERATIONS = 3  # of the weights of the soft-L1 loss
LEAST_STEP_M = 1.0  # between neighbours, so that two at one place leave the equations solvable
LEAST_SIGMA_M = 0.01  # of a drive; less is said by none that is right
NEIGHBOURS = 6  # of an asset of the prior, among which the tree of all of them is sought


@dataclass(frozen=True)
class Neighbours:
    """Estimates whose biases are alike, (E,) pairs: along each drive, and of the prior the nearest.

    Attributes:
        a, b: the estimates.
        likeness: correlation of their biases, between 0 and 1, were they as sure.
        sigma_m: (K,) standard error of the bias that each estimate has in common with its neighbours, an axis. Of a
            drive that is its own. The prior's is the mean of its drives, and of an asset that few of them saw the mean
            of few: it has that of the surest beside it, and an error of its own besides.
    """

    a: Ints
    b: Ints
    likeness: Floats
    sigma_m: Floats

    @staticmethod
    def of(pool: Pool, memory_m: float) -> Neighbours:
        """Those of all drives.

        Args:
            pool: the estimates.
            memory_m: distance after which the correlation has fallen to 1/e.
        """
        order = np.lexsort((pool.s, pool.drive))
        a, b = order[:-1], order[1:]
        same = (pool.drive[a] == pool.drive[b]) & (pool.drive[a] != PRIOR)
        a, b = a[same], b[same]
        prior = np.flatnonzero(pool.drive == PRIOR)
        near, apart = _nearest(pool.xy[prior])
        sigma = np.maximum(pool.sigma_m, LEAST_SIGMA_M)
        sigma[prior] = sigma[prior][near].min(axis=1)
        i, j, apart = _tree(near, apart)
        step = np.maximum(np.append(pool.s[b] - pool.s[a], apart), LEAST_STEP_M)
        return Neighbours(np.append(a, prior[i]), np.append(b, prior[j]), np.exp(-step / memory_m), sigma)


def adjusted_shifts(
    pool: Pool, asset: Ints, shift: Floats, start: Floats, mean: Floats, neighbours: Neighbours
) -> Floats:
    """The shift that takes each estimate's bias away, (K, 2).

    Args:
        pool: the estimates.
        asset: (K,) of each, -1 for none.
        shift: (K, 2) by which each is moved now: from there the weights are told.
        start: (K, 2) of it what is no bias.
        mean: (K, 2) what is expected of the rest.
        neighbours: of `pool`.
    """
    rows = _tying(pool, asset)
    tied, place = np.unique(asset[rows], return_inverse=True)
    n, size = len(pool.drive), 2 * (len(pool.drive) + len(tied))
    precision = _precision(neighbours)
    expected = (precision @ mean.ravel()).reshape(-1, 2)
    precision.resize(size, size)
    own = np.maximum(pool.sigma_m[rows] ** 2 - neighbours.sigma_m[rows] ** 2, 0)
    said, cov = pool.xy[rows] + start[rows], pool.placed_cov[rows] + np.eye(2) * own[:, None, None]
    moved = pool.xy[rows] + shift[rows]
    off = moved - weighted_means(place, moved, cov, len(tied))[0][place]
    found = mean
    for _ in range(ITERATIONS if len(rows) else 0):
        weight = np.linalg.inv(cov) / np.sqrt(1 + mahalanobis2(off, cov))[:, None, None]
        right = np.zeros((n + len(tied), 2))
        right[:n] = expected
        told = (weight @ said[..., None])[..., 0]
        np.add.at(right, rows, -told)
        np.add.at(right, n + place, told)
        normal = precision + _design(rows, n + place, weight, size)
        # Ordered by minimum degree of the matrix itself: COLAMD would fill in seven times as much of 100 drives.
        solved = splu(normal.tocsc(), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(right.ravel())
        found, at = np.split(solved.reshape(-1, 2), [n])
        off = said + found[rows] - at[place]
    return start + found


def _tying(pool: Pool, asset: Ints) -> Ints:
    """The estimates, (R,), of assets that more than one drive saw; what spans the road is at no one place."""
    known = np.flatnonzero((asset >= 0) & ~pool.overhead)
    seen = np.unique(np.stack([asset[known], pool.drive[known]]), axis=1)[0]  # a track in two parts is one drive's
    return known[np.bincount(seen, minlength=int(asset.max(initial=-1)) + 1)[asset[known]] >= 2]


def _precision(neighbours: Neighbours) -> csr_matrix:
    """The inverse covariance of all biases, (2K, 2K), east and north of one estimate beside each other.

    Of a process on a tree with unit variance and correlation r along an edge it is the identity and, for each edge,
    r / (1 - r²) times ((r, -1), (-1, r)). Of two neighbours the less sure one has the bias of the surer one, and
    another one besides.
    """
    sigma, a, b = neighbours.sigma_m, neighbours.a, neighbours.b
    n = len(sigma)
    r = neighbours.likeness * np.minimum(sigma[a], sigma[b]) / np.maximum(sigma[a], sigma[b])
    alike = r / (1 - r**2)
    i, j = np.concatenate([np.arange(n), a, b, a, b]), np.concatenate([np.arange(n), a, b, b, a])
    values = np.concatenate([np.ones(n), r * alike, r * alike, -alike, -alike]) / (sigma[i] * sigma[j])
    both = np.arange(2)
    rows, columns = ((2 * index[:, None] + both).ravel() for index in (i, j))
    return csr_matrix((np.repeat(values, 2), (rows, columns)), (2 * n, 2 * n))


def _design(h: Ints, x: Ints, weight: Floats, size: int) -> csr_matrix:
    """What estimates add to the normal equations, (size, size): weight times (h - x)² each.

    Args:
        h: (R,) numbers of each one's bias.
        x: (R,) numbers of its asset.
        weight: (R, 2, 2).
        size: of the matrix.
    """
    rows, columns, values = [], [], []
    for i, j, sign in ((h, h, 1.0), (x, x, 1.0), (h, x, -1.0), (x, h, -1.0)):
        for east_north in np.ndindex(2, 2):
            rows.append(2 * i + east_north[0])
            columns.append(2 * j + east_north[1])
            values.append(sign * weight[:, east_north[0], east_north[1]])
    return csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), (size, size))


def _nearest(xy: Floats) -> tuple[Ints, Floats]:
    """The places nearest to each of places (n, 2), itself with them, and how far they are, (n, `NEIGHBOURS` + 1)."""
    if len(xy) == 0:
        return np.zeros((0, 1), np.int64), np.zeros((0, 1))
    apart, near = cKDTree(xy).query(xy, range(1, min(NEIGHBOURS + 1, len(xy)) + 1))
    return near, apart


def _tree(near: Ints, apart: Floats) -> tuple[Ints, Ints, Floats]:
    """Edges between places that join those that are near, without a circle, and their lengths; see `_nearest`."""
    if len(near) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    one, other = np.repeat(np.arange(len(near)), near.shape[1]), near.ravel()
    lengths = np.maximum(apart.ravel(), LEAST_STEP_M)  # a length of 0 would be none
    kept = one != other
    graph = coo_matrix((lengths[kept], (one[kept], other[kept])), (len(near),) * 2)
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    return tree.row.astype(np.int64), tree.col.astype(np.int64), tree.data
