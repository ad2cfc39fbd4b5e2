"""One frame while it is imported, and the table that frames become. A bad frame keeps its row and gets a reason.

Reasons, with a detail after a colon. Of the position and time: ``no_gps bad_gps no_time``. Of the image, where it is
read: ``missing empty not_an_image corrupt truncated bad_size``. Of the row: ``bad_row bad_entry bad_key bad_camera
unsupported``, and ``mapillary`` for what mapillary_tools itself could not use.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from roadscan.errors import StorageError, SurveyError
from roadscan.schemas import DRIVE_FRAMES
from roadscan.storage import check_key
from roadscan.survey.dates import why_implausible


@dataclass(slots=True)
class Frame:
    """A row of `DRIVE_FRAMES` in the making.

    Attributes:
        frame_id: unique within the drive.
        image_uri: key below the images' root.
        captured_at: with a zone.
        lon, lat: WGS 84 degrees.
        heading_deg: as recorded, clockwise from north; whose heading it is `IngestConfig.heading` says.
        speed_mps: of the vehicle.
        hdop: horizontal dilution of precision.
        camera_id: as the source names it, "" where it does not.
        reason: why the frame cannot be used; the first reason found stays.
        pos_sigma_m, heading_sigma_deg: standard errors of position and heading, as the source states them.
        altitude_m, pitch_deg, roll_deg: the rest of the pose.
    """

    frame_id: str
    image_uri: str
    captured_at: datetime | None = None
    lon: float | None = None
    lat: float | None = None
    heading_deg: float | None = None
    speed_mps: float | None = None
    hdop: float | None = None
    camera_id: str = ""
    reason: str | None = None
    pos_sigma_m: float | None = None
    heading_sigma_deg: float | None = None
    altitude_m: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None

    def reject(self, reason: str) -> None:
        """Note why the frame cannot be used, unless that is known already."""
        self.reason = self.reason or reason

    def take(self, at: datetime) -> None:
        """Set the capture time, or leave it null and reject the frame as ``no_time``: no survey was then."""
        why = why_implausible(at)
        if why:
            self.reject(f"no_time: {why}")
        else:
            self.captured_at = at

    def place(self, lon: float | None, lat: float | None, why_not: str = "") -> None:
        """Set the position, or leave it null and reject the frame as ``no_gps``, for a reason, or ``bad_gps``."""
        if lon is None or lat is None or not (math.isfinite(lon) and math.isfinite(lat)):
            self.reject(f"no_gps: {why_not}" if why_not else "no_gps")
        elif lon == 0 and lat == 0:
            self.reject("bad_gps: 0,0 is what a receiver without a fix writes")
        elif not (-180 <= lon <= 180 and -90 <= lat <= 90):
            self.reject(f"bad_gps: lon {lon}, lat {lat} is not on the earth")
        else:
            self.lon, self.lat = lon, lat


@dataclass
class SourceFrames:
    """What a source gave.

    Attributes:
        frames: every frame that it lists, in its order.
        notes: what else was met, by kind and count, such as log lines with a wrong checksum.
    """

    frames: list[Frame]
    notes: dict[str, int] = field(default_factory=dict)


def frame_id_of(key: str) -> str:
    """The frame id of an image: its path without suffix, in one piece.

    >>> frame_id_of("front/000012.jpg")
    'front_000012'
    """
    folder, slash, name = key.rpartition("/")
    stem = name.rpartition(".")[0] or name
    return (folder + slash + stem).replace("/", "_")


def check_frames(frames: Sequence[Frame], *, root: str) -> None:
    """Reject frames whose image would lie outside the root, and refuse a drive that is wrong as a whole.

    Raises:
        SurveyError: two frames have one id, or no image lies below the root.
    """
    images = defaultdict(list)
    usable = sum(frame.reason is None for frame in frames)
    outside = 0
    for frame in frames:
        images[frame.frame_id].append(frame.image_uri)
        try:
            check_key(frame.image_uri)
        except StorageError as error:
            outside += not frame.reason
            frame.reject(f"bad_key: {error}")
    twice = {name: uris for name, uris in images.items() if len(uris) > 1}
    if twice:
        name, uris = next(iter(twice.items()))
        raise SurveyError(
            f"frame_id: {len(twice)} ids occur more than once, e.g. {name!r} for {uris[:3]}; every frame needs its "
            "own: rename the images, or give the ids in a table"
        )
    if outside and outside == usable:
        example = next(frame.image_uri for frame in frames if (frame.reason or "").startswith("bad_key"))
        raise SurveyError(
            f"images: none of the {outside} images lies below {root}, e.g. {example!r}; expected names "
            "relative to it: set `images` to their folder, or `path_prefix` to what must be cut from the names"
        )


def frames_table(frames: Sequence[Frame]) -> pa.Table:
    """The frames as `DRIVE_FRAMES`, in order."""
    columns = {name: [getattr(frame, name) for frame in frames] for name in DRIVE_FRAMES.names}
    return pa.Table.from_pydict(columns, schema=DRIVE_FRAMES)
