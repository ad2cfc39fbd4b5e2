"""What one drive says of the assets beside its road: one `Sighting` per asset, from tracks and from lines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from roadscan.inventory.associate import merge_tracks, track_landmarks
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive_pass import Detections, DrivePass, Ints, moment
from roadscan.inventory.lines import find_lines
from roadscan.inventory.locate import OVERHEAD_BEARING_FACTOR, Fixes, calibrate_yaw, solve
from roadscan.survey.geodesy import Floats
from roadscan.taxonomy import AssetClass, Geometry, Taxonomy


@dataclass(frozen=True)
class Evidence:
    """The best look that a drive had at an asset.

    Attributes:
        image_uri, box_px: where to see it.
        model_sha256: what found it.
        weight: score times the square root of the box's height; larger is better.
    """

    image_uri: str
    box_px: tuple[float, ...]
    model_sha256: str
    weight: float


@dataclass(frozen=True)
class Sighting:
    """One drive's estimate of one asset, in the drive's metres.

    Attributes:
        asset_class: what it is.
        xy: (2,) position; of a line its middle.
        cov: (2, 2) of the drive's own errors.
        line_xy: (n, 2) of a line, else None.
        offset_m: to the right of travel.
        course: direction of travel there, radians clockwise from north.
        rows: the detections' rows of the observations table.
        frames: frames (indices of the drive's poses) that detected it.
        mean_score: 0..1.
        confirmed: this drive alone is enough to believe it.
        first_seen, last_seen: times of its detections.
        evidence: the best look.
    """

    asset_class: AssetClass
    xy: Floats
    cov: Floats
    line_xy: Floats | None
    offset_m: float
    course: float
    rows: Ints
    frames: Ints
    mean_score: float
    confirmed: bool
    first_seen: datetime
    last_seen: datetime
    evidence: Evidence

    @property
    def hits(self) -> int:
        """How many frames detected it."""
        return len(self.frames)


def find_sightings(drive: DrivePass, taxonomy: Taxonomy, config: InventoryConfig) -> list[Sighting]:
    """All assets that one drive saw at least `candidate_hits` times, in a fixed order."""
    classes = [taxonomy.get(str(name)) for name in np.unique(drive.detections.class_name)]
    per_class = {asset: _of_class(drive, asset) for asset in classes}
    yaw = _drive_yaw(drive, per_class, config)
    found: list[Sighting] = []
    for asset, detections in per_class.items():
        turned = detections.turned(yaw)
        if asset.geometry is Geometry.LINE:
            found += _line_sightings(drive, asset, turned, config)
        else:
            found += _landmark_sightings(drive, asset, turned, config)
    return found


def _of_class(drive: DrivePass, asset: AssetClass) -> Detections:
    detections = drive.detections.where(drive.detections.class_name == asset.name)
    if asset.geometry is Geometry.OVERHEAD:
        detections.bearing_factor[:] = OVERHEAD_BEARING_FACTOR
    return detections


def _drive_yaw(drive: DrivePass, per_class: dict[AssetClass, Detections], config: InventoryConfig) -> float:
    """Yaw error of the drive's camera, from the tracks of all point assets."""
    parts, tracks, n = [], [], 0
    for asset, detections in per_class.items():
        if asset.geometry is Geometry.POINT and len(detections.frame):
            label = track_landmarks(drive, detections, config)
            often = np.bincount(label)[label] >= config.confirm_hits
            label = np.unique(label[often], return_inverse=True)[1] + n
            n += int(often.any()) and int(label.max()) + 1 - n
            parts.append(detections.where(often))
            tracks.append(label)
    if not n:
        return 0.0
    together = Detections(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in Detections.__annotations__}
    )
    return calibrate_yaw(drive, together, np.concatenate(tracks), config)


def _landmark_sightings(
    drive: DrivePass, asset: AssetClass, detections: Detections, config: InventoryConfig
) -> list[Sighting]:
    if len(detections.frame) == 0:
        return []
    label = track_landmarks(drive, detections, config)
    fixes = solve(drive, detections, label, config)
    frames = [frozenset(part.tolist()) for part in _split(detections.frame, label)]
    label = merge_tracks(fixes.xy, frames, asset.merge_m)[label]
    enough = np.bincount(label)[label] >= config.candidate_hits
    detections, label = detections.where(enough), np.unique(label[enough], return_inverse=True)[1]
    fixes = solve(drive, detections, label, config)
    members = _split(np.arange(len(label)), label)
    return [_landmark(drive, asset, detections.where(m), fixes, i, config) for i, m in enumerate(members)]


def _split(values: Ints, label: Ints) -> list[Ints]:
    """The values of each label, in the order of the labels."""
    order = np.argsort(label, kind="stable")
    return np.split(values[order], np.flatnonzero(np.diff(label[order])) + 1) if len(label) else []


def _landmark(
    drive: DrivePass, asset: AssetClass, seen: Detections, fixes: Fixes, index: int, config: InventoryConfig
) -> Sighting:
    xy = fixes.xy[index]
    nearest = np.argmin(np.hypot(drive.poses.x[seen.frame] - xy[0], drive.poses.y[seen.frame] - xy[1]))
    hint = drive.poses.s[seen.frame[[nearest]]]
    s, offset = drive.path.locate(xy[:1], xy[1:], hint)
    return _sighting(drive, asset, seen, xy, fixes.cov[index], None, float(s[0]), float(offset[0]), config)


def _line_sightings(
    drive: DrivePass, asset: AssetClass, detections: Detections, config: InventoryConfig
) -> list[Sighting]:
    found = []
    for line in find_lines(drive, detections, config):
        middle = (line.start_s + line.end_s) / 2
        xy = np.array(drive.path.at(middle, np.interp(middle, line.s, line.offset_m)))
        line_xy = np.stack(drive.path.at(line.s, line.offset_m), axis=1)
        cov = np.eye(2) * line.offset_sigma_m**2
        seen = detections.where(line.members)
        offset = float(np.median(line.offset_m))
        found.append(_sighting(drive, asset, seen, xy, cov, line_xy, middle, offset, config))
    return found


def _sighting(
    drive: DrivePass,
    asset: AssetClass,
    seen: Detections,
    xy: Floats,
    cov: Floats,
    line_xy: Floats | None,
    s: float,
    offset_m: float,
    config: InventoryConfig,
) -> Sighting:
    frames = np.unique(seen.frame)
    times = drive.poses.time_us[frames]
    return Sighting(
        asset_class=asset,
        xy=xy,
        cov=cov,
        line_xy=line_xy,
        offset_m=offset_m,
        course=float(drive.path.course_at(s)),
        rows=seen.row,
        frames=frames,
        mean_score=float(seen.score.mean()),
        confirmed=len(frames) >= config.confirm_hits and np.trace(cov) <= config.confirm_sigma_m**2,
        first_seen=moment(times.min()),
        last_seen=moment(times.max()),
        evidence=_evidence(drive, seen),
    )


def _evidence(drive: DrivePass, seen: Detections) -> Evidence:
    weight = seen.score * np.sqrt(np.maximum(seen.box_height_px, 1))
    best = int(np.argmax(weight))
    row = drive.observations.slice(int(seen.row[best]), 1).to_pylist()[0]
    return Evidence(row["image_uri"], tuple(row["box_px"]), row["model_sha256"], float(weight[best]))
