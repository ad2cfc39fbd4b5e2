"""Course and speed of a vehicle from timed positions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from roadscan.arrays import Floats, Ints
from roadscan.survey.geodesy import LocalFrame, course_deg, wrap_deg
from roadscan.survey.importers.frame import Frame

#: Below this a receiver's noise turns the course about: 1 m of noise over the 6 m of two seconds is 10 degrees.
COURSE_MIN_MPS = 3.0
CONTRADICTION_DEG = 30.0  # no vehicle drifts so, and a compass that does misleads every bearing
SMOOTH_S = 1.0  # positions are averaged over ± this time


def motion(time_s: Floats, lon: Floats, lat: Floats, max_gap_s: float) -> tuple[Floats, Floats]:
    """Course and speed at each position of a track.

    Args:
        time_s: strictly increasing, (n,).
        lon: degrees, (n,).
        lat: degrees, (n,).
        max_gap_s: a longer time between two positions parts the track.

    Returns:
        (course in degrees clockwise from true north, speed in m/s), each (n,). The speed is NaN for a position that
        stands alone; the course also where the speed is at most `COURSE_MIN_MPS`.
    """
    course, speed = np.full(len(time_s), np.nan), np.full(len(time_s), np.nan)
    if len(time_s) == 0:
        return course, speed
    frame = LocalFrame(float(lon[0]), float(lat[0]))
    x, y = frame.to_xy(lon, lat)
    convergence = frame.convergence_deg(lon, lat)
    for part in parts(time_s, max_gap_s):
        if len(part) < 2:
            continue
        # The times are averaged as the positions are: beside a lost fix both means lie off the middle.
        px, py, pt = (_smooth(time_s[part], values[part]) for values in (x, y, time_s - time_s[0]))
        speed[part] = np.hypot(np.gradient(px, pt), np.gradient(py, pt))
        course[part] = (course_deg(px, py) + convergence[part]) % 360.0
    course[~(speed > COURSE_MIN_MPS)] = np.nan
    return course, speed


def parts(time_s: Floats, max_gap_s: float) -> list[Ints]:
    """Indices of the positions of a track, parted where the time between two is longer."""
    return np.split(np.arange(len(time_s)), np.flatnonzero(np.diff(time_s) > max_gap_s) + 1)


def _smooth(time_s: Floats, values: Floats) -> Floats:
    """Running mean over ± `SMOOTH_S`, at least the two neighbours, with as many samples before as after.

    Equal sides keep a straight track straight: towards the ends the window shrinks to the sample itself.
    """
    index = np.arange(len(values))
    before = index - np.searchsorted(time_s, time_s - SMOOTH_S)
    after = np.searchsorted(time_s, time_s + SMOOTH_S, side="right") - 1 - index
    half = np.minimum.reduce([np.maximum(np.minimum(before, after), 1), index, index[::-1]])
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray((sums[index + half + 1] - sums[index - half]) / (2 * half + 1))


def fill_motion(frames: Sequence[Frame], max_gap_s: float) -> Floats:
    """Give frames that have none a speed, and then a heading, from the positions of their own camera's frames.

    A frame that stands or creeps (at most `COURSE_MIN_MPS`) keeps its heading null.

    Returns:
        Recorded headings less the course, degrees in [-180, 180), of the frames that have both.
    """
    tracks: dict[str, list[tuple[float, Frame]]] = defaultdict(list)
    for frame in frames:
        if frame.captured_at is not None and frame.lon is not None and frame.lat is not None:
            tracks[frame.camera_id].append((frame.captured_at.timestamp(), frame))
    return wrap_deg([off for track in tracks.values() for off in _fill_track(track, max_gap_s)])


def off_course(off_deg: Floats) -> dict[str, int]:
    """What `fill_motion` returns -> a note with a count where most headings contradict the course, else nothing."""
    wrong = np.abs(off_deg) > CONTRADICTION_DEG
    if wrong.sum() * 2 <= len(off_deg):
        return {}
    # As a direction: the mean of 179 and -179 degrees is 180.
    turned = np.degrees(np.angle(np.exp(1j * np.radians(off_deg[wrong])).sum()))
    side = "right" if turned > 0 else "left"
    what = (
        f"headings more than {CONTRADICTION_DEG:g} degrees off the course, on average {abs(turned):.0f} to the {side}; "
        "set mount_yaw_deg, or heading=course"
    )
    return {what: int(wrong.sum())}


def _fill_track(track: Sequence[tuple[float, Frame]], max_gap_s: float) -> list[float]:
    times, place = np.unique([time for time, _ in track], return_inverse=True)
    # Frames of one instant, as cameras write that know only whole seconds, count as one position, their mean.
    count = np.bincount(place)
    lon = np.bincount(place, weights=[frame.lon or 0.0 for _, frame in track]) / count
    lat = np.bincount(place, weights=[frame.lat or 0.0 for _, frame in track]) / count
    course, speed = motion(times, lon, lat, max_gap_s)
    off_deg = []
    for (_, frame), index in zip(track, place, strict=True):
        if frame.heading_deg is not None and np.isfinite(course[index]):
            off_deg.append(frame.heading_deg - float(course[index]))
        if frame.speed_mps is None and np.isfinite(speed[index]):
            frame.speed_mps = float(speed[index])
        fast = frame.speed_mps is not None and frame.speed_mps > COURSE_MIN_MPS
        if frame.heading_deg is None and fast and np.isfinite(course[index]):
            frame.heading_deg = float(course[index])
    return off_deg
