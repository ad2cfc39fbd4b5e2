"""What a user may set of an inventory run, in groups: lengths in metres, angles in degrees.

`noise`, `tracking` and `lines` are of one drive alone; `matching`, `visibility` and `existence` of all drives together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from roadscan.config import Config, ZoneName
from roadscan.inventory.control import ControlConfig
from roadscan.inventory.reference import ReferenceConfig


class ExecutionConfig(Config):
    """Where the register is built."""

    workers: int = Field(1, ge=1, le=256, description="processes that build tiles of the register side by side")
    on_ray: bool = Field(False, description="build the tiles on the Ray cluster instead, one a core")
    no_progress_s: float = Field(
        3600.0,
        ge=1,
        le=86400,
        description="without a drive read or a tile built: it is ended; a nightly run has its own",
    )


class NoiseConfig(Config):
    """What one drive gets wrong: standard deviations."""

    bearing_sigma_deg: float = Field(0.8, gt=0, le=10, description="error of one bearing, without the yaw error")
    yaw_sigma_deg: float = Field(
        1.5, gt=0, le=10, description="error of the camera's yaw that all frames of a drive share"
    )
    pose_jitter_m: float = Field(0.4, ge=0, le=10, description="error of one frame's position, without the shared bias")
    gnss_sigma_m: float = Field(
        1.5, ge=0.01, le=20, description="position bias, an axis, that one drive has at one place"
    )
    gnss_memory_m: float = Field(
        2500.0, gt=0, le=100_000, description="distance driven after which a drive's position bias is another one"
    )


class TrackingConfig(Config):
    """From the detections of one drive to tracks, one an asset."""

    min_score: float = Field(0.25, ge=0, le=1, description="observations with a lower score are ignored")
    gap_m: float = Field(60.0, gt=0, le=500, description="a track ends when not seen for this distance along the drive")
    candidate_hits: int = Field(2, ge=1, le=50, description="frames of one drive that make an asset a candidate")


class LinesConfig(Config):
    """Assets that run along the road, such as guardrails."""

    bin_m: float = Field(2.0, gt=0, le=20, description="step along the road in which lines are collected")
    far_m: float = Field(45.0, gt=0, le=150, description="how far ahead a line's boxes are trusted")
    hit_ratio: float = Field(
        0.4, gt=0, le=1, description="hits per frame with it in view, for a step to belong to a line"
    )
    gap_m: float = Field(8.0, ge=0, le=200, description="shorter gaps in a line are closed")
    min_length_m: float = Field(8.0, ge=0, le=500, description="shorter lines are dropped")
    overlap_m: float = Field(4.0, gt=0, le=50, description="two lines this close side by side are one")


class MatchingConfig(Config):
    """Which estimates of several drives are one asset."""

    gate_m: float = Field(
        6.0,
        gt=0,
        le=50,
        description="an asset is looked for within this distance of an estimate; one that is less sure starts no asset",
    )
    overhead_gate_m: float = Field(25.0, gt=0, le=100, description="the same for assets that span the road")
    bias_window_m: float = Field(
        400.0, gt=0, le=5000, description="neighbourhood over which a drive's bias is one shift, at first"
    )
    window_drives: int = Field(
        20,
        ge=2,
        le=10_000,
        description="drives of each stretch of road that are weighed together; what earlier ones came to is carried on",
    )
    move_m: float = Field(
        25.0, ge=0, le=200, description="what went and what came within this distance is one asset that was moved"
    )


class VisibilityConfig(Config):
    """Which frames should have shown an asset."""

    near_m: float = Field(6.0, ge=0, le=100, description="an asset nearer than this need not be in the image")
    far_m: float = Field(50.0, gt=0, le=150, description="an asset farther than this need not be detected")
    line_opportunities: int = Field(
        2, ge=1, le=50, description="looks at a place of a line that it takes for its absence to count"
    )


class ExistenceConfig(Config):
    """When an asset is confirmed, and when it is missing."""

    confirm_sigma_m: float = Field(6.0, gt=0, le=200, description="an estimate less sure than this confirms nothing")
    occlusion_probability: float = Field(
        0.03, gt=0, lt=1, description="chance that all of a drive is hidden from a standing asset, as by a parked lorry"
    )
    change_probability: float = Field(
        0.01, gt=0, lt=0.5, description="chance that an asset is removed, or put back, between two drives"
    )


class InventoryConfig(Config):
    """How a warehouse's observations become its register, in groups of thresholds."""

    warehouse: str = Field(min_length=1, description="the warehouse's root, s3://bucket/prefix or a folder")
    reviews: str | None = Field(
        None, description="Parquet file of reviewers' decisions to take in; later runs keep them"
    )
    time_zone: ZoneName | None = Field(
        None,
        description="in which SQL reads days and hours, such as Asia/Bangkok; the warehouse keeps it, at first UTC",
    )
    reference: ReferenceConfig | None = Field(None, description="centrelines with kilometres; none to go without")
    taxonomy: str | None = Field(
        None,
        min_length=1,
        description="YAML file of what is known of the classes, such as another detector's, which the warehouse keeps; "
        "highway for roadscan's own again; none for what it keeps",
    )
    control: ControlConfig | None = Field(
        None, description="surveyed assets that the register is pinned to; none to go without"
    )
    execution: ExecutionConfig = Field(ExecutionConfig(), description="where the register is built")
    noise: NoiseConfig = Field(NoiseConfig(), description="what one drive gets wrong")
    tracking: TrackingConfig = Field(TrackingConfig(), description="from detections of one drive to tracks")
    lines: LinesConfig = Field(LinesConfig(), description="assets that run along the road")
    matching: MatchingConfig = Field(MatchingConfig(), description="which estimates of several drives are one asset")
    visibility: VisibilityConfig = Field(VisibilityConfig(), description="which frames should have shown an asset")
    existence: ExistenceConfig = Field(ExistenceConfig(), description="when an asset is confirmed, and when missing")

    renamed: ClassVar[Mapping[str, str]] = {
        "workers": "execution.workers",
        "on_ray": "execution.on_ray",
        "min_score": "tracking.min_score",
        "bearing_sigma_deg": "noise.bearing_sigma_deg",
        "yaw_sigma_deg": "noise.yaw_sigma_deg",
        "pose_jitter_m": "noise.pose_jitter_m",
        "gnss_sigma_m": "noise.gnss_sigma_m",
        "gnss_memory_m": "noise.gnss_memory_m",
        "track_gap_m": "tracking.gap_m",
        "candidate_hits": "tracking.candidate_hits",
        "confirm_sigma_m": "existence.confirm_sigma_m",
        "match_gate_m": "matching.gate_m",
        "overhead_gate_m": "matching.overhead_gate_m",
        "shift_window_m": "matching.bias_window_m",
        "move_m": "matching.move_m",
        "coverage_near_m": "visibility.near_m",
        "coverage_far_m": "visibility.far_m",
        "coverage_frames": "visibility.line_opportunities",
        "occlusion_probability": "existence.occlusion_probability",
        "change_probability": "existence.change_probability",
        "line_bin_m": "lines.bin_m",
        "line_far_m": "lines.far_m",
        "line_hit_ratio": "lines.hit_ratio",
        "line_gap_m": "lines.gap_m",
        "line_min_length_m": "lines.min_length_m",
        "line_overlap_m": "lines.overlap_m",
    }
