"""Positions that the others of a track do not allow: no vehicle is that fast."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter

import numpy as np

from roadscan.arrays import Bools, Floats
from roadscan.survey.geodesy import WGS84
from roadscan.survey.importers.frame import Frame

FASTEST_MPS = 100.0  # 360 km/h
NOISE_M = 30.0  # a receiver may be off by this between two fixes, however close in time
REACH = 100  # fixes that a wrong stretch may last and still be bridged
EARTH_M = 6_371_009.0  # IUGG mean radius; its error of 0.3 % is no matter here


def believable(time_s: Floats, lon: Floats, lat: Floats, resolution_s: float = 0.0) -> Bools:
    """Which positions of a track belong to its longest possible way, the shortest among equals, (n,).

    A step is possible where it is no longer than `NOISE_M`, or no faster than `FASTEST_MPS`.

    Args:
        time_s: in order, (n,).
        lon: degrees, (n,).
        lat: degrees, (n,).
        resolution_s: by how much the time between two positions may be too short.
    """
    n = len(time_s)
    across, along = np.radians(lon), np.radians(lat)
    xyz = EARTH_M * np.stack([np.cos(along) * np.cos(across), np.cos(along) * np.sin(across), np.sin(along)], axis=1)

    def possible(step_m: Floats, apart_s: Floats) -> Bools:
        return np.asarray(step_m <= np.maximum(NOISE_M, FASTEST_MPS * (apart_s + resolution_s)))

    if n < 2 or possible(np.linalg.norm(np.diff(xyz, axis=0), axis=1), np.diff(time_s)).all():
        return np.ones(n, bool)
    count, length = np.ones(n, int), np.zeros(n)
    before = np.full(n, -1)
    best = 0
    for i in range(1, n):
        start = max(0, i - REACH)
        earlier = np.arange(start, i) if best >= start else np.concatenate([[best], np.arange(start, i)])
        step_m = np.linalg.norm(xyz[earlier] - xyz[i], axis=1)
        reached = possible(step_m, time_s[i] - time_s[earlier])
        if reached.any():
            earlier, way_m = earlier[reached], length[earlier[reached]] + step_m[reached]
            chosen = np.lexsort((way_m, -count[earlier]))[0]
            count[i], length[i], before[i] = count[earlier[chosen]] + 1, way_m[chosen], earlier[chosen]
        if (count[i], -length[i]) > (count[best], -length[best]):
            best = i
    kept = np.zeros(n, bool)
    while best >= 0:
        kept[best] = True
        best = int(before[best])
    return kept


def reject_jumps(frames: Sequence[Frame]) -> None:
    """Reject frames, as ``bad_gps``, whose position no vehicle could have reached from those of its camera's others."""
    cameras: dict[str, list[tuple[datetime, float, float, Frame]]] = defaultdict(list)
    for frame in frames:
        if frame.captured_at is not None and frame.lon is not None and frame.lat is not None:
            cameras[frame.camera_id].append((frame.captured_at, frame.lon, frame.lat, frame))
    for own in cameras.values():
        own.sort(key=itemgetter(0))
        time_s = np.array([at.timestamp() for at, *_ in own])
        lon, lat = np.array([lon for _, lon, _, _ in own]), np.array([lat for _, _, lat, _ in own])
        kept = believable(time_s, lon, lat, 0.0 if any(at.microsecond for at, *_ in own) else 1.0)
        for index in np.flatnonzero(~kept):
            others = np.flatnonzero(kept)
            near = others[np.argmin(np.abs(time_s[others] - time_s[index]))]
            _, _, away_m = WGS84.inv(lon[index], lat[index], lon[near], lat[near])
            frame = own[index][3]
            frame.reject(
                f"bad_gps: {away_m:.0f} m away from frame {own[near][3].frame_id}, taken "
                f"{abs(time_s[near] - time_s[index]):.3g} s apart; expected at most {FASTEST_MPS:g} m/s"
            )
            frame.lon = frame.lat = None
