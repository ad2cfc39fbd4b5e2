"""What `roadscan ingest` is told: where frames, images and GPS lie, and the cameras. Opens only a cameras file."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field, ValidationInfo, field_validator

from roadscan.config import Config, check_renamed, load_config
from roadscan.errors import ConfigError
from roadscan.schemas import ACCURACY
from roadscan.survey.camera import Projection
from roadscan.survey.dates import gps_week_s
from roadscan.survey.importers.times import parse_time

Kind: TypeAlias = Literal["exif", "mapillary", "table", "track", "video"]

#: The columns that a frames table may have. `columns` renames a file's own columns to these.
COLUMNS = (
    "frame_id",
    "image_uri",
    "captured_at",
    "lon",
    "lat",
    "heading_deg",
    "speed_mps",
    "hdop",
    "camera_id",
    *ACCURACY,
)

#: Fields that only some kinds read. Elsewhere they would silently do nothing, so there they are refused.
_KINDS_OF_FIELD = {
    "images": {"mapillary", "table", "track"},
    "path_prefix": {"mapillary", "table", "track"},
    "heading": {"exif", "mapillary", "table"},
    "copy_images": {"exif", "mapillary", "table", "track"},
    "track": {"track", "video"},
    "clock_offset_s": {"track", "video"},
    "time_pattern": {"track", "video"},
    "time_regex": {"track", "video"},
    "start_time": {"track", "video"},
    "rate_hz": {"track"},
    "log_date": {"table", "track", "video"},
    "log_clock": {"table", "track", "video"},
    "log_sigmas": {"track", "video"},
    "log_angles": {"track", "video"},
    "log_heading": {"track", "video"},
    "spacing_m": {"video"},
    "interval_s": {"video"},
    "columns": {"table", "track", "video"},
    "time_format": {"table", "track", "video"},
    "utc_offset_h": {"exif", "table", "track", "video"},
}

_CLOCK_HELP = (
    "required with kind=track: the camera's clock minus the GPS clock, in seconds. To determine it, photograph the "
    "time shown by the GPS logger, and subtract that time (in UTC) from the photograph's own time (in UTC). "
    "Set 0 only if the camera's clock is set by GPS"
)


class CameraConfig(Config):
    """One camera of the vehicle. What is left out is taken from the images, then from the defaults."""

    camera_id: str = Field("front", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Unique in the drive.")
    width_px: int | None = Field(None, ge=16, le=65535, description="Image width. Default: of its first image.")
    height_px: int | None = Field(
        None, ge=16, le=65535, validate_default=True, description="Image height. Default: of its first image."
    )
    projection: Projection | None = Field(
        None,
        description="equirectangular: whole panoramas, 360 by 180 degrees. Default: that where most of its images say "
        "so (XMP GPano), else pinhole.",
    )
    focal_px: float | None = Field(None, gt=0, le=1e6, description="Focal length in pixels. Instead: hfov_deg.")
    hfov_deg: float | None = Field(
        None,
        gt=1,
        lt=170,
        description="Horizontal field of view, degrees. Default: by the EXIF of its images, or 70.",
    )
    intrinsics: str | None = Field(
        None,
        description="A calibration instead: COLMAP's cameras.txt (the camera whose CAMERA_ID is camera_id, or the only "
        "one), OpenCV's or ROS' YAML, or JSON of the same names: a path or s3:// address.",
    )
    lens: Literal["brown", "fisheye"] | None = Field(
        None, description="With intrinsics: what the coefficients are of, where the file does not say. Default: brown."
    )
    mount_height_m: float = Field(1.8, gt=0, le=20, description="Above the road, metres.")
    mount_yaw_deg: float = Field(
        0.0,
        ge=-180,
        le=360,
        description="Clockwise from the vehicle's heading, degrees; of a panorama to its middle column.",
    )
    mount_pitch_deg: float = Field(0.0, ge=-45, le=45, description="Below the horizon, degrees.")

    @field_validator("focal_px", "hfov_deg", "intrinsics")
    @classmethod
    def _of_a_view(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("projection") == "equirectangular":
            raise ValueError("projection is equirectangular, which shows 360 degrees; take it out")
        return value

    @field_validator("hfov_deg")
    @classmethod
    def _one_angle(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("focal_px") is not None:
            raise ValueError("focal_px is given too; give only one of the two")
        return value

    @field_validator("intrinsics")
    @classmethod
    def _one_lens(cls, value: str | None, info: ValidationInfo) -> str | None:
        given = [name for name in ("focal_px", "hfov_deg") if info.data.get(name) is not None]
        if value is not None and given:
            raise ValueError(f"{given[0]} is given too; give only one of the two")
        return value

    @field_validator("lens")
    @classmethod
    def _of_a_file(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("intrinsics") is None:
            raise ValueError("does nothing without intrinsics; set both")
        return value

    @field_validator("height_px")
    @classmethod
    def _whole_size(cls, value: int | None, info: ValidationInfo) -> int | None:
        if "width_px" in info.data and (value is None) != (info.data["width_px"] is None):
            raise ValueError("give both width_px and height_px, or neither to take the images' own size")
        return value


class CamerasFile(Config):
    """A file that holds nothing but cameras, for fleets that share one."""

    cameras: tuple[CameraConfig, ...] = Field(min_length=1, description="The vehicle's cameras.")


class IngestConfig(Config):
    """One drive to import."""

    kind: Kind = Field(
        description="exif: a folder of images with GPS in their EXIF. mapillary: mapillary_image_description.json. "
        "table: a CSV or Parquet file, a row a frame. track: a log of GPS and images with times. video: "
        "recordings that carry their positions (GPMF, CAMM, BlackVue, Novatek), or with a log of GPS beside them."
    )
    source: str = Field(
        min_length=1,
        description="exif: the folder of images. mapillary: the JSON file, or its folder. table: the CSV or Parquet "
        "file. track: the folder of images, or a CSV or Parquet file with image_uri and captured_at. video: the "
        "video, or the folder of all videos of the drive.",
    )
    out: str = Field(min_length=1, description="The drive's folder: a path or s3://bucket/prefix.")
    drive_id: str | None = Field(None, description="Unique in a warehouse. Default: the last part of `out`.")
    images: str | None = Field(None, description="Folder below which all images lie. Default: the source's folder.")
    path_prefix: str | None = Field(
        None, min_length=1, description="What to cut from the front of file names that were written elsewhere."
    )
    copy_images: bool = Field(False, description="Copy the images into the drive's folder, below images/.")
    cameras: tuple[CameraConfig, ...] = Field((), description="The cameras. Default: one camera named front.")
    cameras_file: str | None = Field(None, description="Path of a YAML or JSON file with `cameras`, instead of it.")
    camera_pattern: str | None = Field(
        None, description="With several cameras: a regular expression on the image's path, its group is the camera_id."
    )
    heading: Literal["camera", "vehicle", "course"] | None = Field(
        None,
        description="What a recorded heading is of: the camera's axis (default of exif and mapillary) or the vehicle "
        "(default of table). course: ignore it and take the direction of travel.",
    )
    utc_offset_h: float | None = Field(
        None, ge=-14, le=14, description="Zone of times that do not tell theirs, hours east of UTC; Thailand is 7."
    )
    uere_m: float | None = Field(
        2.5,
        gt=0,
        le=100,
        description="User equivalent range error: a position whose source tells only an HDOP is sure to HDOP times it, "
        "metres. The default is of a multi-constellation receiver under an open sky; null for no such guess.",
    )
    max_gap_s: float = Field(
        5.0, gt=0, le=600, description="Longest time between two GPS positions that may be bridged, seconds."
    )
    columns: dict[str, str] = Field(
        {}, description="Column names of the table, and of a log, where they differ: {lon: x_lon}."
    )
    time_format: Literal["iso", "epoch_s", "epoch_ms", "gps_week_s"] = Field(
        "iso", description="How captured_at is written. gps_week_s: seconds of the GPS week of log_date."
    )
    track: str | None = Field(
        None,
        validate_default=True,
        description="GPX, NMEA, SBET, RTKLIB's .pos, or CSV with captured_at, lon and lat, and what it has of "
        "heading_deg, pitch_deg, roll_deg, altitude_m, pos_sigma_m and heading_sigma_deg: a path or s3:// address. "
        "With a video it goes before the positions that it carries, and before a log of the video's own name.",
    )
    log_date: date | None = Field(
        None,
        description="A day, in UTC, of the GPS week in which a log begins that tells only seconds of the week: SBET, "
        "and time_format=gps_week_s. YYYY-MM-DD.",
    )
    log_clock: Literal["gps", "utc"] = Field(
        "gps",
        description="What seconds of the week count: GPS time, which is ahead of UTC by its leap seconds, or UTC.",
    )
    log_sigmas: str | None = Field(
        None, description="The SMRMSG file of an SBET. Default: smrmsg_NAME beside sbet_NAME, where there is one."
    )
    log_angles: Literal["degrees", "radians"] = Field("degrees", description="Of a CSV log, also of lon and lat.")
    log_heading: Literal["north", "east"] = Field(
        "north", description="Where headings of a CSV log count from: north, clockwise; or east, counterclockwise."
    )
    clock_offset_s: float | None = Field(
        None,
        ge=-1e9,
        le=1e9,
        validate_default=True,
        description="Camera clock minus GPS clock, seconds. Of a video only where that carries no GPS time; 0 with a "
        "log of its own name.",
    )
    time_pattern: str | None = Field(
        None,
        description="With a folder: strptime format of the time in file names, such as %Y%m%d_%H%M%S; in a video's, "
        "that of its start. Default: EXIF, or what the video says.",
    )
    time_regex: str | None = Field(
        None, description="Regular expression on the file name without suffix, its group is what time_pattern reads."
    )

    start_time: str | None = Field(
        None,
        description="With frames cut from a video, or a video that carries no GPS time: the time of its first frame, "
        "ISO 8601 on the camera's clock. Frames are counted by the number that ends their name, from the lowest; "
        "further videos follow on the first without a gap.",
    )
    rate_hz: float | None = Field(
        None, gt=0, le=1000, validate_default=True, description="With start_time and cut frames: frames a second."
    )
    spacing_m: float = Field(
        3.0, ge=0.1, le=1000, description="Least metres between frames of a video, as the crow flies."
    )
    interval_s: float | None = Field(
        None, ge=0.001, le=3600, description="Least seconds between frames of a video, instead of spacing_m."
    )
    no_progress_s: float = Field(
        3600.0, ge=1, le=86400, description="Seconds without a frame read after which the run is ended."
    )

    @field_validator(*_KINDS_OF_FIELD)
    @classmethod
    def _of_this_kind(cls, value: object, info: ValidationInfo) -> object:
        kind, kinds = info.data.get("kind"), _KINDS_OF_FIELD[info.field_name or ""]
        default = cls.model_fields[info.field_name or ""].default
        if kind is not None and kind not in kinds and value != default:
            raise ValueError(f"not used with kind={kind}, only with {' or '.join(sorted(kinds))}; take it out")
        return value

    @field_validator("track")
    @classmethod
    def _needs_track(cls, value: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("kind") == "track" and not value:
            raise ValueError("required with kind=track: the log of GPS")
        return value

    @field_validator("clock_offset_s")
    @classmethod
    def _needs_clock(cls, value: float | None, info: ValidationInfo) -> float | None:
        if info.data.get("kind") == "track" and value is None:
            raise ValueError(_CLOCK_HELP)
        return value

    @field_validator("time_pattern")
    @classmethod
    def _needs_zone(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and "%z" not in value and info.data.get("utc_offset_h") is None:
            raise ValueError("has no %z, and utc_offset_h is not given; set utc_offset_h (Thailand is 7)")
        return value

    @field_validator("start_time")
    @classmethod
    def _is_a_time(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            parse_time(value, "iso", info.data.get("utc_offset_h"), "start_time")
            if info.data.get("time_pattern") is not None:
                raise ValueError("time_pattern is given too; give only one of the two")
        return value

    @field_validator("rate_hz")
    @classmethod
    def _needs_start(cls, value: float | None, info: ValidationInfo) -> float | None:
        cut = info.data.get("kind") != "video"  # a video says its own rate
        if cut and "start_time" in info.data and (value is None) != (info.data["start_time"] is None):
            raise ValueError("give both start_time and rate_hz, or neither")
        return value

    @field_validator("time_regex")
    @classmethod
    def _needs_pattern(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("time_pattern") is None:
            raise ValueError("does nothing without time_pattern; set both")
        return value

    @field_validator("camera_pattern", "time_regex")
    @classmethod
    def _has_group(cls, value: str | None) -> str | None:
        try:
            groups = re.compile(value).groups if value is not None else 1
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        if groups != 1:
            raise ValueError(f"expected one group (…), got {groups}; use (?:…) for groups that are not the answer")
        return value

    @field_validator("columns")
    @classmethod
    def _known_columns(cls, value: dict[str, str]) -> dict[str, str]:
        return check_renamed(value, COLUMNS, "columns of roadscan", "column")

    @field_validator("cameras_file")
    @classmethod
    def _one_rig(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("cameras"):
            raise ValueError("cameras is given too; give only one of the two")
        return value

    @property
    def week_s(self) -> float | None:
        """When the GPS week of `log_date` began, seconds since 1970."""
        return None if self.log_date is None else gps_week_s(self.log_date, gps=self.log_clock == "gps")

    def rig(self) -> tuple[CameraConfig, ...]:
        """The configured cameras, read from `cameras_file` where it is given; empty when none is configured.

        Raises:
            ConfigError: the file is not a list of cameras, or two cameras have one camera_id.
        """
        cameras = load_config(CamerasFile, self.cameras_file).cameras if self.cameras_file else self.cameras
        names = [camera.camera_id for camera in cameras]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"cameras: camera_id {twice} occurs more than once; give every camera its own")
        return cameras


def ingest_config(kind: str, source: str | Path, out: str | Path, overrides: Sequence[str] = ()) -> IngestConfig:
    """A config from the arguments of ``roadscan ingest KIND SOURCE --out DRIVE``.

    Args:
        kind: one of `Kind`.
        source: see `IngestConfig.source`.
        out: the drive's folder.
        overrides: further ``field=value`` strings, the value in YAML.

    Raises:
        ConfigError: as `load_config`.
    """
    # A JSON string is a YAML string, so a path such as "2024" or "a: b" stays text.
    given = {"kind": kind, "source": str(source), "out": str(out)}
    pairs = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in given.items()]
    return load_config(IngestConfig, None, [*pairs, *overrides])
