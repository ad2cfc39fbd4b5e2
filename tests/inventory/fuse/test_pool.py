from __future__ import annotations

import numpy as np

from roadscan.inventory import InventoryConfig
from roadscan.inventory.drive.estimates import DriveEstimates
from roadscan.inventory.fuse.pool import pool_estimates
from roadscan.taxonomy import HIGHWAY

CONFIG = InventoryConfig(warehouse="unused")


def test_the_pool_is_the_drives_one_after_the_other():
    def estimates(*names: str, first: float) -> DriveEstimates:
        n = len(names)
        at = first + np.arange(n, dtype=float)
        frames = [frozenset(range(k + 1)) for k in range(n)]
        xy, cov = np.stack([at, -at], axis=1).reshape(n, 2), np.tile(np.eye(2), (n, 1, 1))
        return DriveEstimates(np.array(names, str), xy, cov, at, at, at, at, frames, np.arange(n), 0.0)

    names = ["Pedestrian Bridge", "Single-Arm Pole"]
    drives = [
        estimates("Single-Arm Pole", "Pedestrian Bridge", "Single-Arm Pole", first=0.0),
        estimates(first=0.0),
        estimates("Pedestrian Bridge", first=9.0),
    ]
    found = pool_estimates(drives, names, HIGHWAY, CONFIG)
    assert found.drive.tolist() == [0, 0, 0, 2]
    assert found.class_index.tolist() == [1, 0, 1, 0]
    assert found.xy.tolist() == [[0.0, 0.0], [1.0, -1.0], [2.0, -2.0], [9.0, -9.0]]
    assert found.starts.tolist() == [False, True, True, False]  # tracking.candidate_hits is 2
    assert found.gate_m.tolist() == [6.0, 25.0, 6.0, 25.0]
    assert found.merge_m.tolist() == [8.0, 30.0, 8.0, 30.0]
    assert found.overhead.tolist() == [False, True, False, True]
    assert list(found.frames) == [frozenset({0}), frozenset({0, 1}), frozenset({0, 1, 2}), frozenset({0})]
    assert len(pool_estimates([], [], HIGHWAY, CONFIG).drive) == 0


def test_an_estimate_vaguer_than_its_gate_starts_no_asset():
    """6 m of a pole, 25 m of a bridge: root of the trace of its covariance."""
    sigma_m = np.array([5.9, 6.1, 24.0, 26.0])
    names = ["Single-Arm Pole", "Single-Arm Pole", "Pedestrian Bridge", "Pedestrian Bridge"]
    zero, frames = np.zeros(4), [frozenset({0, 1, 2})] * 4
    cov = np.eye(2) * (sigma_m**2 / 2)[:, None, None]
    drive = DriveEstimates(np.array(names), np.zeros((4, 2)), cov, zero, zero, zero, zero, frames, np.arange(4), 0.0)
    assert pool_estimates([drive], sorted(set(names)), HIGHWAY, CONFIG).starts.tolist() == [True, False, True, False]
