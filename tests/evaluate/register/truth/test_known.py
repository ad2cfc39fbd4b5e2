from __future__ import annotations

import numpy as np
import pytest
from support.truths import at

from roadscan.evaluate.register.truth.known import nearest_m


def test_nearest_is_in_metres():
    places = np.array([at(0), at(100, 30), (-80.0, -13.0)])
    distances = nearest_m(places, np.array([at(0), at(100)]))
    assert distances[:2] == pytest.approx([0, 30], abs=0.01)
    assert distances[2] > 1e6
    assert np.isinf(nearest_m(places, np.zeros((0, 2)))).all()
