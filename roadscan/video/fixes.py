"""Positions that a recording carries with it, each at its time in the video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

GPS_EPOCH_S = 315_964_800  # 1980-01-06, in seconds since 1970
LEAP_SECONDS = 18  # by which GPS time is ahead of UTC, since 2017
MOST_DRIFT = 0.05  # of GPS time against the video's: no camera's clock is so bad, and a time lapse is worse
SURE_S = 20.0  # that fixes must span to tell so, as their times may be off by half a second


@dataclass(frozen=True, slots=True)
class Fix:
    """A position.

    Attributes:
        at_s: in the video, seconds.
        lon, lat: WGS 84 degrees.
        utc_s: when by the receiver, seconds since 1970; None where it does not say.
        hdop: dilution of precision.
        pos_sigma_m: standard error of the position.
        altitude_m: above the sea or the ellipsoid, as the camera says.
    """

    at_s: float
    lon: float
    lat: float
    utc_s: float | None = None
    hdop: float | None = None
    pos_sigma_m: float | None = None
    altitude_m: float | None = None


@dataclass(frozen=True)
class Telemetry:
    """The positions of a recording.

    Attributes:
        form: how they are written, such as GPMF.
        fixes: by time.
        notes: what was skipped, by kind and count.
    """

    form: str
    fixes: Sequence[Fix]
    notes: Counter[str] = field(default_factory=Counter)

    def started_at_s(self) -> float | None:
        """UTC at the start of the video, seconds since 1970: the median of what its fixes say; None where none does.

        Cameras write positions some tenths of a second late, and one more late than another.
        """
        starts = [fix.utc_s - fix.at_s for fix in self.fixes if fix.utc_s is not None]
        return float(np.median(starts)) if starts else None

    def pace(self) -> float:
        """Seconds by the receiver a second of video; 1 where that cannot be told.

        The median over pairs of fixes that are half the video apart: the first times of a receiver are often off.
        """
        timed = [(fix.at_s, fix.utc_s) for fix in self.fixes if fix.utc_s is not None]
        if len(timed) < 2 or timed[-1][0] - timed[0][0] < SURE_S:
            return 1.0
        half = len(timed) // 2
        at, utc = (values[half:] - values[:-half] for values in np.array(timed).T)
        return float(np.median(utc[at > 0] / at[at > 0]))


def on_earth(lon: float, lat: float) -> bool:
    """Whether a position is one, and not what a receiver writes that has none."""
    return -180 <= lon <= 180 and -90 <= lat <= 90 and not (lon == 0 and lat == 0)
