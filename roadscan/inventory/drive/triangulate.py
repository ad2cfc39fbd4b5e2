"""Bearings and ranges of a drive's tracks to positions: robust least squares over all tracks at once.

Legend: M detections, K tracks. ENU metres; angles are radians clockwise from north.

Residuals of a detection of the asset at (x, y) from the camera at (cx, cy), with r the distance:

    bearing   (measured - atan2(x - cx, y - cy)) / sigma_bearing
    range     (log measured - log r - stretch) / sigma_jitter
    stretch   stretch / sigma_log_range, once a track

Most of a track's range error is one and the same error (the asset is taller than its class, the road steeper than
flat), so it is an unknown of its own, the stretch, with the range's sigma as prior: however many its detections, a
track's ranges count as one measurement of distance. What they tell beyond it is how fast the distance shrinks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from roadscan.arrays import Floats, Ints
from roadscan.inventory.drive.passes import UNKNOWN_LOG_SIGMA, Detections

ITERATIONS = 12
MAX_STEP_M = 15.0
MIN_RANGE_M = 1.0
MIN_JITTER = 0.06  # scatter of the log range between frames of one track: the box's edges …
JITTER_SHARE = 0.5  # … and the camera's nodding, which grows with distance like the range's own sigma
OVERHEAD_BEARING_FACTOR = 5.0  # the centre of what the image shows of a bridge wanders along the bridge
YAW_LIMIT_SIGMAS = 3.0
YAW_GAIN = 4.0  # of the cost, two sigmas, without ranges: bearings tell a yaw to 0.3 degrees, a compass may better


@dataclass(frozen=True)
class Fixes:
    """Positions of tracks.

    Attributes:
        xy: (K, 2) ENU metres.
        cov: (K, 2, 2) square metres, east first; of the drive's own errors, without its GNSS bias.
        cost: sum of the soft-L1 losses of all residuals.
    """

    xy: Floats
    cov: Floats
    cost: float


def wrap(angle: Floats) -> Floats:
    """Radians wrapped to [-pi, pi)."""
    return np.asarray(np.remainder(angle + np.pi, 2 * np.pi) - np.pi)


def bearing_sigma(detections: Detections, range_m: Floats) -> Floats:
    """Standard deviation of bearings in radians, at the distances given."""
    own = detections.bearing_sigma * detections.bearing_factor
    return np.asarray(np.hypot(own, detections.jitter_m / np.maximum(range_m, MIN_RANGE_M)))


def range_jitter(detections: Detections, range_m: Floats) -> Floats:
    """Standard deviation of log ranges about their track's own stretch, at the distances given."""
    own = np.maximum(JITTER_SHARE * detections.log_sigma, MIN_JITTER)
    return np.asarray(np.hypot(own, detections.jitter_m / np.maximum(range_m, MIN_RANGE_M)))


def triangulate(camera_xy: Floats, detections: Detections, track: Ints) -> Fixes:
    """Positions of all tracks by iteratively reweighted Gauss-Newton steps with soft-L1 weights.

    Args:
        camera_xy: (M, 2) where each detection was made, ENU metres.
        detections: (M,).
        track: (M,) number of the track, 0..K-1, each at least once.

    Source: soft-L1 loss 2(sqrt(1 + r²) - 1), whose weight is 1/sqrt(1 + r²). The covariance is the inverse of the
    weighted normal matrix, grown where the residuals are larger than their sigmas say.
    """
    n = int(track.max()) + 1 if len(track) else 0
    count = np.bincount(track, minlength=n)
    prior = np.sqrt(count / np.maximum(np.bincount(track, detections.log_sigma**-2, n), 1e-9))
    unknown = np.concatenate([_first_guess(camera_xy, detections, track, n), np.zeros((n, 1))], axis=1)
    ridge = np.zeros((n, 3, 3)) + np.diag([1e-6, 1e-6, 0])  # keeps a track of one bearing without a range solvable
    ridge[:, 2, 2] = prior**-2
    for _ in range(ITERATIONS):
        normal, slope = _normal_equations(_residuals(camera_xy, detections, unknown[track]), track, n)
        normal += ridge
        slope[:, 2] -= unknown[:, 2] / prior**2
        step = np.linalg.solve(normal, slope[..., None])[..., 0]
        length = np.linalg.norm(step[:, :2], axis=1, keepdims=True)
        unknown = unknown + step * np.minimum(1, MAX_STEP_M / np.maximum(length, 1e-9))
    each = sum(2 * (np.sqrt(1 + kind.residual**2) - 1) for kind in _residuals(camera_xy, detections, unknown[track]))
    loss = np.bincount(track, each, n) + (unknown[:, 2] / prior) ** 2
    growth = np.maximum(1, loss / np.maximum(2 * count - 2, 1))  # residuals less unknowns, plus the prior
    cov = np.linalg.inv(normal)[:, :2, :2] * growth[:, None, None]
    return Fixes(unknown[:, :2], np.asarray(cov), float(loss.sum()))


def calibrate_yaw(camera_xy: Floats, detections: Detections, track: Ints, sigma: float) -> float:
    """The one angle, radians, by which turning all bearings of a drive makes its tracks fit best.

    Without ranges 0, if that fits hardly worse.

    Args:
        camera_xy: (M, 2) where each detection was made, ENU metres.
        detections: (M,).
        track: (M,) number of the track, 0..K-1, each at least once.
        sigma: standard error of the drive's heading, radians: it keeps a drive with few tracks near zero.
    """
    if len(track) == 0:
        return 0.0

    def cost(yaw: float) -> float:
        return triangulate(camera_xy, detections.turned(yaw), track).cost + float(yaw / sigma) ** 2

    limit = YAW_LIMIT_SIGMAS * sigma
    found = minimize_scalar(cost, bounds=(-limit, limit), method="bounded", options={"xatol": np.radians(0.05)})
    ranged = np.mean(detections.log_sigma < UNKNOWN_LOG_SIGMA) >= 0.5
    return float(found.x) if ranged or cost(0.0) - found.fun >= YAW_GAIN else 0.0


def _first_guess(camera_xy: Floats, detections: Detections, track: Ints, n: int) -> Floats:
    """Each track where its detection with the surest range puts it."""
    distance = np.exp(detections.log_range)
    place = camera_xy + distance[:, None] * np.stack([np.sin(detections.bearing), np.cos(detections.bearing)], axis=1)
    order = np.argsort(-distance * detections.log_sigma, kind="stable")  # the surest last: it overwrites the others
    xy = np.zeros((n, 2))
    xy[track[order]] = place[order]
    return xy


@dataclass(frozen=True)
class _Residuals:
    """Residuals of one kind (M,), and the derivatives of what they predict by x, y and, if it matters, stretch."""

    residual: Floats
    slopes: tuple[Floats, ...]


def _residuals(camera_xy: Floats, detections: Detections, unknown: Floats) -> tuple[_Residuals, _Residuals]:
    """Of bearings and of ranges, at positions and stretches (M, 3)."""
    dx, dy = (unknown[:, :2] - camera_xy).T
    r = np.maximum(np.hypot(dx, dy), MIN_RANGE_M)
    sigma_b = bearing_sigma(detections, r)
    sigma_r = range_jitter(detections, r)
    off = wrap(detections.bearing - np.arctan2(dx, dy)) / sigma_b
    ahead = (detections.log_range - np.log(r) - unknown[:, 2]) / sigma_r
    across, along = r**2 * sigma_b, r**2 * sigma_r
    return (
        _Residuals(off, (dy / across, -dx / across)),
        _Residuals(ahead, (dx / along, dy / along, 1 / sigma_r)),
    )


def _normal_equations(kinds: tuple[_Residuals, ...], track: Ints, n: int) -> tuple[Floats, Floats]:
    """Each track's normal matrix (K, 3, 3) and right side (K, 3), with soft-L1 weights."""
    normal, right = np.zeros((n, 3, 3)), np.zeros((n, 3))
    for kind in kinds:
        weight = 1 / np.sqrt(1 + kind.residual**2)
        for i, slope in enumerate(kind.slopes):
            weighted = weight * slope
            right[:, i] += np.bincount(track, weighted * kind.residual, n)
            for j, other in enumerate(kind.slopes[: i + 1]):
                normal[:, i, j] += np.bincount(track, weighted * other, n)
    normal[:, 0, 1], normal[:, 0, 2], normal[:, 1, 2] = normal[:, 1, 0], normal[:, 2, 0], normal[:, 2, 1]
    return normal, right
