"""What one line of a log says, and how logs are written that do not say it themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from roadscan.survey.importers.config import IngestConfig

PLACED = ("captured_at", "lon", "lat")
#: Of a fix, where the log tells it; a post-processed trajectory tells all but the HDOP.
TOLD = (
    "hdop",
    "pos_sigma_m",
    "altitude_m",
    "heading_deg",
    "heading_sigma_deg",
    "pitch_deg",
    "roll_deg",
)
ANGLES = ("heading_deg", "heading_sigma_deg", "pitch_deg", "roll_deg")


@dataclass(frozen=True)
class Fix:
    """One position of a log: UTC time, WGS 84 degrees, and of `TOLD` what the log has, as in `Frame`."""

    at: datetime
    lon: float
    lat: float
    hdop: float | None = None
    pos_sigma_m: float | None = None
    altitude_m: float | None = None
    heading_deg: float | None = None
    heading_sigma_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None


@dataclass(frozen=True)
class LogForm:
    """How a log is written that does not say it itself: `columns` to `radians` are of a CSV.

    Attributes:
        columns, time_format, utc_offset_h: as in `IngestConfig`.
        radians: what angles are in, those of `lon` and `lat`, too.
        from_east: headings count from east, counterclockwise.
        week_s: when the GPS week of an SBET began, seconds since 1970.
        sigmas: the SMRMSG file of an SBET; None for the one of its name beside it, if there is one.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    time_format: str = "iso"
    utc_offset_h: float | None = None
    radians: bool = False
    from_east: bool = False
    week_s: float | None = None
    sigmas: str | None = None


def form_of(config: IngestConfig) -> LogForm:
    """How the logs of a drive are written."""
    return LogForm(
        columns=config.columns,
        time_format=config.time_format,
        utc_offset_h=config.utc_offset_h,
        radians=config.log_angles == "radians",
        from_east=config.log_heading == "east",
        week_s=config.week_s,
        sigmas=config.log_sigmas,
    )
