"""CAMM, the camera motion metadata of Street View's recorders: samples of a track ``camm`` -> positions.

Source: Google, Camera Motion Metadata Spec (developers.google.com/streetview/publish/camm-spec), types 5 and 6.
"""

from __future__ import annotations

import struct
from collections import Counter
from datetime import datetime

from roadscan.video.fixes import GPS_EPOCH_S, LEAP_SECONDS, Fix, on_earth

FORMAT = b"camm"
PLAIN, FULL = 5, 6
PLAIN_FORM = struct.Struct("<2xHddd")  # latitude, longitude, altitude
FULL_FORM = struct.Struct(
    "<2xHdiddfffffff"
)  # time, fix, latitude, longitude, altitude, accuracies, velocities, its own
LEAST_BYTES = PLAIN_FORM.size
NO_FIX = "CAMM positions without a fix"


def fix(sample: bytes, at_s: float, made_at: datetime | None, notes: Counter[str]) -> Fix | None:
    """A sample's position; None where it is of something else, or has no fix.

    A horizontal accuracy is taken as the standard error of the position. Times are GPS time, as the standard says;
    some recorders write seconds since 1970, which is seen by when the recording was made.

    Args:
        sample: the sample.
        at_s: when it is, in the video.
        made_at: when the recording was made, by the camera's clock.
        notes: counts what is left out.
    """
    kind = int.from_bytes(sample[2:4], "little")
    if kind == PLAIN and len(sample) >= PLAIN_FORM.size:
        _, lat, lon, altitude = PLAIN_FORM.unpack_from(sample)
        found = Fix(at_s, lon, lat, altitude_m=altitude)
        fixed = True
    elif kind == FULL and len(sample) >= FULL_FORM.size:
        _, time_s, state, lat, lon, altitude, accuracy, *_ = FULL_FORM.unpack_from(sample)
        fixed = state >= 2
        found = Fix(at_s, lon, lat, _utc(time_s, made_at), None, accuracy if accuracy > 0 else None, altitude)
    else:
        return None
    if not fixed or not on_earth(found.lon, found.lat):
        notes[NO_FIX] += 1
        return None
    return found


def _utc(time_s: float, made_at: datetime | None) -> float | None:
    if time_s <= 0:
        return None
    gps = time_s + GPS_EPOCH_S - LEAP_SECONDS
    if made_at is None:
        return gps
    return min(gps, time_s, key=lambda utc_s: abs(utc_s - made_at.timestamp()))
