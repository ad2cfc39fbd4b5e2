"""What a user may set of an inventory run."""

from __future__ import annotations

from pydantic import Field

from roadscan.config import Config
from roadscan.inventory.reference import ReferenceConfig


class InventoryConfig(Config):
    """Config of `roadscan.inventory.update_inventory`. Lengths in metres, angles in degrees."""

    warehouse: str = Field(min_length=1, description="the warehouse's root, s3://bucket/prefix or a folder")
    reviews: str | None = Field(
        None, description="Parquet file of reviewers' decisions to take in; later runs keep them"
    )
    reference: ReferenceConfig | None = Field(None, description="centrelines with kilometres; none to go without")
    workers: int = Field(1, ge=1, le=256, description="processes that build cells of the register side by side")
    on_ray: bool = Field(False, description="build the cells on the Ray cluster instead, one a core")
    min_score: float = Field(0.25, ge=0, le=1, description="observations with a lower score are ignored")
    bearing_sigma_deg: float = Field(0.8, gt=0, le=10, description="error of one bearing, without the yaw error")
    yaw_sigma_deg: float = Field(
        1.5, gt=0, le=10, description="error of the camera's yaw that all frames of a drive share"
    )
    pose_jitter_m: float = Field(0.4, ge=0, le=10, description="error of one frame's position, without the shared bias")
    gnss_sigma_m: float = Field(1.5, ge=0, le=20, description="position bias, an axis, that one drive has at one place")
    track_gap_m: float = Field(60.0, gt=0, le=500, description="a track ends when not seen for this distance driven")
    candidate_hits: int = Field(2, ge=1, le=50, description="frames of one drive that make an asset a candidate")
    confirm_sigma_m: float = Field(6.0, gt=0, le=200, description="an estimate less sure than this confirms nothing")
    match_gate_m: float = Field(
        6.0, gt=0, le=50, description="an asset is looked for within this distance of an estimate"
    )
    overhead_gate_m: float = Field(25.0, gt=0, le=100, description="the same for assets that span the road")
    shift_window_m: float = Field(
        400.0, gt=0, le=5000, description="neighbourhood over which a drive's bias is one shift, at first"
    )
    gnss_memory_m: float = Field(
        2500.0, gt=0, le=100_000, description="distance driven after which a drive's position bias is another one"
    )
    move_m: float = Field(
        25.0, ge=0, le=200, description="what went and what came within this distance is one asset that was moved"
    )
    coverage_near_m: float = Field(6.0, ge=0, le=100, description="an asset nearer than this need not be in the image")
    coverage_far_m: float = Field(50.0, gt=0, le=150, description="an asset farther than this need not be detected")
    coverage_frames: int = Field(2, ge=1, le=50, description="frames that must cover a line for its absence to count")
    occlusion_probability: float = Field(
        0.03, gt=0, lt=1, description="chance that all of a drive is hidden from a standing asset, as by a parked lorry"
    )
    change_probability: float = Field(
        0.01, gt=0, lt=0.5, description="chance that an asset is removed, or put back, between two drives"
    )
    line_bin_m: float = Field(2.0, gt=0, le=20, description="step along the road in which lines are collected")
    line_far_m: float = Field(45.0, gt=0, le=150, description="how far ahead a line's boxes are trusted")
    line_hit_ratio: float = Field(0.4, gt=0, le=1, description="hits per covering frame for a step to belong to a line")
    line_gap_m: float = Field(8.0, ge=0, le=200, description="shorter gaps in a line are closed")
    line_min_length_m: float = Field(8.0, ge=0, le=500, description="shorter lines are dropped")
    line_overlap_m: float = Field(4.0, gt=0, le=50, description="two lines this close side by side are one")
