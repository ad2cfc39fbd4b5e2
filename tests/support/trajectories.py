"""Trajectories as post-processing writes them."""

from __future__ import annotations

import numpy as np

from roadscan.arrays import Floats


def sbet(
    week_s: Floats, lon: Floats, lat: Floats, heading_deg: Floats, *, wander_deg: float = 0.0, order: str = "<"
) -> bytes:
    """SBET records with a height of 12.5 m, a roll of 1 and a pitch of -2 degrees; the heading is the true one."""
    rows = np.zeros((len(week_s), 17))
    rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3] = week_s, np.radians(lat), np.radians(lon), 12.5
    rows[:, 4:7] = 0.1
    rows[:, 7], rows[:, 8] = np.radians([1.0, -2.0])
    rows[:, 9], rows[:, 10] = np.radians(heading_deg + wander_deg), np.radians(wander_deg)
    return rows.astype(f"{order}f8").tobytes()


def smrmsg(week_s: Floats, north_m: float, east_m: float, heading_arcmin: float) -> bytes:
    """SMRMSG records, all alike."""
    rows = np.full((len(week_s), 10), 0.01)
    rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 9] = week_s, north_m, east_m, heading_arcmin
    return rows.astype("<f8").tobytes()
