"""A folder of images with GPS in their EXIF."""

from __future__ import annotations

from datetime import datetime

from roadscan.errors import SurveyError
from roadscan.progress import OnCount
from roadscan.survey.importers.config import IngestConfig
from roadscan.survey.importers.frame import Frame, SourceFrames, frame_id_of
from roadscan.survey.importers.images import ImageFolder
from roadscan.survey.importers.tags import Tags
from roadscan.survey.importers.times import in_zone


def read_exif(config: IngestConfig, folder: ImageFolder, on_frame: OnCount | None = None) -> SourceFrames:
    """Every image below the folder as a frame.

    The time is that of the GPS, else DateTimeOriginal in the zone that the image or `utc_offset_h` tells, else the
    frame is rejected as ``no_time``.

    Raises:
        SurveyError: there is no image.
    """
    keys, others = list_images(folder)
    frames = []
    magnetic = 0
    for key, facts in zip(keys, folder.look_all(keys, on_frame), strict=True):
        tags = facts.tags
        frame = Frame(frame_id_of(key), key, heading_deg=tags.heading_deg, speed_mps=tags.speed_mps, hdop=tags.hdop)
        if facts.reason:
            frame.reject(facts.reason)
        frame.place(tags.lon, tags.lat)
        try:
            frame.captured_at = _time(tags, config.utc_offset_h)
        except ValueError as error:
            frame.reject(f"no_time: {error}")
        magnetic += tags.magnetic
        frames.append(frame)
    notes = {"files that are no images": others, "headings from magnetic north, not used": magnetic}
    return SourceFrames(frames, {note: number for note, number in notes.items() if number})


def list_images(folder: ImageFolder) -> tuple[list[str], int]:
    """Keys of the images below a folder, at least one, and the number of other files.

    Raises:
        SurveyError: there is no image.
    """
    keys, others = folder.names()
    if not keys:
        raise SurveyError(
            f"source: {folder.store.uri} holds no image ({others} other files); expected .jpg, .jpeg, .png or .webp "
            "there or in folders below"
        )
    return keys, others


def _time(tags: Tags, utc_offset_h: float | None) -> datetime:
    if tags.gps_time is not None:
        return tags.gps_time
    if tags.camera_time is None:
        raise ValueError("the image has neither GPS time nor DateTimeOriginal")
    return in_zone(tags.camera_time, utc_offset_h)
