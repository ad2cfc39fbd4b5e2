"""What a simulation is made of: `SimulationConfig`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from roadscan.config import Config

ConditionName = Literal["day", "haze", "dusk", "backlight", "rain", "night", "rainy night"]


class SimulationConfig(Config):
    """One simulated road, the drives over it, the camera and the position errors. Everything follows from `seed`."""

    seed: int = Field(0, ge=0, le=2**31 - 1, description="of everything random: the same config gives the same bytes")
    length_km: float = Field(2.0, ge=0.1, le=200.0, description="surveyed length of road, in kilometres")
    nights: int = Field(2, ge=1, le=365, description="drives over the same road, one a night")
    density: float = Field(1.0, ge=0.0, le=3.0, description="assets a kilometre, as a multiple of the usual number")
    traffic: float = Field(1.0, ge=0.0, le=3.0, description="other vehicles, as a multiple of the usual number")
    blur: float = Field(0.0, ge=0.0, le=1.0, description="share of frames that a bump blurs")
    spray: float = Field(
        0.0, ge=0.0, le=2.0, description="water that vehicles throw up where the road is wet; 1 is what lorries do"
    )
    hilliness: float = Field(1.0, ge=0.0, le=2.0, description="0 is flat, 1 has grades up to about 2.5 %")
    bendiness: float = Field(1.0, ge=0.0, le=1.5, description="0 is straight, 1 has curve radii from 600 m")
    conditions: tuple[ConditionName, ...] = Field(
        (), max_length=64, description="light and weather to go through, one a kilometre; empty for the usual mix"
    )
    width_px: int = Field(1920, ge=320, le=3840, description="image width in pixels")
    height_px: int = Field(1080, ge=180, le=2160, description="image height in pixels")
    focal_ratio: float = Field(0.71, ge=0.45, le=3.0, description="focal length over image width; 0.71 is a 70° view")
    mount_height_m: float = Field(1.8, ge=0.8, le=4.0, description="camera height over the road, in metres")
    mount_yaw_deg: float = Field(0.0, ge=-30.0, le=30.0, description="camera yaw from the heading, clockwise")
    mount_pitch_deg: float = Field(1.0, ge=-8.0, le=15.0, description="camera pitch, positive looks down")
    jpeg_quality: int = Field(88, ge=30, le=100, description="of the images")
    frame_spacing_m: float = Field(10.0, ge=1.0, le=100.0, description="metres between frames at 20 m/s")
    gps_bias_sigma_m: float = Field(1.0, ge=0.0, le=20.0, description="slow position error, sigma per axis in metres")
    gps_bias_tau_s: float = Field(120.0, ge=1.0, le=3600.0, description="correlation time of the slow position error")
    gps_noise_sigma_m: float = Field(0.1, ge=0.0, le=5.0, description="white position noise per axis in metres")
    yaw_bias_sigma_deg: float = Field(0.7, ge=0.0, le=10.0, description="heading error, one constant per drive")
    yaw_noise_sigma_deg: float = Field(0.2, ge=0.0, le=5.0, description="white heading noise, in degrees")
    pitch_noise_sigma_deg: float = Field(0.12, ge=0.0, le=2.0, description="suspension: unreported pitch, in degrees")
    origin_lon: float = Field(102.83, ge=-180.0, le=180.0, description="longitude of the world's origin, WGS 84")
    origin_lat: float = Field(16.43, ge=-80.0, le=80.0, description="latitude of the world's origin, WGS 84")
    workers: int = Field(2, ge=1, le=64, description="rendering processes; the result does not depend on it")

    @property
    def focal_px(self) -> float:
        """Focal length in pixels."""
        return self.focal_ratio * self.width_px
