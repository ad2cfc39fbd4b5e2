"""Which of an image's two times is that of its exposure, judged over the whole drive: GPS time, or the camera's clock.

GPS time is right where the receiver has a fix, but many cameras write it in whole seconds, go on writing the last one
when the fix is lost, or write the year of a receiver that lost count of its weeks. The camera's clock has fractions of
a second and never stops, but somebody set it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from statistics import median

from roadscan.survey.dates import ROLL_OVER, is_plausible, why_implausible
from roadscan.survey.importers.frame import Frame
from roadscan.survey.importers.tags import Tags
from roadscan.survey.importers.times import in_zone

#: The note of an import where `spread_seconds` did something.
SPREAD = "images that shared a second, spread within it in the order of their names"
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
AGREED = 0.9  # of the images that have both times
STUCK = 3  # images with one GPS time, while the camera's clock goes on by more than a second, are a lost fix
MOST_A_SECOND = 60  # images; more with one time are no burst


def capture_times(shots: Sequence[Tags], utc_offset_h: float | None) -> tuple[list[datetime | str], Counter[str]]:
    """The tags of a drive's images, in order -> the time of each, or why it has none; and what was mended, counted.

    GPS time, unless it cannot be: outside 1990 to 2100, stuck, or in whole seconds while the camera's clock, with its
    zone and fractions, is within those seconds over the whole drive. Then the camera's. GPS time that is a roll-over of
    the week before the camera's day is advanced by it.
    """
    notes: Counter[str] = Counter()
    camera = [_camera_time(tags, utc_offset_h) for tags in shots]
    gps = [_rolled(tags, notes) for tags in shots]
    stuck, agreed = _stuck(gps, camera), _agree(gps, camera)
    times: list[datetime | str] = []
    for index, (by_gps, by_camera) in enumerate(zip(gps, camera, strict=True)):
        usable = isinstance(by_camera, datetime) and is_plausible(by_camera)
        if by_gps is None or (usable and (index in stuck or not is_plausible(by_gps))):
            times.append(by_camera)
            if by_gps is not None:
                what = "stuck" if index in stuck else "outside 1990 to 2100"
                notes[f"GPS times {what}, the camera's taken"] += 1
        elif agreed and isinstance(by_camera, datetime) and abs(by_camera - by_gps) < 2 * SECOND:
            times.append(by_camera)
        else:
            times.append(by_gps)
            if isinstance(by_camera, datetime) and abs(by_camera - by_gps) > DAY and is_plausible(by_gps):
                notes["GPS and camera times more than a day apart, GPS time taken"] += 1
    return [(why_implausible(time) or time) if isinstance(time, datetime) else time for time in times], notes


def _camera_time(tags: Tags, utc_offset_h: float | None) -> datetime | str:
    if tags.camera_time is None and tags.camera_clock:
        return f"DateTimeOriginal is {tags.camera_clock!r}; expected YYYY:MM:DD HH:MM:SS"
    if tags.camera_time is None:
        return "the image has neither GPS time nor DateTimeOriginal"
    try:
        return in_zone(tags.camera_time, utc_offset_h)
    except ValueError as error:
        return str(error)


def _rolled(tags: Tags, notes: Counter[str]) -> datetime | None:
    """GPS time, advanced by a roll-over of the week where the camera's day says so."""
    if tags.gps_time is None or tags.camera_time is None:
        return tags.gps_time
    by_camera = tags.camera_time if tags.camera_time.tzinfo else tags.camera_time.replace(tzinfo=UTC)
    for behind in (ROLL_OVER, 2 * ROLL_OVER):
        if abs(by_camera - tags.gps_time - behind) <= DAY:
            notes[f"GPS times advanced by a week roll-over, {behind.days} days, as the camera's day says"] += 1
            return tags.gps_time + behind
    return tags.gps_time


def _stuck(gps: Sequence[datetime | None], camera: Sequence[datetime | str]) -> set[int]:
    """Which images have a GPS time that stood still while the camera's clock went on."""
    stuck: set[int] = set()
    for time, run in groupby(range(len(gps)), key=gps.__getitem__):
        images = list(run)
        clock = [at for at in (camera[index] for index in images) if isinstance(at, datetime)]
        if time is not None and len(clock) >= STUCK and max(clock) - min(clock) > SECOND:
            stuck.update(images)
    return stuck


def _agree(gps: Sequence[datetime | None], camera: Sequence[datetime | str]) -> bool:
    """Whether GPS times are whole seconds, and the camera's clock is nearly always within them.

    Of the drive, not of each image: a clock that is half a second off is within the second of half of them.
    """
    pairs = [(by_gps, at) for by_gps, at in zip(gps, camera, strict=True) if by_gps and isinstance(at, datetime)]
    within = sum(by_gps <= at < by_gps + SECOND for by_gps, at in pairs)
    return within >= AGREED * max(len(pairs), 1) and not any(by_gps.microsecond for by_gps, _ in pairs)


def spread_seconds(frames: Sequence[Frame]) -> int:
    """Give frames that share a whole second of one camera times within it, in the order of their names.

    Only where all times of the camera are whole seconds, and a second's frames are no more than twice as many as its
    seconds usually have: more is a clock that stood still. The first and the last second of a drive may be cut: with
    fewer frames than usual the first keeps its end, the last its beginning.

    Returns:
        How many frames got another time.
    """
    cameras: dict[str, dict[datetime, list[Frame]]] = defaultdict(lambda: defaultdict(list))
    for frame in frames:
        if frame.captured_at is not None:
            cameras[frame.camera_id][frame.captured_at].append(frame)
    return sum(_spread(seconds) for seconds in cameras.values())


def _spread(seconds: dict[datetime, list[Frame]]) -> int:
    if len(seconds) < 2 or any(time.microsecond for time in seconds):
        return 0
    first, last, moved = min(seconds), max(seconds), 0
    whole = [len(frames) for time, frames in seconds.items() if first < time < last]
    usual = round(median(whole or [len(frames) for frames in seconds.values()]))
    for time, frames in seconds.items():
        count = len(frames)
        if count > min(2 * usual, MOST_A_SECOND):
            continue
        cut = count < usual and time in (first, last)
        slots = usual if cut else count
        skip = slots - count if time == first else 0
        for place, frame in enumerate(sorted(frames, key=_by_name), skip):
            frame.captured_at = time + SECOND * place / slots
            moved += bool(place)
    return moved


def _by_name(frame: Frame) -> list[tuple[int, str]]:
    """The order in which cameras count: img9 before img10."""
    return [(len(part.lstrip("0")) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", frame.image_uri)]


def at_two_places(frames: Sequence[Frame]) -> int:
    """How many usable frames were taken at the time of another frame of their camera, which was elsewhere."""
    places: dict[tuple[str, datetime], Counter[tuple[float | None, float | None]]] = defaultdict(Counter)
    for frame in frames:
        if frame.captured_at is not None and frame.reason is None:
            places[frame.camera_id, frame.captured_at][frame.lon, frame.lat] += 1
    return sum(at.total() for at in places.values() if len(at) > 1)
