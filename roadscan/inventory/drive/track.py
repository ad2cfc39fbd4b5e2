"""Detections of one drive to tracks, one an asset: multiple-object tracking (MOT) of things that stand still.

Frames are about 10 m apart, so consecutive boxes of one asset never overlap: association is by place. Each track is
a fixed landmark with a position, a stretch of its ranges (see `roadscan.inventory.drive.triangulate`) and a covariance;
it is predicted into each frame as a bearing and a log range, and detections are assigned one to one (an extended Kalman
filter for each landmark, with the cameras' poses given).

Landmarks stand still, so frames need not come as they were taken: they are swept from one end of the drive to the other
by where they are. So the same frames are the same tracks, in whichever order they were written, and a road that is
driven again an hour later is swept once.

Legend: M detections, T tracks, P pairs of a track and a detection of one frame. ENU metres, radians.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from roadscan.arrays import Floats, Ints
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive.passes import Detections, DrivePass
from roadscan.inventory.drive.triangulate import MIN_RANGE_M, bearing_sigma, range_jitter, wrap
from roadscan.inventory.geometry.assignment import GATE_CHI2, mahalanobis2

REACH_M = 200.0  # from which nothing is seen: without a range a bearing alone would go on for ever


class _Tracks:
    """The tracks of one drive; row i is track i, arrays are (T, …)."""

    def __init__(self, capacity: int) -> None:
        self.state = np.zeros((capacity, 3))  # east, north, stretch
        self.cov = np.zeros((capacity, 3, 3))
        self.last_s = np.zeros(capacity)
        self.class_index = np.zeros(capacity, np.int64)
        self.size = 0
        self._oldest = 0  # tracks before it have ended

    def alive(self, s: float, gap_m: float, camera: Floats) -> Ints:
        """Tracks in reach of the camera that were seen within the last `gap_m` of the sweep."""
        alive = self._oldest + np.flatnonzero(s - self.last_s[self._oldest : self.size] <= gap_m)
        self._oldest = int(alive[0]) if len(alive) else self.size
        return np.asarray(alive[np.hypot(*(self.state[alive, :2] - camera).T) <= REACH_M])

    def start(self, state: Floats, cov: Floats, s: float, class_index: int) -> int:
        """A new track; its number."""
        self.state[self.size], self.cov[self.size], self.last_s[self.size] = state, cov, s
        self.class_index[self.size] = class_index
        self.size += 1
        return self.size - 1


def track_detections(drive: DrivePass, detections: Detections, config: InventoryConfig) -> Ints:
    """The track of each detection, (M,), numbered from 0; a track has one class.

    Args:
        drive: whose cameras saw them.
        detections: (M,) in the order of its frames.
        config: `tracking.gap_m`.
    """
    label = np.full(len(detections.frame_index), -1, np.int64)
    if len(label) == 0:
        return label
    tracks = _Tracks(len(label))
    class_index = np.unique(detections.class_name, return_inverse=True)[1]
    heading_sigma = drive.heading_sigma
    frames, starts = np.unique(detections.frame_index, return_index=True)
    members = dict(zip(frames.tolist(), np.split(np.arange(len(label)), starts[1:]), strict=True))
    order, along = _sweep(drive, detections.bearing)
    for frame in (frame for frame in order.tolist() if frame in members):
        chosen, s, camera = members[frame], float(along[frame]), drive.camera_xy[frame]
        seen = detections.take(chosen)
        alive = tracks.alive(s, config.tracking.gap_m, camera)
        for track, k in _assign_frame(tracks, alive, camera, seen, class_index[chosen], heading_sigma):
            label[chosen[k]] = track
            tracks.last_s[track] = s
        for k in np.flatnonzero(label[chosen] < 0).tolist():
            label[chosen[k]] = tracks.start(*_place(camera, seen, k), s, int(class_index[chosen[k]]))
    return label


def _sweep(drive: DrivePass, bearing: Floats) -> tuple[Ints, Floats]:
    """The frames (F,) in the order of a sweep over the drive, and how far along it each of them is, metres.

    It goes north or east, whichever way the drive is longer, or back: to where most detections look.
    """
    axis = int(np.argmax(np.ptp(drive.camera_xy, axis=0)))
    onwards = (np.sin(bearing), np.cos(bearing))[axis].sum() >= 0
    swept = drive.camera_xy if onwards else -drive.camera_xy
    return np.lexsort((swept[:, 1 - axis], swept[:, axis])), swept[:, axis]


def _assign_frame(
    tracks: _Tracks, alive: Ints, camera: Floats, seen: Detections, class_index: Ints, heading_sigma: float
) -> list[tuple[int, int]]:
    """Pairs of track and detection of one frame; the tracks are updated."""
    i, k = np.nonzero(tracks.class_index[alive][:, None] == class_index[None])
    if len(i) == 0:
        return []
    track = alive[i]
    dx, dy = (tracks.state[track, :2] - camera).T
    r = np.maximum(np.hypot(dx, dy), MIN_RANGE_M)
    slope = np.zeros((len(i), 2, 3))  # of bearing and log range by east, north and stretch
    slope[:, 0, 0], slope[:, 0, 1] = dy / r**2, -dx / r**2
    slope[:, 1, 0], slope[:, 1, 1], slope[:, 1, 2] = dx / r**2, dy / r**2, 1.0
    innovation = np.empty((len(i), 2))
    innovation[:, 0] = wrap(seen.bearing[k] - np.arctan2(dx, dy))
    innovation[:, 1] = seen.log_range[k] - np.log(r) - tracks.state[track, 2]
    spread = slope @ tracks.cov[track] @ slope.transpose(0, 2, 1)
    pair_seen = seen.take(k)
    spread[:, 0, 0] += bearing_sigma(pair_seen, r) ** 2 + (heading_sigma / 2) ** 2  # half: what calibration leaves
    spread[:, 1, 1] += range_jitter(pair_seen, r) ** 2
    distance = np.full((len(alive), len(class_index)), GATE_CHI2 + 1)
    distance[i, k] = np.minimum(mahalanobis2(innovation, spread), GATE_CHI2 + 1)
    pair = np.zeros(distance.shape, np.int64)
    pair[i, k] = np.arange(len(i))
    rows, columns = linear_sum_assignment(distance)
    good = distance[rows, columns] <= GATE_CHI2
    rows, columns = rows[good], columns[good]
    n = pair[rows, columns]
    _update(tracks, alive[rows], slope[n], spread[n], innovation[n])
    return list(zip(alive[rows].tolist(), columns.tolist(), strict=True))


def _update(tracks: _Tracks, track: Ints, slope: Floats, spread: Floats, innovation: Floats) -> None:
    """Kalman update of tracks (P,), each with one detection."""
    cov = tracks.cov[track]
    gain = cov @ slope.transpose(0, 2, 1) @ np.linalg.inv(spread)
    tracks.state[track] += (gain @ innovation[..., None])[..., 0]
    cov = (np.eye(3) - gain @ slope) @ cov
    tracks.cov[track] = (cov + cov.transpose(0, 2, 1)) / 2


def _place(camera: Floats, seen: Detections, k: int) -> tuple[Floats, Floats]:
    """State and covariance from one detection: if its range is stretched, the asset is so much nearer."""
    one = seen.take(np.array([k]))
    r = np.exp(one.log_range)
    jitter, sigma_b = range_jitter(one, r)[0], bearing_sigma(one, r)[0]
    ahead = np.array([np.sin(one.bearing[0]), np.cos(one.bearing[0]), 0.0])
    across = np.array([ahead[1], -ahead[0], 0.0])
    stretched = np.array([0.0, 0.0, 1.0]) - r * ahead
    parts = (one.log_sigma[0] * stretched, r * jitter * ahead, r * sigma_b * across)
    return np.append(camera, 0.0) + r * ahead, np.asarray(sum(np.outer(part, part) for part in parts))
