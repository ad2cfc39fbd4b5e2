"""The road: a smooth centreline with curves and hills, and the cross-section around it.

Frame: local ENU metres. `s` is chainage along the centreline (the middle of the median), `d` the offset, positive to
the RIGHT of the forward direction. Thailand drives on the left, so the surveyed carriageway has d < 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadscan.arrays import Floats

#: Cross-section, as absolute offsets in metres. Lanes are 3.5 m, the outer paved shoulder 2.5 m (Thai DOH standard
#: four-lane divided highway); the raised median is 4.2 m.
MEDIAN_EDGE_M = 2.1
INNER_LINE_M = 2.9
LANE_WIDTH_M = 3.5
LANE_LINE_M = INNER_LINE_M + LANE_WIDTH_M
OUTER_LINE_M = INNER_LINE_M + 2 * LANE_WIDTH_M
PAVEMENT_EDGE_M = OUTER_LINE_M + 2.5
FAST_LANE_M = INNER_LINE_M + LANE_WIDTH_M / 2
SLOW_LANE_M = LANE_LINE_M + LANE_WIDTH_M / 2
CARRIAGEWAY_AXIS_M = LANE_LINE_M

#: Road built beyond the last frame, so that the view never runs off its end.
RUN_OUT_M = 2000.0
#: Road built before the first frame, for what is beside or behind the camera.
RUN_IN_M = 60.0


@dataclass(frozen=True)
class Road:
    """Centreline sampled every metre from chainage -RUN_IN_M.

    Attributes:
        xyz: positions in local ENU metres, shape (n, 3).
        heading_rad: direction clockwise from north, unwrapped, shape (n,).
        grade: dz/ds, shape (n,).
        length_m: length of the surveyed part.
    """

    xyz: Floats
    heading_rad: Floats
    grade: Floats
    length_m: float

    def _interpolate(self, s: Floats | float, values: Floats) -> Floats:
        position = np.asarray(s, dtype=np.float64) + RUN_IN_M
        return np.asarray(np.interp(position, np.arange(len(values)), values))

    def heading(self, s: Floats | float) -> Floats:
        """Direction of the road at chainage s, radians clockwise from north."""
        return self._interpolate(s, self.heading_rad)

    def pitch(self, s: Floats | float) -> Floats:
        """Slope angle at chainage s, radians, positive uphill."""
        return np.asarray(np.arctan(self._interpolate(s, self.grade)))

    def point(self, s: Floats | float, d: Floats | float, height_m: Floats | float = 0.0) -> Floats:
        """World position at chainage s, offset d and height over the ground, shape (..., 3)."""
        x, y, z = (self._interpolate(s, self.xyz[:, axis]) for axis in range(3))
        heading = self.heading(s)
        return np.stack(
            np.broadcast_arrays(x + d * np.cos(heading), y - d * np.sin(heading), z + height_m), axis=-1
        ).astype(np.float64)


def build_road(seed: int, length_m: float, hilliness: float = 1.0, bendiness: float = 1.0) -> Road:
    """A road of `length_m` metres with straights, spiral-smoothed curves and gentle hills.

    Args:
        seed: which road.
        length_m: surveyed length in metres; the road goes on for RUN_OUT_M beyond it.
        hilliness: 0 is flat, 1 has grades up to about 3 %.
        bendiness: 0 is straight, 1 has radii from 600 m.
    """
    rng = np.random.default_rng((11, seed))
    count = int(np.ceil(length_m + RUN_IN_M + RUN_OUT_M)) + 1
    curvature = np.zeros(count)
    at, turned = int(rng.uniform(100, 300)), 0.0
    while at < count:
        span = int(rng.uniform(150, 450))
        sign = -np.sign(turned) if abs(turned) > 0.6 else rng.choice([-1.0, 1.0])
        bend = bendiness * sign / rng.uniform(600, 1600)
        curvature[at : at + span] = bend
        turned += bend * span
        at += span + int(rng.uniform(120, 500))
    window = np.hanning(121)
    curvature = np.convolve(curvature, window / window.sum(), mode="same")
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(curvature)

    s = np.arange(count, dtype=np.float64)
    grade = np.zeros(count)
    for wavelength, share in ((rng.uniform(1500, 2600), 0.012), (rng.uniform(600, 1100), 0.012)):
        grade += hilliness * share * np.sin(2 * np.pi * s / wavelength + rng.uniform(0, 2 * np.pi))
    xyz = np.stack([np.cumsum(np.sin(heading)), np.cumsum(np.cos(heading)), np.cumsum(grade)], axis=1)
    return Road(xyz - xyz[int(RUN_IN_M)], heading, grade, float(length_m))
