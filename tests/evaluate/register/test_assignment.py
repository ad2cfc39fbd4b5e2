from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.known_assets import scene

from roadscan.evaluate.register.assignment import choose_pairs


@given(scene, scene, st.integers(0, 400))
def test_the_sparse_method_for_large_groups_is_as_good_as_the_dense_one(found_xy, known_xy, dense_cells):
    distance = np.linalg.norm(found_xy[:, None] - known_xy[None], axis=2)
    i, j = np.nonzero(distance <= 4)
    gain = 100 - distance[i, j]
    chosen = choose_pairs(i, j, gain, dense_cells)
    assert len(np.unique(i[chosen])) == len(np.unique(j[chosen])) == len(chosen)
    assert gain[chosen].sum() == pytest.approx(gain[choose_pairs(i, j, gain, 10**9)].sum())
