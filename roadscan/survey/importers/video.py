"""Videos, and where the vehicle was: each frame of the drive is a picture of a video, named by its time in it.

No frame is decoded but the first of each video, and none is written. ``GX010001.MP4#t=12.345678`` is the frame's key.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from roadscan.arrays import Floats
from roadscan.errors import ConfigError, Malformed, NotFound, SurveyError
from roadscan.filenames import is_hidden
from roadscan.progress import OnCount
from roadscan.storage import Store
from roadscan.survey.geodesy import LocalFrame
from roadscan.survey.importers.config import IngestConfig
from roadscan.survey.importers.fixes import Fix, form_of
from roadscan.survey.importers.frame import Frame, SourceFrames, frame_id_of
from roadscan.survey.importers.gpano import Panorama, panorama_of
from roadscan.survey.importers.gpslog import GpsLog, log_of, read_log
from roadscan.survey.importers.images import ImageFacts, ImageFolder
from roadscan.survey.importers.sources import is_video, split_uri
from roadscan.survey.importers.telemetry import read_telemetry
from roadscan.survey.importers.times import parse_time, time_from_name
from roadscan.survey.importers.track import locate, place
from roadscan.video.address import VIDEOS, address
from roadscan.video.fixes import MOST_DRIFT, Telemetry
from roadscan.video.index import Recording, look

READ = tuple(suffix for suffix in VIDEOS if suffix not in (".360", ".insv", ".lrv"))
NOT_READ = {".360": "a cubemap of all directions", ".insv": "two fisheye images"}
COPY = ".lrv"  # GoPro's copy of low resolution
LOGS = (".gpx", ".nmea", ".csv")
RESOLUTION_S = 1e-6  # of times since 1970 in floating point
UNPLACED_S = 1.0  # between frames where no position is known: they are told, and never scanned
OVERLAP = 0.5  # of a video that another of its camera covers: it is another camera's
AT_ONCE = 4  # videos looked at
#: GoPro's chapters: GX010123, GX020123, … are one recording, 0123; and before that GOPR0123, GP010123, ….
CHAPTER = re.compile(r"^(?:G[HXL](\d{2})|GOPR|GP(\d{2}))(\d{4})$", re.IGNORECASE)


@dataclass
class _Video:
    """A video while it is imported.

    Attributes:
        key: of the file.
        recording: what is known of it; None where it cannot be used.
        telemetry: the positions that it carries.
        log: of its own name, beside it.
        start_s: UTC of its start, seconds since 1970.
        reason: why no frame of it can be used.
        panorama: that its pictures are panoramas.
    """

    key: str
    recording: Recording | None = None
    telemetry: Telemetry | None = None
    log: GpsLog | None = None
    start_s: float | None = None
    reason: str | None = None
    panorama: Panorama | None = None

    @property
    def times_s(self) -> Floats:
        """UTC of its pictures, or their time in it where it has no start."""
        times: Floats = np.empty(0) if self.recording is None else self.recording.time_s
        return times + (self.start_s or 0.0)


def read_video(config: IngestConfig, folder: ImageFolder, on_frame: OnCount | None = None) -> SourceFrames:
    """Pictures of videos as frames: one each `spacing_m` or `interval_s` where the vehicle's position is known.

    Positions are those of `track`, or that a video carries, or of the log that lies beside it under its name, and lie
    on the log as in `read_track`. `captured_at` is GPS time: what the video carries says when it started, the median of
    its fixes; else the camera's clock does, less `clock_offset_s`: `start_time`, the time in the file's name
    (`time_pattern`), or the time in the file. Where no position is known, one picture a second is a frame that is
    rejected as ``no_gps``. A video that cannot be read is one frame, rejected.

    Raises:
        SurveyError: there is no video, or a log cannot be used.
        ConfigError: a log needs `clock_offset_s`.
        StorageError: the store did not answer.
    """
    keys, notes = _listing(config, folder.store)
    videos = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for video in pool.map(lambda key: _look(folder.store, key, config), keys):
            videos.append(video)
            if video.telemetry is not None:
                notes.update(video.telemetry.notes)
                notes[f"videos that carry positions as {video.telemetry.form}"] += 1
    frames: list[Frame] = []
    track = read_log(config.track, form_of(config)) if config.track is not None else None
    for own in _cameras(videos, config).values():
        _set_starts(own, config, chosen=track is not None)
        _part_cameras(own)
        log = track or _log(own, notes)
        frames += _frames(own, log, config)
        if on_frame:
            on_frame(len(frames), len(frames))
    _tell_sizes(videos, frames, folder)
    notes["pictures after the end of their file"] = sum(one.recording.lost for one in videos if one.recording)
    notes.update(track.notes if track else {})
    return SourceFrames(frames, {note: number for note, number in notes.items() if number})


def _listing(config: IngestConfig, store: Store) -> tuple[list[str], Counter[str]]:
    """Keys of the videos, in the order of recording, and what else lies there, counted."""
    if is_video(config):
        return [split_uri(config.source)[1]], Counter()
    keys = list(store.keys())
    shown = [key for key in keys if not is_hidden(key)]
    videos = [key for key in shown if key.lower().endswith((*READ, *NOT_READ))]
    copies = [key for key in shown if key.lower().endswith(COPY)]
    logs = [key for key in shown if key.lower().endswith(LOGS)]
    if not videos:
        raise SurveyError(
            f"source: {store.uri} holds no video ({len(keys)} other files); expected {', '.join(READ)} there or in "
            "folders below"
        )
    notes = {
        "hidden files, such as thumbnails": len(keys) - len(shown),
        "copies of low resolution (.lrv)": len(copies),
        "files that are no videos": len(shown) - len(videos) - len(copies) - len(logs),
    }
    return sorted(videos, key=_in_order), Counter(notes)


def _in_order(key: str) -> tuple[str, str, str]:
    """Folder, recording, chapter; of other cameras' files the name."""
    folder, name = posixpath.split(key)
    match = CHAPTER.match(posixpath.splitext(name)[0])
    return (folder, match[3], match[1] or match[2] or "") if match else (folder, name, "")


def _look(store: Store, key: str, config: IngestConfig) -> _Video:
    video = _Video(key)
    what = next((what for suffix, what in NOT_READ.items() if key.lower().endswith(suffix)), None)
    if what is not None:
        video.reason = f"unsupported: {what}, which is no view of a camera"
        return video
    try:
        with store.open(key) as file:
            video.recording = look(file)
            if video.recording.movie is not None:
                video.telemetry = read_telemetry(file, video.recording.movie)
        around = panorama_of(video.recording.sphere, video.recording.width_px, video.recording.height_px)
        if isinstance(around, str):
            video.reason = f"unsupported: {around}"
        else:
            video.panorama = around
    except NotFound:
        video.reason = "missing: no such object"
    except Malformed as error:
        video.recording, video.reason = None, f"corrupt: {error}"
    if video.telemetry is None and config.track is None and video.reason is None:
        video.log = _log_beside(store, key, config)
    return video


def _log_beside(store: Store, key: str, config: IngestConfig) -> GpsLog | None:
    """The log of a video's own name."""
    stem = posixpath.splitext(key)[0]
    for suffix in LOGS:
        for name in (stem + suffix, stem + suffix.upper()):
            if store.exists(name):
                return read_log(store.uri_of(name), form_of(config))
    return None


def _cameras(videos: Sequence[_Video], config: IngestConfig) -> dict[str, list[_Video]]:
    """The videos of each camera, as `camera_pattern` finds it in their keys."""
    pattern = re.compile(config.camera_pattern) if config.camera_pattern is not None else None
    cameras: dict[str, list[_Video]] = defaultdict(list)
    for video in videos:
        match = pattern.search(video.key) if pattern else None
        cameras[(match[1] or "") if match else ""].append(video)
    return cameras


def _set_starts(videos: Sequence[_Video], config: IngestConfig, *, chosen: bool) -> None:
    """Find when each video of a camera started, by GPS where that is known.

    Raises:
        ConfigError: a log was chosen for a video that carries no GPS time, and `clock_offset_s` is not given.
    """
    follows_s: float | None = None
    if config.start_time is not None:
        follows_s = parse_time(config.start_time, "iso", config.utc_offset_h, "start_time").timestamp()
    for video in videos:
        if video.recording is None:
            continue
        by_gps = video.telemetry.started_at_s() if video.telemetry else None
        if by_gps is not None and video.telemetry is not None:
            pace = video.telemetry.pace()
            if abs(pace - 1) > MOST_DRIFT:
                video.reason = f"unsupported: a time lapse, {pace:.3g} s by GPS a second of video"
            video.start_s = by_gps
            continue
        if chosen and config.clock_offset_s is None:
            raise ConfigError(
                f"clock_offset_s: required, as {video.key} carries no GPS time: the camera's clock minus that of the "
                "log, in seconds; 0 only if the camera's clock is set by GPS"
            )
        try:
            by_clock = follows_s if follows_s is not None else _clock(video, config)
        except ValueError as error:
            video.reason = f"no_time: {error}"
            continue
        video.start_s = by_clock - (config.clock_offset_s or 0.0)
        if follows_s is not None:
            follows_s += video.recording.duration_s


def _clock(video: _Video, config: IngestConfig) -> float:
    """When a video started by the camera's clock.

    Raises:
        ValueError: nothing says so.
    """
    if config.time_pattern is not None:
        stem = posixpath.splitext(posixpath.basename(video.key))[0]
        return time_from_name(stem, config.time_pattern, config.time_regex, config.utc_offset_h).timestamp()
    if video.recording is None or video.recording.made_at is None:
        raise ValueError("the video does not say when it was recorded; set start_time, or time_pattern for its name")
    return video.recording.made_at.timestamp()


def _part_cameras(videos: list[_Video]) -> None:
    """Put videos in order of their time, and reject those that were recorded while another one was."""
    videos.sort(key=lambda video: (video.start_s is None, video.start_s or 0.0))
    before: _Video | None = None
    for video in videos:
        times = video.times_s
        if video.start_s is None or video.reason is not None or not len(times):
            continue
        if before is not None and before.times_s[-1] - times[0] > OVERLAP * (times[-1] - times[0]):
            video.reason = (
                f"bad_camera: recorded while {before.key} was, so by another camera; set camera_pattern, and cameras "
                "with a camera_id and mount_yaw_deg for each"
            )
            continue
        before = video


def _log(videos: Sequence[_Video], notes: Counter[str]) -> GpsLog | None:
    """All positions of a camera's videos as one log, so that it goes on from chapter to chapter."""
    fixes: list[Fix] = []
    for video in videos:
        if video.reason is not None or video.start_s is None:
            continue
        if video.telemetry is not None:
            for fix in video.telemetry.fixes:
                at = datetime.fromtimestamp(video.start_s + fix.at_s, UTC)
                fixes.append(Fix(at, fix.lon, fix.lat, fix.hdop, fix.pos_sigma_m, fix.altitude_m))
        elif video.log is not None:
            fixes += video.log.fixes()
    log = log_of(fixes, f"{videos[0].key} and what follows it" if len(videos) > 1 else videos[0].key)
    notes.update(log.notes if log else {})
    return log


def _frames(videos: Sequence[_Video], log: GpsLog | None, config: IngestConfig) -> list[Frame]:
    """The frames of a camera's videos."""
    frames: list[Frame] = []
    sampler = _Sampler(log, config)
    for video in videos:
        if video.recording is None or video.reason is not None:
            frame = Frame(frame_id_of(video.key), video.key)
            frame.reject(video.reason or "corrupt")
            frames.append(frame)
            continue
        for at_s in sampler.choose(video):
            frame = Frame(f"{frame_id_of(video.key)}_{round(at_s * 1000):09d}", address(video.key, at_s))
            if video.start_s is not None:
                frame.take(datetime.fromtimestamp(video.start_s + at_s, UTC))
            frames.append(frame)
    if log is not None:
        place(frames, log, config.max_gap_s)
    for frame in frames:
        if frame.lon is None:
            frame.reject("no_gps: the video carries no positions, and no log of its name lies beside it; set track")
    return frames


class _Sampler:
    """Chooses pictures along the way of a camera, from video to video."""

    def __init__(self, log: GpsLog | None, config: IngestConfig) -> None:
        self._log, self._config = log, config
        self._plane = LocalFrame(float(log.lon[0]), float(log.lat[0])) if log is not None else None
        self._last_s = -math.inf
        self._xy = math.inf, math.inf

    def choose(self, video: _Video) -> list[float]:
        """The times of the pictures in a video that become frames; none of before the last that was chosen."""
        assert video.recording is not None
        at_s, times = video.recording.time_s, video.times_s
        x = y = np.full(len(times), np.nan)
        if video.start_s is not None:
            if self._log is not None and self._plane is not None:
                located = locate(self._log, times, self._config.max_gap_s)
                x, y = self._plane.to_xy(located.lon, located.lat)
        else:
            self._last_s = -math.inf  # its times are its own
        way = zip(at_s.tolist(), times.tolist(), x.tolist(), y.tolist(), strict=True)
        return [at for at, time_s, *xy in way if self._takes(time_s, xy[0], xy[1])]

    def _takes(self, time_s: float, x: float, y: float) -> bool:
        placed = not math.isnan(x)
        interval_s = self._config.interval_s or (0.0 if placed else UNPLACED_S)
        if time_s < self._last_s + interval_s - RESOLUTION_S or time_s <= self._last_s:
            return False
        if placed and not self._config.interval_s and math.dist((x, y), self._xy) < self._config.spacing_m:
            return False
        self._last_s = time_s
        self._xy = (x, y) if placed else self._xy
        return True


def _tell_sizes(videos: Sequence[_Video], frames: Sequence[Frame], folder: ImageFolder) -> None:
    """Say of each frame what its video says, so that nobody reads it as an image."""
    facts = {
        video.key: ImageFacts(None, video.recording.width_px, video.recording.height_px, panorama=video.panorama)
        if video.recording is not None
        else ImageFacts(video.reason)
        for video in videos
    }
    for frame in frames:
        folder.know(frame.image_uri, facts[frame.image_uri.rpartition("#t=")[0] or frame.image_uri])
