"""The image descriptions that ``mapillary_tools process`` writes.

Source: mapillary_tools, schema/image_description_schema.json. Entries that it could not geotag carry ``error`` with
``type`` and ``message``; they become frames with that as their reason.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from roadscan.errors import Malformed, NotFound, SurveyError
from roadscan.filenames import to_key
from roadscan.parsing import read_json
from roadscan.progress import OnCount
from roadscan.storage import open_store
from roadscan.survey.importers.config import IngestConfig
from roadscan.survey.importers.frame import Frame, SourceFrames, frame_id_of
from roadscan.survey.importers.images import ImageFolder
from roadscan.survey.importers.sources import split_uri

DESCRIPTION = "mapillary_image_description.json"
POSITION = ("MAPLongitude", "MAPLatitude")


def read_mapillary(config: IngestConfig, folder: ImageFolder, on_frame: OnCount | None = None) -> SourceFrames:
    """Every entry of the description as a frame, with TrueHeading as the camera's heading.

    MAPCameraUUID names the camera where it is the camera_id of a configured one. `pos_sigma_m` is
    MAPGPSAccuracyMeters, `altitude_m` MAPAltitude.

    Raises:
        SurveyError: the file is missing, or is not a list of entries.
    """
    entries = _entries(config.source)
    cameras = {camera.camera_id for camera in config.rig()}
    frames = []
    for number, entry in enumerate(entries):
        frame = _frame(entry, number, folder.store.uri, config.path_prefix)
        if isinstance(entry, dict) and entry.get("MAPCameraUUID") in cameras:
            frame.camera_id = str(entry["MAPCameraUUID"])
        frames.append(frame)
        if on_frame:
            on_frame(number + 1, len(entries))
    return SourceFrames(frames)


def _entries(source: str) -> list[Any]:
    root, name = split_uri(source) if source.lower().endswith(".json") else (source, DESCRIPTION)
    try:
        entries = read_json(open_store(root).read(name), list[Any])
    except NotFound:
        raise SurveyError(
            f"source: {source} has no {name}; expected the file that 'mapillary_tools process' writes, or its folder"
        ) from None
    except Malformed as error:
        raise SurveyError(f"source: {source}: {error}; expected {DESCRIPTION}, a list of image descriptions") from None
    if not entries:
        raise SurveyError(f"source: {source}: got no entries; expected a list of image descriptions")
    return entries


def _frame(entry: Any, number: int, root: str, prefix: str | None) -> Frame:
    if not isinstance(entry, dict) or not isinstance(entry.get("filename"), str) or not entry["filename"]:
        frame = Frame(f"entry_{number:06d}", "")
        frame.reject(f"bad_entry: entry {number} has no filename")
        return frame
    key = to_key(entry["filename"], root, prefix)
    frame = Frame(frame_id_of(key.lstrip("/")), key)
    if error := entry.get("error"):
        told = error if isinstance(error, dict) else {"message": error}
        frame.reject(f"mapillary: {told.get('type', 'error')}: {told.get('message', '')}")
        return frame
    if entry.get("filetype", "image") != "image":
        frame.reject(f"unsupported: filetype {entry['filetype']!r}; see roadscan ingest video")
        return frame
    lon, lat = (_number(entry.get(name)) for name in POSITION)
    wrong = next((name for name, value in zip(POSITION, (lon, lat), strict=True) if value is None), "")
    frame.place(lon, lat, f"{wrong} is {entry.get(wrong)!r}; expected a number")
    heading = entry.get("MAPCompassHeading")
    true_heading = _number(heading.get("TrueHeading")) if isinstance(heading, dict) else None
    frame.heading_deg = true_heading % 360 if true_heading is not None else None
    accuracy_m, frame.altitude_m = (_number(entry.get(name)) for name in ("MAPGPSAccuracyMeters", "MAPAltitude"))
    frame.pos_sigma_m = accuracy_m if accuracy_m is not None and accuracy_m > 0 else None
    try:
        # The last part is milliseconds in three digits, which %f reads as a fraction.
        time = datetime.strptime(entry["MAPCaptureTime"], "%Y_%m_%d_%H_%M_%S_%f")
        frame.take(time.replace(tzinfo=UTC))
    except (KeyError, TypeError, ValueError):
        got = entry.get("MAPCaptureTime")
        frame.reject(f"no_time: MAPCaptureTime is {got!r}; expected YYYY_MM_DD_HH_MM_SS_mmm in UTC")
    return frame


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
