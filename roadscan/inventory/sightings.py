"""What one drive says of the assets beside its road: landmarks from tracks, and a `Sighting` for each line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from roadscan.inventory.associate import merge_tracks, track_landmarks
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive_pass import Detections, DrivePass, Ints, moment
from roadscan.inventory.lines import find_lines
from roadscan.inventory.locate import OVERHEAD_BEARING_FACTOR, calibrate_yaw, solve
from roadscan.survey.geodesy import Floats
from roadscan.taxonomy import AssetClass, Geometry, Taxonomy

YAW_HITS = 3  # detections of a track that it takes to tell a yaw error


@dataclass(frozen=True)
class Evidence:
    """The best look that a drive had at an asset.

    Attributes:
        image_uri, box_px: where to see it.
        model_sha256: what found it.
        weight: score times the square root of the box's height; larger is better.
    """

    image_uri: str | None
    box_px: list[float] | None
    model_sha256: str
    weight: float


@dataclass(frozen=True)
class Sighting:
    """One drive's estimate of one line asset, in the drive's metres.

    Attributes:
        asset_class: what it is.
        xy: (2,) its middle.
        cov: (2, 2) of the drive's own errors, of any of its places.
        line_xy: (n, 2) its vertices.
        offset_m: to the right of travel.
        course: direction of travel there, radians clockwise from north.
        hits: how many frames detected it.
        mean_score: 0..1.
        first_seen, last_seen: times of its detections.
        evidence: the best look.
    """

    asset_class: AssetClass
    xy: Floats
    cov: Floats
    line_xy: Floats
    offset_m: float
    course: float
    hits: int
    mean_score: float
    first_seen: datetime
    last_seen: datetime
    evidence: Evidence


@dataclass(frozen=True)
class Landmarks:
    """One drive's estimates of its point and overhead assets, (n,) each, in the drive's metres.

    Attributes:
        class_name: what each is.
        xy: (n, 2) position.
        cov: (n, 2, 2) of the drive's own errors.
        s, offset_m: chainage along the drive, and distance to the right of travel.
        course: direction of travel there, radians clockwise from north.
        frames: the frames that detected it, a frozenset each.
        label: (m,) of each of the drive's detections the landmark that it shows, -1 for a line's.
        yaw: by which the drive's bearings were turned, radians.
    """

    class_name: npt.NDArray[np.str_]
    xy: Floats
    cov: Floats
    s: Floats
    offset_m: Floats
    course: Floats
    frames: list[frozenset[int]]
    label: Ints
    yaw: float

    @property
    def hits(self) -> Ints:
        """How many frames detected each."""
        return np.array([len(frames) for frames in self.frames], np.int64)


def find_landmarks(drive: DrivePass, taxonomy: Taxonomy, config: InventoryConfig) -> Landmarks:
    """All point and overhead assets that one drive saw, also those that it saw once."""
    every = drive.detections
    geometry = {name: taxonomy.get(str(name)).geometry for name in np.unique(every.class_name)}
    kind = np.array([geometry[name] for name in every.class_name], dtype=object)
    chosen = np.flatnonzero(kind != Geometry.LINE)
    seen = every.where(chosen)
    seen.bearing_factor[kind[chosen] == Geometry.OVERHEAD] = OVERHEAD_BEARING_FACTOR
    camera = drive.camera[seen.frame]
    track = track_landmarks(drive, seen, config)
    yaw = _drive_yaw(camera, seen, track, kind[chosen] == Geometry.POINT, config)
    seen = seen.turned(yaw)
    fixes = solve(camera, seen, track, config)
    track = _merged(fixes.xy, seen, track, taxonomy)
    fixes = solve(camera, seen, track, config)
    n = len(fixes.xy)
    names = np.empty(n, seen.class_name.dtype)
    names[track] = seen.class_name
    off = np.hypot(*(camera - fixes.xy[track]).T)
    order = np.argsort(-off, kind="stable")  # the nearest frame last: it overwrites the others
    hint = np.zeros(n)
    hint[track[order]] = drive.poses.s[seen.frame[order]]
    s, offset = drive.path.locate(fixes.xy[:, 0], fixes.xy[:, 1], hint) if n else (hint, hint)
    label = np.full(len(every.frame), -1)
    label[chosen] = track
    frames = [frozenset(part.tolist()) for part in _split(seen.frame, track)]
    return Landmarks(names, fixes.xy, fixes.cov, s, offset, drive.path.course_at(s), frames, label, yaw)


def _drive_yaw(
    camera: Floats, seen: Detections, track: Ints, points: npt.NDArray[np.bool_], config: InventoryConfig
) -> float:
    """Yaw error of the drive's camera, from the tracks of all point assets."""
    often = points & (np.bincount(track)[track] >= YAW_HITS) if len(track) else points
    if not often.any():
        return 0.0
    label = np.unique(track[often], return_inverse=True)[1]
    return calibrate_yaw(camera[often], seen.where(often), label, config)


def _merged(xy: Floats, seen: Detections, track: Ints, taxonomy: Taxonomy) -> Ints:
    """The tracks, those of one asset made one."""
    label = np.arange(len(xy))
    names = np.empty(len(xy), seen.class_name.dtype)
    names[track] = seen.class_name
    frames = [frozenset(part.tolist()) for part in _split(seen.frame, track)]
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        merge_m = taxonomy.get(str(name)).merge_m
        group = merge_tracks(xy[rows], [frames[row] for row in rows], merge_m)
        label[rows] = rows[np.unique(group, return_index=True)[1][group]]
    return np.unique(label[track], return_inverse=True)[1]


def _split(values: Ints, label: Ints) -> list[Ints]:
    """The values of each label, in the order of the labels."""
    order = np.argsort(label, kind="stable")
    return np.split(values[order], np.flatnonzero(np.diff(label[order])) + 1) if len(label) else []


def find_lines_of(drive: DrivePass, yaw: float, taxonomy: Taxonomy, config: InventoryConfig) -> list[Sighting]:
    """All line assets that one drive saw, its bearings turned by `yaw` radians; in a fixed order."""
    found: list[Sighting] = []
    for name in np.unique(drive.detections.class_name):
        asset = taxonomy.get(str(name))
        if asset.geometry is Geometry.LINE:
            mine = drive.detections.where(drive.detections.class_name == name).turned(yaw)
            found += _line_sightings(drive, asset, mine, config)
    return found


def _line_sightings(
    drive: DrivePass, asset: AssetClass, detections: Detections, config: InventoryConfig
) -> list[Sighting]:
    found = []
    for line in find_lines(drive, detections, config):
        middle = (line.start_s + line.end_s) / 2
        seen = detections.where(line.members)
        frames = np.unique(seen.frame)
        times = drive.poses.time_us[frames]
        found.append(
            Sighting(
                asset_class=asset,
                xy=np.array(drive.path.at(middle, np.interp(middle, line.s, line.offset_m))),
                cov=np.eye(2) * line.offset_sigma_m**2,
                line_xy=np.stack(drive.path.at(line.s, line.offset_m), axis=1),
                offset_m=float(np.median(line.offset_m)),
                course=float(drive.path.course_at(middle)),
                hits=len(frames),
                mean_score=float(seen.score.mean()),
                first_seen=moment(times.min()),
                last_seen=moment(times.max()),
                evidence=_evidence(drive, seen),
            )
        )
    return found


def _evidence(drive: DrivePass, seen: Detections) -> Evidence:
    weight = seen.score * np.sqrt(np.maximum(seen.box_height_px, 1))
    best = int(np.argmax(weight))
    row = drive.observations.slice(int(seen.row[best]), 1).to_pylist()[0]
    return Evidence(row["image_uri"], row["box_px"], row["model_sha256"], float(weight[best]))
