"""Two sets of points to pairs: all that are near, and the one-to-one choice among them.

Legend: A, B points of the two sets; P allowed pairs. Metres.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from roadscan.arrays import Floats, Ints

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


def one_to_one(i: Ints, j: Ints, cost: Floats, miss_cost: float) -> Ints:
    """The one-to-one choice among allowed pairs with the least total cost.

    Args:
        i: (P,) first member of each allowed pair.
        j: (P,) second member.
        cost: (P,) at most `miss_cost`.
        miss_cost: what a pair left out costs; large for as many pairs as possible.

    Returns:
        Indices of the chosen pairs, ascending.

    Each connected group of pairs is solved on its own, so the work grows with the groups, not with the register.
    """
    if len(i) == 0:
        return np.zeros(0, np.int64)
    _, i_code = np.unique(i, return_inverse=True)
    _, j_code = np.unique(j, return_inverse=True)
    size = int(i_code.max()) + 1
    total = size + int(j_code.max()) + 1
    graph = coo_matrix((np.ones(len(i)), (i_code, size + j_code)), shape=(total, total))
    group = connected_components(graph)[1][i_code]
    order = np.argsort(group, kind="stable")
    chosen: list[int] = []
    for members in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        chosen.extend(members if len(members) == 1 else _hungarian(i_code, j_code, cost - miss_cost, members))
    return np.sort(np.array(chosen, np.int64))


def _hungarian(i: Ints, j: Ints, gain: Floats, members: Ints) -> Ints:
    """The members chosen; leaving a row or a column without a partner costs nothing, a pair its (negative) gain."""
    _, rows = np.unique(i[members], return_inverse=True)
    _, columns = np.unique(j[members], return_inverse=True)
    matrix = np.zeros((int(rows.max()) + 1, int(columns.max()) + 1))
    which = np.full(matrix.shape, -1, np.int64)
    matrix[rows, columns], which[rows, columns] = gain[members], members
    found: Ints = which[linear_sum_assignment(matrix)]
    return found[found >= 0]


def mahalanobis2(off: Floats, cov: Floats) -> Floats:
    """Squared Mahalanobis distances (n,) of offsets (n, k) with covariances (n, k, k)."""
    return np.asarray((off * np.linalg.solve(cov, off[..., None])[..., 0]).sum(axis=1))
