"""The order in which a drive's frames lie along its way: as they were taken, or, where times do not tell, by place.

A table of another program may have its rows in any order, with times that say no more than when a file was written,
and photographs that nobody drove from one to the next. Such frames are strung on the shortest tree that joins them,
those that look the same way beside each other, so that what is asked of a way (chainage, sides, lines) is asked of the
road.

Legend: F frames, E edges. ENU metres; angles are radians clockwise from north.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, depth_first_order, minimum_spanning_tree
from scipy.spatial import cKDTree

from roadscan.arrays import Floats, Ints

JUMP_M = 60.0  # that nobody drives between two frames of a survey …
JUMPS = 0.1  # … but for so many of them, as where a camera paused …
SHORTER = 0.5  # … or where no other order makes the way so much shorter, as where frames are far between
TURNED_M = 25.0  # that count for looking the other way: carriageways lie as near as that
OPPOSITE_COS = -0.5  # of the angle between cameras that look opposite ways, or more so
NEIGHBOURS = 8  # of a frame, among which the tree is sought


def order_along(xy: Floats, heading: Floats) -> Ints:
    """The frames (F,) in the order in which they lie along the way.

    That is the order in which they were taken, unless more than a tenth of the steps from one to the next are jumps,
    and as they lie the way is at most half as long.

    Args:
        xy: (F, 2) where each was taken, in the order of time.
        heading: (F,) of the camera; NaN where it is not known.
    """
    taken = np.arange(len(xy))
    if np.count_nonzero(_steps(xy) > JUMP_M) <= JUMPS * len(xy):
        return taken
    lying = by_place(xy, heading)
    return lying if _steps(xy[lying]).sum() <= SHORTER * _steps(xy).sum() else taken


def by_place(xy: Floats, heading: Floats) -> Ints:
    """The frames (F,) as they lie, whatever their order: each part that hangs together from one of its ends on.

    Onwards is where the cameras look; parts come as they lie from west to east.
    """
    look = np.nan_to_num(np.stack([np.sin(heading), np.cos(heading)], axis=1))
    tree = _tree(xy, look)
    n, part = connected_components(tree, directed=False)
    found = []
    for number in range(n):
        (members,) = np.nonzero(part == number)
        west = members[np.lexsort(xy[members].T[::-1])[0]]
        end = breadth_first_order(tree, west, directed=False, return_predecessors=False)[-1]
        order = depth_first_order(tree, end, directed=False, return_predecessors=False)
        ahead = np.sum(np.gradient(xy[order], axis=0) * look[order]) if len(order) > 1 else 0.0
        found.append(order if ahead >= 0 else order[::-1])
    starts = np.array([xy[order].min(axis=0) for order in found])
    return np.concatenate([found[number] for number in np.lexsort(starts.T[::-1])])


def _tree(xy: Floats, look: Floats) -> csr_matrix:
    """The shortest trees (F, F) that join near frames, of which none are next to each other that look opposite ways.

    Args:
        xy: (F, 2) where each was taken.
        look: (F, 2) unit vectors, where each looks; zero where that is not known.
    """
    places = np.concatenate([xy, TURNED_M / 2 * look], axis=1)
    apart, near = cKDTree(places).query(places, min(NEIGHBOURS + 1, len(places)))
    one, other = np.repeat(np.arange(len(places)), near.shape[1]), near.ravel()
    kept = (one != other) & ((look[one] * look[other]).sum(axis=1) > OPPOSITE_COS)
    lengths = np.maximum(apart.ravel()[kept], 1e-3)  # a length of 0 would be none
    graph = coo_matrix((lengths, (one[kept], other[kept])), (len(places),) * 2)
    return minimum_spanning_tree(graph.tocsr())


def _steps(xy: Floats) -> Floats:
    """How far each frame is from the one before it, (F - 1,)."""
    return np.asarray(np.hypot(*np.diff(xy, axis=0).T))
