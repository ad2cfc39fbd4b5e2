"""Images with times, and a GPS log beside them: each frame is placed on the log at the time of its capture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import numpy as np

from roadscan.arrays import Floats
from roadscan.errors import SurveyError
from roadscan.progress import OnCount
from roadscan.survey.dates import why_apart
from roadscan.survey.geodesy import LocalFrame, wrap_deg
from roadscan.survey.importers.clocks import SPREAD, spread_seconds
from roadscan.survey.importers.config import IngestConfig
from roadscan.survey.importers.exif import list_images
from roadscan.survey.importers.fixes import TOLD, form_of
from roadscan.survey.importers.frame import Frame, SourceFrames, frame_id_of
from roadscan.survey.importers.gpslog import GpsLog, read_log
from roadscan.survey.importers.images import ImageFolder
from roadscan.survey.importers.motion import COURSE_MIN_MPS, parts
from roadscan.survey.importers.sources import is_folder_of_images
from roadscan.survey.importers.spline import way
from roadscan.survey.importers.table import read_times
from roadscan.survey.importers.times import in_zone, parse_time, time_from_name

DAY_S = 86_400.0
#: The fixes of each such time count as their mean for a heading, which their noise would turn; one a second is its own.
STEADY_S = 0.9
WORSE = ("hdop", "pos_sigma_m", "heading_sigma_deg")
TURNS = ("heading_deg", "roll_deg")


def read_track(config: IngestConfig, folder: ImageFolder, on_frame: OnCount | None = None) -> SourceFrames:
    """Every image as a frame, placed on the log.

    `captured_at` becomes GPS time: the camera's time, where frames share a second spread within it (`spread_seconds`),
    less `clock_offset_s`. Position, speed and heading are those of a curve through the fixes (`locate`); HDOP and
    `pos_sigma_m` are the worse of the two fixes about the frame. A frame outside the log, or in a gap longer than
    `max_gap_s`, is rejected as ``no_gps``.

    Raises:
        SurveyError: as `read_log` and the source of the times.
    """
    if config.track is None or config.clock_offset_s is None:
        raise SurveyError("track and clock_offset_s: both are required with kind=track")
    log = read_log(config.track, form_of(config))
    found = (_from_images if is_folder_of_images(config) else read_times)(config, folder, on_frame)
    spread = spread_seconds(found.frames)
    for frame in found.frames:
        if frame.captured_at is not None:
            frame.captured_at -= timedelta(seconds=config.clock_offset_s)
    place(found.frames, log, config.max_gap_s)
    notes = {SPREAD: spread} if spread else {}
    return SourceFrames(found.frames, found.notes | notes | log.notes)


def _from_images(config: IngestConfig, folder: ImageFolder, on_frame: OnCount | None) -> SourceFrames:
    listing = list_images(folder)
    keys = listing.images
    frames = []
    number_of = _numbers(keys)
    # Names need no reading: the images are opened only where the time stands in their EXIF.
    from_exif = config.time_pattern is None and config.start_time is None
    looked = folder.look_all(keys, on_frame) if from_exif else [None] * len(keys)
    for key, facts in zip(keys, looked, strict=True):
        frame = Frame(frame_id_of(key), key)
        if facts is not None and facts.reason:
            frame.reject(facts.reason)
        try:
            frame.take(_time(key, facts.tags.camera_time if facts else None, config, number_of.get(key)))
        except ValueError as error:
            frame.reject(f"no_time: {error}")
        frames.append(frame)
    return SourceFrames(frames, {note: number for note, number in listing.counts.items() if number})


def _numbers(keys: Sequence[str]) -> dict[str, int]:
    """By image, the number that ends its name, from 0 for the lowest; without those whose name has none."""
    found = {key: int(match[1]) for key in keys if (match := re.search(r"([0-9]+)$", PurePosixPath(key).stem))}
    lowest = min(found.values(), default=0)
    return {key: number - lowest for key, number in found.items()}


def _time(key: str, camera_time: datetime | None, config: IngestConfig, number: int | None) -> datetime:
    if config.start_time is not None and config.rate_hz is not None:
        if number is None:
            raise ValueError(f"file name {PurePosixPath(key).name!r} ends in no number, which start_time counts by")
        start = parse_time(config.start_time, "iso", config.utc_offset_h)
        return start + timedelta(seconds=number / config.rate_hz)
    if config.time_pattern is not None:
        return time_from_name(PurePosixPath(key).stem, config.time_pattern, config.time_regex, config.utc_offset_h)
    if camera_time is None:
        raise ValueError(
            "the image has no DateTimeOriginal; set start_time and rate_hz for frames of a video, or time_pattern"
        )
    return in_zone(camera_time, config.utc_offset_h)


def place(frames: Sequence[Frame], log: GpsLog, max_gap_s: float) -> None:
    """Give frames with a time what the log says of it, or reject them as ``no_gps``."""
    timed = [frame for frame in frames if frame.captured_at is not None]
    located = locate(log, np.array([frame.captured_at.timestamp() for frame in timed if frame.captured_at]), max_gap_s)
    for index, frame in enumerate(timed):
        if np.isnan(located.lon[index]):
            frame.reject(f"no_gps: {_why_not(log, frame, max_gap_s)}")
            continue
        frame.place(float(located.lon[index]), float(located.lat[index]))
        for name in ("speed_mps", *TOLD):
            setattr(frame, name, _or_none(getattr(located, name)[index]))


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _why_not(log: GpsLog, frame: Frame, max_gap_s: float) -> str:
    time_s = frame.captured_at.timestamp() if frame.captured_at else 0.0
    near = log.time_s[0] if time_s < log.time_s[0] else log.time_s[-1]
    if frame.captured_at and abs(time_s - near) > DAY_S:
        logged = datetime.fromtimestamp(near, UTC)
        why = why_apart(logged, frame.captured_at)
        return f"the log is of {logged:%Y-%m-%d}, the image of {frame.captured_at.astimezone(UTC):%Y-%m-%d}{why}"
    if time_s < log.time_s[0]:
        return f"{log.time_s[0] - time_s:.1f} s before the track; check clock_offset_s and utc_offset_h"
    if time_s > log.time_s[-1]:
        return f"{time_s - log.time_s[-1]:.1f} s after the track; check clock_offset_s and utc_offset_h"
    after = int(np.searchsorted(log.time_s, time_s))
    return f"in a gap of {log.time_s[after] - log.time_s[after - 1]:.1f} s of the track; max_gap_s is {max_gap_s:g}"


@dataclass(frozen=True)
class Located:
    """Where and how the vehicle was at some times, each (n,), NaN where unknown; units as in `Frame`."""

    lon: Floats
    lat: Floats
    speed_mps: Floats
    hdop: Floats
    pos_sigma_m: Floats
    altitude_m: Floats
    heading_deg: Floats
    heading_sigma_deg: Floats
    pitch_deg: Floats
    roll_deg: Floats


def locate(log: GpsLog, time_s: Floats, max_gap_s: float) -> Located:
    """The vehicle at given times, on a curve through the fixes about each.

    Args:
        log: the fixes.
        time_s: seconds since 1970 on the GPS clock, (n,).
        max_gap_s: no position between two fixes further apart than this; at a fix itself there is one.

    Source: `spline.way` in local metres. Speed and heading are those of its derivative, through the means of the fixes
    in each `STEADY_S`; no heading at `COURSE_MIN_MPS` and below. Where the log tells headings, theirs are taken. These,
    pitch, roll and altitude are linear between two fixes; HDOP and standard errors are the worse of them.
    """
    frame = LocalFrame(float(log.lon[0]), float(log.lat[0]))
    xy = np.stack(frame.to_xy(log.lon, log.lat), axis=1)
    place, velocity = np.full((2, len(time_s), 2), np.nan)
    told = {name: np.full(len(time_s), np.nan) for name in TOLD}
    for part in parts(log.time_s, max_gap_s):
        fixed = log.time_s[part]
        here = np.flatnonzero((time_s >= fixed[0]) & (time_s <= fixed[-1]))
        if len(part) == 1:
            place[here] = xy[part]
        elif len(here):
            # Floating point holds seconds since the first fix finer than those since 1970.
            since, at = fixed - fixed[0], time_s[here] - fixed[0]
            place[here] = way(since, xy[part])(at)
            steady_s, steady = _means(since, xy[part])
            velocity[here] = way(steady_s, steady)(np.clip(at, steady_s[0], steady_s[-1]), 1)
        after = part[np.searchsorted(fixed, time_s[here])]
        before = part[np.searchsorted(fixed, time_s[here], side="right") - 1]
        for name in TOLD:
            values = getattr(log, name)
            if name in WORSE:
                told[name][here] = np.fmax(values[before], values[after])
            else:
                # A turn over north, or of a roll over 180 degrees, is the short one; an altitude is no angle.
                step = wrap_deg(values[after] - values[before]) if name in TURNS else values[after] - values[before]
                span = np.maximum(log.time_s[after] - log.time_s[before], 1e-9)
                told[name][here] = values[before] + step * (time_s[here] - log.time_s[before]) / span
    lon, lat = frame.to_lonlat(*place.T)
    speed = np.hypot(*velocity.T)
    course = (np.degrees(np.arctan2(*velocity.T)) + frame.convergence_deg(lon, lat)) % 360.0
    course[~(speed > COURSE_MIN_MPS)] = np.nan
    heading = told.pop("heading_deg") % 360.0
    return Located(lon, lat, speed, heading_deg=np.where(np.isnan(heading), course, heading), **told)


def _means(time_s: Floats, xy: Floats) -> tuple[Floats, Floats]:
    """Means of the times and positions in each `STEADY_S`, in at least two times; seconds are from 0."""
    _, spell = np.unique(time_s // min(STEADY_S, time_s[-1]), return_inverse=True)
    count = np.bincount(spell)
    mean_s, x, y = (np.bincount(spell, weights=values) / count for values in (time_s, *xy.T))
    return mean_s, np.stack([x, y], axis=1)
