"""One pass of a camera over a straight road, and exact detections from it."""

from __future__ import annotations

import numpy as np

from roadscan.inventory import InventoryConfig
from roadscan.inventory.drive.passes import Detections, DrivenPath, DrivePass, Poses
from roadscan.survey.geodesy import LocalFrame

CONFIG = InventoryConfig(warehouse="unused")
BASE = ("near_bearing_deg", "near_range_m", "far_bearing_deg", "far_range_m")


def straight_north(n: int = 12, step_m: float = 10.0) -> DrivePass:
    """A camera that drives north along x = 0 from y = 0."""
    y = np.arange(n) * step_m
    zero = np.zeros(n)
    path = DrivenPath(np.array([-80.0, y[-1] + 80]), np.zeros(2), np.array([-80.0, y[-1] + 80]), np.zeros(2))
    time_us, noise = (y * 1e5).astype(np.int64), CONFIG.noise
    sigmas = np.full(n, noise.gnss_sigma_m), np.full(n, np.radians(noise.yaw_sigma_deg))
    poses = Poses(zero, y, y, zero, np.full(n, np.radians(35)), time_us, *sigmas)
    return DrivePass("d", LocalFrame(100, 14), poses, path, look([], [], n_frames=0), None)


def look(places, frames_of, drive=None, n_frames=None, stretch=1.0) -> Detections:
    """Exact detections of places (x, y) from the frames given for each, ranges times `stretch`."""
    rows = sorted((f, k) for k, frames in enumerate(frames_of) for f in frames)
    frame = np.array([f for f, _ in rows], np.int64)
    xy = np.array([places[k] for _, k in rows], float).reshape(-1, 2)
    camera = np.stack([drive.poses.x, drive.poses.y], 1)[frame] if drive is not None else xy
    dx, dy = (xy - camera).T
    n = len(frame)
    with np.errstate(divide="ignore"):
        log_range = np.log(np.hypot(dx, dy) * stretch)
    return Detections(
        frame_index=frame,
        row=np.arange(n),
        class_name=np.array(["Bus Stop"] * n, np.str_),
        score=np.full(n, 0.8),
        bearing=np.arctan2(dx, dy),
        bearing_sigma=np.full(n, np.radians(CONFIG.noise.bearing_sigma_deg)),
        bearing_factor=np.ones(n),
        log_range=log_range,
        log_sigma=np.full(n, 0.15),
        jitter_m=np.full(n, CONFIG.noise.pose_jitter_m),
        **dict.fromkeys(BASE, np.full(n, np.nan)),
        box_height_px=np.full(n, 40.0),
    )
