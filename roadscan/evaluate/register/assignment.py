"""Allowed pairs with gains to the one-to-one choice of the greatest total gain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching

from roadscan.survey.geodesy import Floats

Ints = npt.NDArray[np.int64]

DENSE_CELLS = 1 << 14  # of a group's cost matrix; larger groups are solved sparse, as theirs grows with the square


def choose_pairs(i: Ints, j: Ints, gain: Floats, dense_cells: int = DENSE_CELLS) -> Ints:
    """The one-to-one choice among allowed pairs with the greatest total gain.

    Each connected group of pairs is solved on its own, so the work grows with the groups and not with the register:
    small ones by the Hungarian method, large ones by its sparse relative.
    Source: R. Jonker and A. Volgenant, "A shortest augmenting path algorithm for dense and sparse linear assignment
    problems" (1987), both in SciPy.

    Args:
        i: (m,) first member of each allowed pair; no pair twice.
        j: (m,) second member.
        gain: (m,) above 0.
        dense_cells: groups with a larger matrix are solved sparse.

    Returns:
        Places of the chosen pairs, ascending.
    """
    if len(i) == 0:
        return np.zeros(0, np.int64)
    size = int(i.max()) + 1
    total = size + int(j.max()) + 1
    group = connected_components(coo_matrix((np.ones(len(i)), (i, size + j)), shape=(total, total)))[1][i]
    order = np.argsort(group, kind="stable")
    alone = np.bincount(group)[group[order]] == 1
    chosen, rest = [order[alone]], order[~alone]
    for members in np.split(rest, np.flatnonzero(np.diff(group[rest])) + 1) if len(rest) else []:
        row, column = (np.unique(ends[members], return_inverse=True)[1] for ends in (i, j))
        dense = (row.max() + 1) * (column.max() + 1) <= dense_cells
        chosen.append(members[(_choose_dense if dense else _choose_sparse)(row, column, gain[members])])
    return np.sort(np.concatenate(chosen))


def _choose_dense(row: Ints, column: Ints, gain: Floats) -> Ints:
    """Which pairs; a row or column without a partner gains nothing."""
    matrix = np.zeros((row.max() + 1, column.max() + 1))
    which = np.full(matrix.shape, -1, np.int64)
    matrix[row, column], which[row, column] = gain, np.arange(len(row))
    best: Ints = which[linear_sum_assignment(matrix, maximize=True)]
    return best[best >= 0]


def _choose_sparse(row: Ints, column: Ints, gain: Floats) -> Ints:
    """Which pairs; each row has a column of its own besides, which gains nothing, so that all rows have a partner."""
    n, columns = int(row.max()) + 1, int(column.max()) + 1
    own = np.arange(n)
    cost = gain.max() + 1 - np.concatenate([gain, np.zeros(n)])  # never 0, which a sparse matrix would drop
    rows, all_columns = np.concatenate([row, own]), np.concatenate([column, columns + own])
    matrix = coo_matrix((cost, (rows, all_columns)), shape=(n, columns + n)).tocsr()
    which = coo_matrix((np.arange(1, len(rows) + 1), (rows, all_columns)), shape=matrix.shape).tocsr()
    number = np.asarray(which[min_weight_full_bipartite_matching(matrix)]).ravel() - 1
    return np.asarray(number[number < len(row)], np.int64)
