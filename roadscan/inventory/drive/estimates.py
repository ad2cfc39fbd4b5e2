"""A drive's detections to its estimates of the assets beside its road: points from tracks, and a segment for each line.

Legend: M detections of the drive, K its estimates of point and overhead assets, V vertices of a line. ENU metres.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Bools, Floats, Ints, group_by
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive.join import join_tracks
from roadscan.inventory.drive.lines import PathLine, find_lines
from roadscan.inventory.drive.passes import Detections, DrivePass, moment
from roadscan.inventory.drive.track import track_detections
from roadscan.inventory.drive.triangulate import OVERHEAD_BEARING_FACTOR, Fixes, calibrate_yaw, triangulate
from roadscan.taxonomy import AssetClass, Geometry, Taxonomy

YAW_HITS = 3  # detections of a track that it takes to tell a yaw error


@dataclass(frozen=True)
class BestView:
    """The detection that shows an asset best.

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
class LineSegment:
    """One drive's estimate of one line asset, ENU metres.

    Attributes:
        asset_class: what it is.
        xy: (2,) its middle.
        cov: (2, 2) of the drive's own errors, of any of its places.
        sigma_m: standard error of the drive's position there, an axis: its bias.
        line_xy: (V, 2) its vertices.
        offset_m: to the right of travel.
        course: direction of travel there, radians clockwise from north.
        hits: how many frames detected it.
        mean_score: 0..1.
        first_seen, last_seen: times of its detections.
        best_view: where to see it.
        rows: of the drive's observations that show it.
    """

    asset_class: AssetClass
    xy: Floats
    cov: Floats
    sigma_m: float
    line_xy: Floats
    offset_m: float
    course: float
    hits: int
    mean_score: float
    first_seen: datetime
    last_seen: datetime
    best_view: BestView
    rows: Ints = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True)
class DriveEstimates:
    """What one drive says of the assets beside its road: arrays (K,) of points and overhead assets, and its lines.

    Attributes:
        class_name: what each is.
        xy: (K, 2) position, ENU metres.
        cov: (K, 2, 2) of the drive's own errors.
        s, offset_m: chainage along the drive, and distance to the right of travel.
        course: direction of travel there, radians clockwise from north.
        sigma_m: standard error of the drive's position there, an axis: its bias.
        frames: the frames that detected it, a frozenset each.
        label: (M,) of each of the drive's detections the estimate that it shows, -1 for a line's.
        yaw: by which the drive's bearings were turned, radians.
        lines: its line assets.
    """

    class_name: npt.NDArray[np.str_]
    xy: Floats
    cov: Floats
    s: Floats
    offset_m: Floats
    course: Floats
    sigma_m: Floats
    frames: list[frozenset[int]]
    label: Ints
    yaw: float
    lines: list[LineSegment] = field(default_factory=list)

    @property
    def hits(self) -> Ints:
        """How many frames detected each."""
        return np.array([len(frames) for frames in self.frames], np.int64)


def estimate(drive: DrivePass, taxonomy: Taxonomy, config: InventoryConfig) -> DriveEstimates:
    """All assets that one drive saw, also those that it saw once."""
    every = drive.detections
    by_name = {name: taxonomy.get(str(name)).geometry for name in np.unique(every.class_name)}
    geometry = np.array([by_name[name] for name in every.class_name], dtype=object)
    chosen = np.flatnonzero(geometry != Geometry.LINE)
    seen = every.take(chosen)
    seen.bearing_factor[geometry[chosen] == Geometry.OVERHEAD] = OVERHEAD_BEARING_FACTOR
    camera_xy = drive.camera_xy[seen.frame_index]
    track = track_detections(drive, seen, config)
    yaw = _yaw_error(camera_xy, seen, track, geometry[chosen] == Geometry.POINT, drive.heading_sigma)
    seen = seen.turned(yaw)
    track = _merged(triangulate(camera_xy, seen, track), seen, track, taxonomy)
    fixes = triangulate(camera_xy, seen, track)
    x, y = fixes.xy.T
    s, offset_m = drive.path.locate(x, y, _nearest_s(drive, camera_xy, seen, fixes.xy, track))
    label = np.full(len(every.frame_index), -1)
    label[chosen] = track
    return DriveEstimates(
        class_name=_class_of(seen, track, len(fixes.xy)),
        xy=fixes.xy,
        cov=fixes.cov,
        s=s,
        offset_m=offset_m,
        course=drive.path.course_at(s),
        sigma_m=np.interp(s, drive.poses.s, drive.poses.sigma_m),
        frames=_frames_of(seen, track),
        label=label,
        yaw=yaw,
        lines=_line_segments(drive, yaw, taxonomy, config),
    )


def nothing_said(drive: DrivePass) -> DriveEstimates:
    """No estimate: of a drive that is not asked alone."""
    none, label = np.zeros(0), np.full(len(drive.detections.row), -1)
    at = none.reshape(0, 2), none.reshape(0, 2, 2)
    return DriveEstimates(np.zeros(0, np.str_), *at, none, none, none, none, [], label, 0.0)


def _yaw_error(camera_xy: Floats, seen: Detections, track: Ints, points: Bools, sigma: float) -> float:
    """Yaw error of the drive's camera, radians, from the tracks of all point assets; `sigma` is its standard error."""
    often = points & (np.bincount(track)[track] >= YAW_HITS) if len(track) else points
    if not often.any():
        return 0.0
    label = np.unique(track[often], return_inverse=True)[1]
    return calibrate_yaw(camera_xy[often], seen.take(often), label, sigma)


def _nearest_s(drive: DrivePass, camera_xy: Floats, seen: Detections, xy: Floats, track: Ints) -> Floats:
    """Chainage (K,) of the frame that saw each estimate from nearest."""
    off = np.hypot(*(camera_xy - xy[track]).T)
    order = np.argsort(-off, kind="stable")  # the nearest frame last: it overwrites the others
    s = np.zeros(len(xy))
    s[track[order]] = drive.poses.s[seen.frame_index[order]]
    return s


def _class_of(seen: Detections, track: Ints, n: int) -> npt.NDArray[np.str_]:
    """The class (K,) of each of n tracks."""
    class_name = np.empty(n, seen.class_name.dtype)
    class_name[track] = seen.class_name
    return class_name


def _frames_of(seen: Detections, track: Ints) -> list[frozenset[int]]:
    """The frames that detected each track."""
    return [frozenset(part.tolist()) for part in group_by(seen.frame_index, track)]


def _merged(fixes: Fixes, seen: Detections, track: Ints, taxonomy: Taxonomy) -> Ints:
    """The track of each detection, the tracks of one asset made one."""
    label = np.arange(len(fixes.xy))
    class_name, frames = _class_of(seen, track, len(label)), _frames_of(seen, track)
    for name in np.unique(class_name):
        rows = np.flatnonzero(class_name == name)
        merge_m = taxonomy.get(str(name)).merge_m
        group = join_tracks(fixes.xy[rows], fixes.cov[rows], [frames[row] for row in rows], merge_m)
        label[rows] = rows[np.unique(group, return_index=True)[1][group]]
    return np.unique(label[track], return_inverse=True)[1]


def _line_segments(drive: DrivePass, yaw: float, taxonomy: Taxonomy, config: InventoryConfig) -> list[LineSegment]:
    """All line assets that the drive saw, its bearings turned by `yaw` radians; by class, then along the way."""
    found: list[LineSegment] = []
    for name in np.unique(drive.detections.class_name):
        asset_class = taxonomy.get(str(name))
        if asset_class.geometry is Geometry.LINE:
            seen = drive.detections.take(drive.detections.class_name == name).turned(yaw)
            lines = find_lines(drive, seen, config)
            found += [_segment(drive, asset_class, line, seen.take(line.members)) for line in lines]
    return found


def _segment(drive: DrivePass, asset_class: AssetClass, line: PathLine, seen: Detections) -> LineSegment:
    middle = (line.start_s + line.end_s) / 2
    frames = np.unique(seen.frame_index)
    times = drive.poses.time_us[frames]
    return LineSegment(
        asset_class=asset_class,
        xy=np.array(drive.path.at(middle, np.interp(middle, line.s, line.offset_m))),
        cov=np.eye(2) * line.offset_sigma_m**2,
        sigma_m=float(np.interp(middle, drive.poses.s, drive.poses.sigma_m)),
        line_xy=np.stack(drive.path.at(line.s, line.offset_m), axis=1),
        offset_m=float(np.median(line.offset_m)),
        course=float(drive.path.course_at(middle)),
        hits=len(frames),
        mean_score=float(seen.score.mean()),
        first_seen=moment(times.min()),
        last_seen=moment(times.max()),
        best_view=_best_view(drive, seen),
        rows=seen.row,
    )


def view_weight(score: Floats, box_height_px: Floats) -> Floats:
    """How well each detection shows its asset: its score times the square root of the box's height."""
    return np.asarray(score * np.sqrt(np.maximum(box_height_px, 1)))


def _best_view(drive: DrivePass, seen: Detections) -> BestView:
    weight = view_weight(seen.score, seen.box_height_px)
    best = int(np.argmax(weight))
    row = drive.observations.slice(int(seen.row[best]), 1).to_pylist()[0]
    return BestView(row["image_uri"], row["box_px"], row["model_sha256"], float(weight[best]))
