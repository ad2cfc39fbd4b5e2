"""The survey vehicle: where it is at each frame, and where its GPS says it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from roadscan.arrays import Floats
from roadscan.simulate.config import SimulationConfig
from roadscan.simulate.world.road import FAST_LANE_M, SLOW_LANE_M, Road
from roadscan.survey.geodesy import LocalFrame

MEAN_SPEED_MPS = 20.0
FIRST_NIGHT = datetime(2026, 11, 1, 13, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Trajectory:
    """True poses of one drive, and what was recorded of them; all arrays have one entry a frame.

    Attributes:
        drive_id: sortable by night.
        night: from 1.
        time_s: since the drive began.
        s, d: chainage and offset of the camera.
        heading_deg: true heading, clockwise from north, 0..360.
        pitch_deg: of the vehicle, positive nose down, as the road and its suspension make it.
        speed_mps: along the road.
        xy: true position in local metres, shape (n, 2).
        recorded_xy, recorded_heading_deg: the same with the errors of GPS and compass.
    """

    drive_id: str
    night: int
    time_s: Floats
    s: Floats
    d: Floats
    heading_deg: Floats
    pitch_deg: Floats
    speed_mps: Floats
    xy: Floats
    recorded_xy: Floats
    recorded_heading_deg: Floats

    def __len__(self) -> int:
        return len(self.s)

    def frame_id(self, index: int) -> str:
        """Name of a frame, unique over all drives of a simulation."""
        return f"{self.drive_id}-{index:06d}"

    def captured_at(self, index: int) -> datetime:
        """Time of exposure, UTC."""
        start = FIRST_NIGHT + timedelta(days=self.night - 1)
        return start + timedelta(microseconds=round(float(self.time_s[index]) * 1e6))


def gauss_markov(rng: np.random.Generator, time_s: Floats, sigma: float, tau_s: float) -> Floats:
    """A first-order Gauss-Markov process at the given times, stationary with standard deviation `sigma`, shape (n,).

    Source: x[k+1] = a x[k] + sigma sqrt(1 - a^2) w, a = exp(-dt / tau).
    """
    steps = rng.standard_normal(len(time_s))
    result = np.empty(len(time_s))
    value = sigma * steps[0] if len(steps) else 0.0
    for index, step in enumerate(steps):
        if index:
            keep = float(np.exp(-(time_s[index] - time_s[index - 1]) / tau_s))
            value = keep * value + sigma * np.sqrt(1 - keep**2) * step
        result[index] = value
    return result


def _lane_offset(rng: np.random.Generator, s: Floats, length_m: float) -> Floats:
    """Offset along the drive: mostly the slow lane, now and then the fast one, with a driver's wander."""
    d = np.full_like(s, -SLOW_LANE_M)
    at = float(rng.uniform(100, 600))
    while at < length_m:
        stay = float(rng.uniform(200, 600))
        t = np.clip(np.minimum(s - at, at + stay - s) / 90.0 + 0.5, 0, 1)
        d += (SLOW_LANE_M - FAST_LANE_M) * t * t * (3 - 2 * t)
        at += stay + float(rng.uniform(400, 1100))
    return d + 0.18 * np.sin(s / 47.0 + rng.uniform(0, 6.3)) + 0.08 * np.sin(s / 13.0)


def drive(config: SimulationConfig, road: Road, night: int) -> Trajectory:
    """The drive of one night, forward along the left carriageway."""
    rng = np.random.default_rng((121, config.seed, night))
    step_s = config.frame_spacing_m / MEAN_SPEED_MPS
    phases = rng.uniform(0, 2 * np.pi, 2)
    s, speeds, at = [], [], float(rng.uniform(3, 3 + config.frame_spacing_m))
    while at < road.length_m:
        speed = MEAN_SPEED_MPS + 2.0 * np.sin(at / 260.0 + phases[0]) + 1.2 * np.sin(at / 75.0 + phases[1])
        s.append(at)
        speeds.append(speed)
        at += float(speed) * step_s
    chainage, count = np.array(s), len(s)
    time_s = np.arange(count, dtype=np.float64) * step_s
    d = _lane_offset(rng, chainage, road.length_m)
    drift = np.gradient(d, chainage) if count > 1 else np.zeros(count)
    heading = road.heading(chainage) + np.arctan(drift)
    pitch = -np.degrees(road.pitch(chainage)) + rng.normal(0, config.pitch_noise_sigma_deg, count)
    xy = road.point(chainage, d)[:, :2]
    bias = [gauss_markov(rng, time_s, config.gps_bias_sigma_m, config.gps_bias_tau_s) for _ in range(2)]
    recorded = xy + np.stack(bias, axis=1) + rng.normal(0, config.gps_noise_sigma_m, (count, 2))
    yaw_error = rng.normal(0, config.yaw_bias_sigma_deg) + rng.normal(0, config.yaw_noise_sigma_deg, count)
    true_deg = np.degrees(heading)
    return Trajectory(
        f"sim-s{config.seed}-n{night:02d}",
        night,
        time_s,
        chainage,
        d,
        true_deg % 360.0,
        pitch,
        np.array(speeds),
        xy,
        recorded,
        (true_deg + yaw_error) % 360.0,
    )


def local_frame(config: SimulationConfig) -> LocalFrame:
    """The map between local metres and longitude, latitude."""
    return LocalFrame(config.origin_lon, config.origin_lat)
