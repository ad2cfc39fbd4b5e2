"""The way of a vehicle between the fixes of its log: a curve through them that no vehicle's forces forbid."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import BPoly, CubicSpline

from roadscan.arrays import Floats

#: What tyres hold on dry asphalt, 1 g. From the straight line between two fixes T seconds apart no vehicle of at most
#: this acceleration strays by more than a T²/8: 1.25 m where a receiver says one a second.
MOST_MPS2 = 10.0
#: Times the mean velocity between two fixes. From none of it to three times it, the curve runs on a straight road past
#: no fix and never back (Fritsch and Carlson 1980), and where both are one place, it stands.
MOST_OF_MEAN = 3.0


def way(time_s: Floats, xy: Floats) -> BPoly:
    """Position over time, a cubic between two fixes; its derivative is the velocity.

    The velocity at a fix is that of the cubic spline through all of them, which each interval takes as nearly as
    `MOST_MPS2` and `MOST_OF_MEAN` allow.

    Args:
        time_s: strictly increasing, (n,) with n >= 2.
        xy: metres, (n, 2).

    Source: with velocities off the mean of an interval by d0 and d1, a Hermite cubic strays from the straight line by
    at most s(1-s)T max(|d0|, |d1|), s from 0 to 1, and a motion of acceleration a by at most s(1-s)T · aT/2; so with
    |d| <= aT/2 the cubic stays where the motion must.
    """
    step_s = np.diff(time_s)[:, None]
    mean = np.diff(xy, axis=0) / step_s
    velocity = CubicSpline(time_s, xy)(time_s, 1)

    def allowed(wanted: Floats) -> Floats:
        half = MOST_OF_MEAN / 2 * mean
        return _within(_within(wanted, half, _length(half)), mean, MOST_MPS2 * step_s / 2)

    # A cubic that starts with velocity v has the second point of its Bernstein form v T/3 after the first.
    second = xy[:-1] + allowed(velocity[:-1]) * step_s / 3
    third = xy[1:] - allowed(velocity[1:]) * step_s / 3
    return BPoly(np.stack([xy[:-1], second, third, xy[1:]]), time_s)


def _within(vectors: Floats, centre: Floats, radius: Floats) -> Floats:
    """Vectors (n, 2), those outside a circle drawn to its edge."""
    off = vectors - centre
    return np.asarray(centre + off * np.minimum(1.0, radius / np.maximum(_length(off), 1e-12)))


def _length(vectors: Floats) -> Floats:
    return np.asarray(np.linalg.norm(vectors, axis=1, keepdims=True))
