"""Two sets of points to pairs: all that are near, and the one-to-one choice among them.

Legend: A, B points of the two sets; P allowed pairs. Metres.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from roadscan.arrays import Floats, Ints, group_by

DENSE_CELLS = 1 << 14  # of a group's cost matrix; larger groups are solved sparse, as theirs grows with the square
GATE_CHI2 = 13.8  # 99.9 % of a chi-square with two degrees of freedom


def nearby_pairs(a_xy: Floats, b_xy: Floats, gate_m: float) -> tuple[Ints, Ints, Floats]:
    """All pairs within `gate_m`: index in a, index in b, distance, (P,) each.

    Args:
        a_xy: (A, 2) metres.
        b_xy: (B, 2) metres.
        gate_m: the largest distance.
    """
    if len(a_xy) == 0 or len(b_xy) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    near = cKDTree(a_xy).sparse_distance_matrix(cKDTree(b_xy), gate_m, output_type="ndarray")
    return near["i"].astype(np.int64), near["j"].astype(np.int64), np.asarray(near["v"])


def one_to_one(i: Ints, j: Ints, cost: Floats, miss_cost: float, dense_cells: int = DENSE_CELLS) -> Ints:
    """The one-to-one choice among allowed pairs with the least total cost.

    Each connected group of pairs is solved on its own, so the work grows with the groups, not with the register:
    small ones by the Hungarian method, large ones by its sparse relative.

    Args:
        i: (P,) first member of each allowed pair; no pair twice.
        j: (P,) second member.
        cost: (P,) at most `miss_cost`.
        miss_cost: what a pair left out costs; large for as many pairs as possible.
        dense_cells: groups with a larger cost matrix are solved sparse.

    Returns:
        Indices of the chosen pairs, ascending.

    Source: R. Jonker and A. Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment
    problems" (1987), both in SciPy.
    """
    if len(i) == 0:
        return np.zeros(0, np.int64)
    size = int(i.max()) + 1
    total = size + int(j.max()) + 1
    graph = coo_matrix((np.ones(len(i)), (i, size + j)), shape=(total, total))
    group = connected_components(graph)[1][i]
    order = np.argsort(group, kind="stable")
    alone = np.bincount(group)[group[order]] == 1
    chosen = [order[alone]]
    for members in group_by(order[~alone], group[order[~alone]]):
        row, column = (np.unique(ends[members], return_inverse=True)[1] for ends in (i, j))
        dense = (row.max() + 1) * (column.max() + 1) <= dense_cells
        solve = _choose_dense if dense else _choose_sparse
        chosen.append(members[solve(row, column, cost[members] - miss_cost)])
    return np.sort(np.concatenate(chosen))


def _choose_dense(row: Ints, column: Ints, gain: Floats) -> Ints:
    """The pairs chosen; leaving a row or a column without a partner costs nothing, a pair its (negative) gain."""
    matrix = np.zeros((int(row.max()) + 1, int(column.max()) + 1))
    which = np.full(matrix.shape, -1, np.int64)
    matrix[row, column], which[row, column] = gain, np.arange(len(row))
    found: Ints = which[linear_sum_assignment(matrix)]
    return found[found >= 0]


def _choose_sparse(row: Ints, column: Ints, gain: Floats) -> Ints:
    """The pairs chosen; each row has a column of its own besides, at no cost, so that all rows have a partner."""
    n, columns = int(row.max()) + 1, int(column.max()) + 1
    own = np.arange(n)
    cost = np.concatenate([gain, np.zeros(n)]) + 1 - gain.min()  # never 0, which a sparse matrix would drop
    rows, all_columns = np.concatenate([row, own]), np.concatenate([column, columns + own])
    matrix = coo_matrix((cost, (rows, all_columns)), shape=(n, columns + n)).tocsr()
    which = coo_matrix((np.arange(1, len(rows) + 1), (rows, all_columns)), shape=matrix.shape).tocsr()
    number = np.asarray(which[min_weight_full_bipartite_matching(matrix)]).ravel() - 1
    return np.asarray(number[number < len(row)], np.int64)


def mahalanobis2(off: Floats, cov: Floats) -> Floats:
    """Squared Mahalanobis distances (n,) of offsets (n, k) with covariances (n, k, k)."""
    return np.asarray((off * np.linalg.solve(cov, off[..., None])[..., 0]).sum(axis=1))
