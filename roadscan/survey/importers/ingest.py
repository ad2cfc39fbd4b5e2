"""The front of the importers: read a source, complete its frames and cameras, write the drive, sum up.

Every frame that a source lists becomes one row of the drive, with a reason where it cannot be used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from roadscan.errors import ConfigError
from roadscan.progress import OnCount, OnProgress, counter, silent
from roadscan.storage import DiskStore, Store, open_store
from roadscan.survey.camera import Camera
from roadscan.survey.drive import check_name, rejection, write_drive
from roadscan.survey.importers.clocks import at_two_places
from roadscan.survey.importers.config import IngestConfig, Kind
from roadscan.survey.importers.exif import read_exif
from roadscan.survey.importers.extent import Extent, extent_of
from roadscan.survey.importers.frame import Frame, SourceFrames, check_frames, frames_table
from roadscan.survey.importers.images import COPIES, ImageFolder
from roadscan.survey.importers.jumps import reject_jumps
from roadscan.survey.importers.mapillary import read_mapillary
from roadscan.survey.importers.motion import fill_motion, off_course
from roadscan.survey.importers.rig import assign_cameras, check_sizes, complete_cameras, take_tilts
from roadscan.survey.importers.sources import images_uri, is_folder_of_images
from roadscan.survey.importers.table import read_table
from roadscan.survey.importers.track import read_track
from roadscan.survey.importers.video import read_video

logger = logging.getLogger(__name__)

READERS: Mapping[Kind, Callable[[IngestConfig, ImageFolder, OnCount | None], SourceFrames]] = {
    "exif": read_exif,
    "mapillary": read_mapillary,
    "table": read_table,
    "track": read_track,
    "video": read_video,
}

#: Whose heading a source records, unless the config says otherwise.
HEADING: Mapping[Kind, str] = {
    "exif": "camera", "mapillary": "camera", "table": "vehicle", "track": "vehicle", "video": "vehicle"
}  # fmt: skip


@dataclass(frozen=True)
class Imported:
    """A source as read.

    Attributes:
        frames: `DRIVE_FRAMES`, in the source's order.
        cameras: every camera that the frames name.
        notes: what else was met, by kind and count, such as NMEA sentences with a wrong checksum.
        focal_rules: by camera, its focal length and where that is from.
    """

    frames: pa.Table
    cameras: list[Camera]
    notes: dict[str, int]
    focal_rules: dict[str, str]


@dataclass(frozen=True)
class IngestSummary:
    """What an import gave.

    Attributes:
        drive_id: of the drive.
        uri: the drive's folder.
        frames: rows written; every frame that the source lists.
        usable: those that a scan can place on the map.
        reasons: how many of the others, by reason, most first; they add up to frames - usable.
        examples: for each reason, one frame id and the reason's detail.
        extent: where and when it was.
        cameras: of the drive.
        notes, focal_rules: see `Imported`.
    """

    drive_id: str
    uri: str
    frames: int
    usable: int
    reasons: dict[str, int]
    examples: dict[str, str]
    extent: Extent
    cameras: list[Camera]
    notes: dict[str, int]
    focal_rules: dict[str, str]

    @property
    def shortfall(self) -> str | None:
        """That no frame can be used."""
        if self.usable:
            return None
        if not self.frames:
            return f"{self.uri}: the source has no frame; expected images, or rows that name them"
        why = "; ".join(f"{count} {reason} ({self.examples[reason]})" for reason, count in self.reasons.items())
        return f"{self.uri}: none of its {self.frames} frames can be used: {why}; mend them and run the command again"


def ingest(config: IngestConfig, on_progress: OnProgress = silent) -> IngestSummary:
    """Import a drive: read the source, copy images if asked to, write ``drive.json`` and its table of frames.

    Running it again replaces the drive.

    Args:
        config: what to import.
        on_progress: called as frames are read.

    Raises:
        SurveyError: the source cannot be used as a whole; single bad frames are rows with a reason.
        ConfigError: the cameras are not told, or images would be copied into the folder they come from.
        StorageError: a store refused.
    """
    out = open_store(config.out)
    drive_id = config.drive_id if config.drive_id is not None else out.uri.rsplit("/", 1)[-1]
    check_name("drive_id", drive_id)
    root = images_uri(config)
    imported = read_frames(config, counter(on_progress, "ingest", "frames"))
    if config.copy_images or root == out.uri:
        image_root = None
    else:
        image_root = root
        _warn_if_local(open_store(root), out)
    write_drive(
        out,
        drive_id=drive_id,
        cameras=imported.cameras,
        frames=imported.frames,
        source=config.kind,
        image_root=image_root,
    )
    return _sum_up(drive_id, out.uri, imported)


def read_frames(config: IngestConfig, on_frame: OnCount | None = None) -> Imported:
    """Read a source of any kind, without writing a drive; with `copy_images` the images are copied.

    Args:
        config: what to import.
        on_frame: called with (done, total) as frames are read.

    Raises:
        SurveyError, ConfigError, StorageError: as `ingest`.
    """
    root, out = images_uri(config), open_store(config.out)
    if config.copy_images and is_folder_of_images(config) and f"{out.uri}/".startswith(f"{root}/"):
        raise ConfigError(
            f"copy_images: out {out.uri} lies within the images' folder {root}, where the copies would count as "
            "frames; choose an out elsewhere, or leave copy_images off"
        )
    folder = ImageFolder(open_store(root), out if config.copy_images else None)
    found = READERS[config.kind](config, folder, on_frame)
    frames = found.frames
    check_frames(frames, root=root)
    rig = assign_cameras(frames, config)
    _turn_headings(frames, config, {camera.camera_id: camera.mount_yaw_deg for camera in rig})
    reject_jumps(frames)
    _fill_sigmas(frames, config.uere_m)
    found.notes.update(off_course(fill_motion(frames, config.max_gap_s)))
    if config.copy_images:
        folder.look_all((frame.image_uri for frame in frames if frame.image_uri), on_frame)
    focal_rules: dict[str, str] = {}
    cameras = complete_cameras(rig, frames, folder, found.notes, focal_rules)
    check_sizes(frames, cameras, folder)
    take_tilts(frames, cameras, folder)
    if config.copy_images:
        for frame in frames:
            frame.image_uri = f"{COPIES}/{frame.image_uri}"
    doubled = at_two_places(frames)
    if doubled:
        found.notes["frames at the time of another of their camera, but elsewhere"] = doubled
    return Imported(frames_table(frames), cameras, found.notes, focal_rules)


def _turn_headings(frames: list[Frame], config: IngestConfig, yaw_deg: Mapping[str, float]) -> None:
    """From recorded headings to the vehicle's."""
    whose = config.heading or HEADING[config.kind]
    for frame in frames:
        if whose == "course":
            frame.heading_deg = frame.heading_sigma_deg = None
        elif whose == "camera" and frame.heading_deg is not None:
            frame.heading_deg = (frame.heading_deg - yaw_deg[frame.camera_id]) % 360


def _fill_sigmas(frames: list[Frame], uere_m: float | None) -> None:
    """Give frames that have an HDOP and no standard error of their position the one times `uere_m`.

    HDOP is by definition the standard error of a position in the horizontal plane, in units of the range error.
    """
    for frame in frames:
        if frame.pos_sigma_m is None and frame.hdop and uere_m is not None:
            frame.pos_sigma_m = frame.hdop * uere_m


def _warn_if_local(images: Store, out: Store) -> None:
    if isinstance(images, DiskStore) and not isinstance(out, DiskStore):
        logger.warning(
            "the drive goes to %s, its images stay in %s, which other machines cannot read; set copy_images",
            out.uri,
            images.uri,
        )


def _sum_up(drive_id: str, uri: str, imported: Imported) -> IngestSummary:
    reasons: dict[str, int] = {}
    examples: dict[str, str] = {}
    usable = []
    for row in imported.frames.to_pylist():
        reason = rejection(row)
        usable.append(reason is None)
        if reason is not None:
            name = reason.partition(":")[0]
            reasons[name] = reasons.get(name, 0) + 1
            examples.setdefault(name, f"{row['frame_id']}: {reason}")
    total = imported.frames.num_rows
    return IngestSummary(
        drive_id=drive_id,
        uri=uri,
        frames=total,
        usable=sum(usable),
        reasons=dict(sorted(reasons.items(), key=lambda item: -item[1])),
        examples=examples,
        extent=extent_of(imported.frames, imported.frames.filter(pa.array(usable, pa.bool_()))),
        cameras=imported.cameras,
        notes=imported.notes,
        focal_rules=imported.focal_rules,
    )
