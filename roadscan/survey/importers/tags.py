"""EXIF tags as numbers with units. A tag that is missing or makes no sense is None, never an exception.

Source: CIPA DC-008 (Exif 2.32), sections 4.6.5 (Exif IFD) and 4.6.6 (GPS IFD).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # FocalPlaneResolutionUnit; the last two are of TIFF/EP
#: GPSSpeedRef: km/h, miles/h, knots, to m/s. The standard's default is K.
SPEED_UNIT_MPS = {"K": 1000 / 3600, "M": 1609.344 / 3600, "N": 1852 / 3600}


NO_POSITION = "the image has no GPS position"


@dataclass(frozen=True, slots=True)
class Tags:
    """What the EXIF of one image tells.

    Attributes:
        lon, lat: WGS 84 degrees, as written; not checked for range.
        no_position: why they are None.
        heading_deg: GPSImgDirection, of the camera's axis from true north, [0, 360).
        magnetic: it was given from magnetic north, so `heading_deg` is None: off by the declination, which can be more
            than ten degrees.
        speed_mps: GPSSpeed.
        hdop: GPSDOP.
        pos_sigma_m: GPSHPositioningError, metres.
        altitude_m: GPSAltitude with its reference, metres.
        focal_35mm_mm: FocalLengthIn35mmFilm, millimetres.
        focal_longer: FocalLength over the length of the image's longer side on the sensor, by FocalPlaneXResolution.
        gps_time: GPSDateStamp and GPSTimeStamp, UTC.
        camera_time: DateTimeOriginal; with a zone only where the image tells it.
        camera_clock: DateTimeOriginal as it is written.
    """

    lon: float | None = None
    lat: float | None = None
    no_position: str = NO_POSITION
    heading_deg: float | None = None
    magnetic: bool = False
    speed_mps: float | None = None
    hdop: float | None = None
    pos_sigma_m: float | None = None
    altitude_m: float | None = None
    focal_35mm_mm: float | None = None
    focal_longer: float | None = None
    gps_time: datetime | None = None
    camera_time: datetime | None = None
    camera_clock: str = ""


NO_TAGS = Tags()


def read_tags(exif: Image.Exif) -> Tags:
    """The tags of an image; all None where its EXIF is broken."""
    try:
        gps, shot = exif.get_ifd(IFD.GPSInfo), exif.get_ifd(IFD.Exif)
    except Exception:  # noqa: BLE001 - EXIF whose offsets, types or counts lie: Pillow raises anything
        return NO_TAGS
    heading, speed, hdop, error = (
        _number(gps.get(tag)) for tag in (GPS.GPSImgDirection, GPS.GPSSpeed, GPS.GPSDOP, GPS.GPSHPositioningError)
    )
    magnetic = heading is not None and _text(gps.get(GPS.GPSImgDirectionRef)).upper() == "M"
    unit = SPEED_UNIT_MPS.get(_text(gps.get(GPS.GPSSpeedRef)).upper() or "K")
    focal = _number(shot.get(Base.FocalLengthIn35mmFilm))
    lon, lat, no_position = _position(gps)
    return Tags(
        lon=lon,
        lat=lat,
        no_position=no_position,
        heading_deg=heading % 360 if heading is not None and 0 <= heading <= 360 and not magnetic else None,
        magnetic=magnetic,
        speed_mps=speed * unit if speed is not None and unit is not None and speed >= 0 else None,
        hdop=hdop if hdop is not None and hdop > 0 else None,
        pos_sigma_m=error if error is not None and error > 0 else None,  # 0 means unknown
        altitude_m=_altitude(gps),
        focal_35mm_mm=focal if focal is not None and focal > 0 else None,  # 0 means unknown
        focal_longer=_focal_longer(shot),
        gps_time=_gps_time(gps.get(GPS.GPSDateStamp), gps.get(GPS.GPSTimeStamp)),
        camera_time=_camera_time(shot),
        camera_clock=_text(shot.get(Base.DateTimeOriginal)),
    )


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value.strip("\0 ") if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None  # 0/0 is how EXIF writes "unknown"


def _focal_longer(shot: dict[int, Any]) -> float | None:
    """Where it makes a field of view of 5 to 150 degrees: some cameras write the resolution of another image."""
    focal_mm, across = _number(shot.get(Base.FocalLength)), _number(shot.get(Base.FocalPlaneXResolution))
    unit_mm = UNIT_MM.get(shot.get(Base.FocalPlaneResolutionUnit, 2))
    sides = [_number(shot.get(tag)) for tag in (Base.ExifImageWidth, Base.ExifImageHeight)]
    longer = max((side for side in sides if side), default=0.0)
    if not focal_mm or not across or not unit_mm or longer <= 0:
        return None
    share = focal_mm * across / unit_mm / longer
    return round(share, 6) if 5 < math.degrees(2 * math.atan2(0.5, share)) < 150 else None


def _altitude(gps: dict[int, Any]) -> float | None:
    """Metres; below the sea where the reference is 1, or 3 of the ellipsoid (Exif 3.0)."""
    height, ref = _number(gps.get(GPS.GPSAltitude)), gps.get(GPS.GPSAltitudeRef)
    below = (ref[0] if isinstance(ref, bytes) and ref else ref) in (1, 3)
    return -height if height is not None and below else height


def _position(gps: dict[int, Any]) -> tuple[float | None, float | None, str]:
    """Longitude, latitude, and why there are none."""
    if GPS.GPSLatitude not in gps and GPS.GPSLongitude not in gps:
        return None, None, NO_POSITION
    if _text(gps.get(GPS.GPSStatus)).upper() == "V":
        return None, None, "GPSStatus is V: the fix was lost, and the position is an old one"
    try:
        return _degrees(gps, GPS.GPSLongitude, "EW"), _degrees(gps, GPS.GPSLatitude, "NS"), ""
    except ValueError as error:
        return None, None, str(error)


def _degrees(gps: dict[int, Any], tag: GPS, marks: str) -> float:
    """Degrees from (degrees, minutes, seconds) and the hemisphere, without which a position is unknown.

    A sign is no part of the standard; programs that write one mean south or west, whether or not the letter says so
    once more.

    Raises:
        ValueError: it cannot be told.
    """
    value, letter = gps.get(tag), GPS[f"{tag.name}Ref"]
    if not isinstance(value, tuple) or not 1 <= len(value) <= 3:
        raise ValueError(f"{tag.name} is {value!r}; expected degrees, minutes and seconds")
    ref = _text(gps.get(letter)).upper()
    if letter not in gps or not ref:
        raise ValueError(f"{letter.name} is missing; expected {marks[0]} or {marks[1]}")
    if ref not in tuple(marks):
        raise ValueError(f"{letter.name} is {_text(gps[letter])!r}; expected {marks[0]} or {marks[1]}")
    parts = [_number(part) for part in value]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        raise ValueError(f"{tag.name} has 0/0 among its degrees, minutes and seconds, which means unknown")
    if any(abs(part) > 60 for part in known[1:]):  # 60 itself is what rounding makes of 59.9999
        raise ValueError(f"{tag.name} is {known}; expected minutes and seconds below 60")
    degrees = sum(abs(part) / unit for part, unit in zip(known, (1, 60, 3600), strict=False))
    return -degrees if ref == marks[1] or any(part < 0 for part in known) else degrees


def _gps_time(date: Any, clock: Any) -> datetime | None:
    if not isinstance(clock, tuple) or len(clock) != 3:
        return None
    hours, minutes, seconds = (_number(part) for part in clock)
    if hours is None or minutes is None or seconds is None:
        return None
    try:
        day = datetime.strptime(_text(date).replace("-", ":"), "%Y:%m:%d").replace(tzinfo=UTC)
        return day + timedelta(hours=hours, minutes=minutes, seconds=seconds)
    except (ValueError, OverflowError):
        return None


def _camera_time(shot: dict[int, Any]) -> datetime | None:
    for time, subsec, offset in (
        (Base.DateTimeOriginal, Base.SubsecTimeOriginal, Base.OffsetTimeOriginal),
        (Base.DateTimeDigitized, Base.SubsecTimeDigitized, Base.OffsetTimeDigitized),
    ):
        digits, zone = _text(shot.get(subsec)), _text(shot.get(offset))
        text = _text(shot.get(time)) + "." + (digits[:6] if digits.isdigit() else "0")
        for pattern, suffix in (("%Y:%m:%d %H:%M:%S.%f%z", zone), ("%Y:%m:%d %H:%M:%S.%f", "")):
            try:
                return datetime.strptime(text + suffix, pattern)
            except ValueError:
                continue
    return None
