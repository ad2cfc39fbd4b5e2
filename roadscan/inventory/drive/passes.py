"""One drive's Arrow rows to arrays: where the camera was, and what it detected, in east-north metres (ENU).

Legend: F usable frames, M detections, S vertices of the path. Chainage is metres along the path of this drive, offsets
are to the right of travel; angles are radians clockwise from north, unless their name ends in `_deg`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from roadscan.arrays import Bools, Floats, Ints
from roadscan.inventory.config import NoiseConfig
from roadscan.inventory.drive.order import order_along
from roadscan.survey.geodesy import LocalFrame, course_deg

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000
EXTENSION_M = 80.0  # a path goes on straight beyond both ends, for assets ahead of the last frame
STANDSTILL_M = 0.5  # frames closer together than this do not bend the path
AHEAD_COS = np.cos(np.radians(60))  # of the angle between the camera's axis and the direction of travel
UNKNOWN_RANGE_M = 30.0  # where a detection has no range: anywhere between 10 m and 80 m …
UNKNOWN_LOG_SIGMA = 1.0  # … one standard deviation being a factor of e


def moment(microseconds: int) -> datetime:
    """The moment that many microseconds after 1970, in UTC."""
    return EPOCH + timedelta(microseconds=int(microseconds))


@dataclass(frozen=True)
class DrivenPath:
    """The line that a vehicle drove, by chainage; arrays are (S,).

    Attributes:
        s: chainage in metres, ascending; negative before the first frame.
        x, y: ENU metres.
        course: direction of travel, radians clockwise from north, unwrapped.
    """

    s: Floats
    x: Floats
    y: Floats
    course: Floats

    def at(self, s: npt.ArrayLike, offset_m: npt.ArrayLike) -> tuple[Floats, Floats]:
        """The point at a chainage and an offset to the right of travel."""
        course, d = self.course_at(s), np.asarray(offset_m, float)
        x, y = np.interp(np.asarray(s, float), self.s, self.x), np.interp(np.asarray(s, float), self.s, self.y)
        return np.asarray(x + d * np.cos(course)), np.asarray(y - d * np.sin(course))

    def course_at(self, s: npt.ArrayLike) -> Floats:
        """Direction of travel at a chainage, radians clockwise from north."""
        return np.asarray(np.interp(np.asarray(s, float), self.s, self.course))

    def locate(self, x: Floats, y: Floats, s_hint: Floats) -> tuple[Floats, Floats]:
        """Chainage and offset (right of travel positive) of points, searched from a chainage near each.

        The search moves along the tangent, so on a road that crosses itself it stays with the pass it started on.
        """
        s = np.array(s_hint, float)
        for _ in range(6):
            along, offset = self._residual(x, y, s)
            s = np.clip(s + along, self.s[0], self.s[-1])
        return s, offset

    def _residual(self, x: Floats, y: Floats, s: Floats) -> tuple[Floats, Floats]:
        course = self.course_at(s)
        dx, dy = x - np.interp(s, self.s, self.x), y - np.interp(s, self.s, self.y)
        return dx * np.sin(course) + dy * np.cos(course), dx * np.cos(course) - dy * np.sin(course)


NOWHERE = DrivenPath(*np.zeros((4, 0)))


@dataclass(frozen=True)
class Poses:
    """The usable frames of a drive, as they lie along its way; arrays are (F,).

    Attributes:
        x, y: camera in ENU metres.
        s: chainage along the drive's path.
        heading: of the camera, radians clockwise from north.
        half_fov: half the horizontal field of view, radians, π of a panorama; NaN, which covers nothing, where the
            heading is unknown.
        time_us: microseconds since 1970.
        sigma_m: standard error of the position, an axis, which is one and the same for frames that are near.
        heading_sigma: standard error of the heading, radians; likewise.
    """

    x: Floats
    y: Floats
    s: Floats
    heading: Floats
    half_fov: Floats
    time_us: Ints
    sigma_m: Floats
    heading_sigma: Floats

    def take(self, chosen: Ints) -> Poses:
        """Some of the frames."""
        return Poses(**{name: value[chosen] for name, value in vars(self).items()})


@dataclass(frozen=True)
class Detections:
    """The detections of a drive, in the order of its frames; arrays are (M,).

    Attributes:
        frame_index: index into `Poses`.
        row: row of the observations table.
        class_name: str.
        score: 0..1.
        bearing: radians clockwise from north.
        bearing_sigma: standard error of the bearing, radians, without the heading's.
        bearing_factor: 1, or more where the image's edge cuts the box, so that its centre is not the asset's.
        log_range, log_sigma: of the distance in metres.
        jitter_m: standard error of the camera's position, an axis, without what its frames share.
        near_bearing_deg, near_range_m: the near end of a line's visible base; NaN for other classes.
        far_bearing_deg, far_range_m: its far end.
        box_height_px: height of the box.
    """

    frame_index: Ints
    row: Ints
    class_name: npt.NDArray[np.str_]
    score: Floats
    bearing: Floats
    bearing_sigma: Floats
    bearing_factor: Floats
    log_range: Floats
    log_sigma: Floats
    jitter_m: Floats
    near_bearing_deg: Floats
    near_range_m: Floats
    far_bearing_deg: Floats
    far_range_m: Floats
    box_height_px: Floats

    def take(self, chosen: Bools | Ints) -> Detections:
        """Some of the detections."""
        return Detections(**{name: value[chosen] for name, value in vars(self).items()})

    def turned(self, yaw: float) -> Detections:
        """The detections with every bearing turned clockwise by an angle in radians."""
        return replace(
            self,
            bearing=self.bearing + yaw,
            near_bearing_deg=self.near_bearing_deg + np.degrees(yaw),
            far_bearing_deg=self.far_bearing_deg + np.degrees(yaw),
        )


@dataclass(frozen=True)
class DrivePass:
    """One drive in ENU metres.

    Attributes:
        drive_id: the drive.
        enu: between its metres and degrees.
        poses: where the camera was.
        path: the line it drove; of a drive that stayed at one place without any point.
        detections: what it saw.
        observations: the rows that `detections.row` points to.
        others: ids of drives that were gathered to it, see `roadscan.inventory.drive.gather`.
    """

    drive_id: str
    enu: LocalFrame
    poses: Poses
    path: DrivenPath
    detections: Detections
    observations: pa.Table
    others: tuple[str, ...] = ()

    @property
    def drive_ids(self) -> tuple[str, ...]:
        """The drives that it is made of."""
        return (*self.others, self.drive_id)

    def ids_of(self, rows: Ints) -> npt.NDArray[np.object_]:
        """The drive that each of some rows of `observations` is of, (n,)."""
        if not self.others:
            return np.full(len(rows), self.drive_id, object)
        return np.array(self.observations["drive_id"].take(pa.array(rows)).to_pylist(), object)

    @property
    def still(self) -> bool:
        """Whether it stayed at one place, and so has no way."""
        return len(self.path.s) == 0

    @property
    def started_us(self) -> int:
        """Time of the first usable frame, microseconds since 1970."""
        return int(self.poses.time_us.min())

    @property
    def ended_us(self) -> int:
        """Time of the last one."""
        return int(self.poses.time_us.max())

    @property
    def started_at(self) -> datetime:
        """Time of the first usable frame."""
        return moment(self.started_us)

    @property
    def ended_at(self) -> datetime:
        """Time of the last usable frame."""
        return moment(self.ended_us)

    @cached_property
    def camera_xy(self) -> Floats:
        """Where the camera was in each frame, (F, 2) ENU metres."""
        return np.stack([self.poses.x, self.poses.y], axis=1)

    @cached_property
    def way(self) -> shapely.LineString:
        """The line driven, prepared to be asked often what is near it; ENU metres."""
        way = shapely.LineString(np.stack([self.path.x, self.path.y], axis=1))
        shapely.prepare(way)
        return way

    @property
    def heading_sigma(self) -> float:
        """Standard error of the heading that its frames share, radians."""
        return float(np.median(self.poses.heading_sigma))

    @cached_property
    def looks_around(self) -> Bools:
        """Which frames (F,) are panoramas, which show all directions."""
        return np.asarray(self.poses.half_fov >= np.pi)

    @cached_property
    def looks_ahead(self) -> Bools:
        """Which frames (F,) look along the direction of travel, as a line's base along the path needs."""
        along = np.cos(self.poses.heading - self.path.course_at(self.poses.s)) > AHEAD_COS
        return np.asarray(along | self.looks_around)


def read_pass(
    drive_id: str,
    frames: pa.Table,
    observations: pa.Table,
    min_score: float = 0.0,
    enu: LocalFrame | None = None,
    noise: NoiseConfig | None = None,
) -> DrivePass | None:
    """A drive's committed rows as arrays in ENU metres.

    Args:
        drive_id: the drive.
        frames: its rows of `schemas.FRAMES`.
        observations: its rows of `schemas.OBSERVATIONS`.
        min_score: detections with a lower score are left out.
        enu: the metres; None for those about the middle of the drive.
        noise: the standard errors of what tells none of its own; None for the usual ones.

    Returns:
        The pass; None when no frame is usable: status ok, with a time and a position.
    """
    usable = pc.and_(pc.equal(frames["status"], "ok"), pc.is_valid(frames["captured_at"]))
    usable = pc.and_(usable, pc.and_(pc.is_finite(frames["camera_lon"]), pc.is_finite(frames["camera_lat"])))
    frames = frames.filter(usable).sort_by([("captured_at", "ascending"), ("frame_id", "ascending")])
    if frames.num_rows == 0:
        return None
    lon, lat = floats(frames, "camera_lon"), floats(frames, "camera_lat")
    local = enu or LocalFrame(float(np.median(lon)), float(np.median(lat)))
    x, y = local.to_xy(lon, lat)
    heading = np.radians(floats(frames, "heading_deg"))
    noise = noise or NoiseConfig()
    poses = Poses(
        x=x,
        y=y,
        s=np.zeros(len(x)),
        heading=np.where(np.isfinite(heading), heading, np.nan),
        half_fov=np.where(np.isfinite(heading), np.radians(floats(frames, "fov_deg")) / 2, np.nan),
        time_us=frames["captured_at"].cast(pa.int64()).to_numpy(),
        # The one of both axes together is the root of two times that of one.
        sigma_m=_told(frames, "pos_sigma_m", np.sqrt(2) * noise.gnss_sigma_m) / np.sqrt(2),
        heading_sigma=np.radians(_told(frames, "heading_sigma_deg", noise.yaw_sigma_deg)),
    )
    detections = _detections(frames, observations, min_score, poses.sigma_m, noise)
    found = DrivePass(drive_id, local, poses, NOWHERE, detections, observations)
    moved = np.hypot(x - x[0], y - y[0]).max() > STANDSTILL_M
    return along_its_way(found) if moved else found


def along_its_way(drive: DrivePass) -> DrivePass:
    """The pass, its frames in the order of `roadscan.inventory.drive.order`, with the path through them.

    A heading that is not known is that of the path.
    """
    order = order_along(drive.camera_xy, drive.poses.heading)
    poses, place = drive.poses.take(order), np.argsort(order)
    path, s = _path(poses.x, poses.y)
    heading = np.where(np.isfinite(poses.heading), poses.heading, path.course_at(s))
    seen = replace(drive.detections, frame_index=place[drive.detections.frame_index])
    return replace(
        drive,
        poses=replace(poses, s=s, heading=heading),
        path=path,
        detections=seen.take(np.argsort(seen.frame_index, kind="stable")),
    )


def _told(table: pa.Table, name: str, untold: float) -> Floats:
    """A column of standard errors, with another value where it tells none or says that there is no error."""
    values = floats(table, name)
    return np.where(values > 0, values, untold)


def floats(table: pa.Table, name: str) -> Floats:
    """A column as floats, null as NaN."""
    return np.asarray(pc.fill_null(table[name].cast(pa.float64()), float("nan")).to_numpy())


def log_ranges(observations: pa.Table) -> tuple[Floats, Floats]:
    """Logarithms of the ranges in metres and their standard errors, (M,); of one that is not known a wide guess."""
    range_m, sigma_m = floats(observations, "range_m"), floats(observations, "range_sigma_m")
    known = np.isfinite(range_m) & np.isfinite(sigma_m) & (range_m > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        log_range = np.where(known, np.log(range_m), np.log(UNKNOWN_RANGE_M))
        log_sigma = np.where(known, np.clip(sigma_m / range_m, 0.02, UNKNOWN_LOG_SIGMA), UNKNOWN_LOG_SIGMA)
    return log_range, log_sigma


def _path(x: Floats, y: Floats) -> tuple[DrivenPath, Floats]:
    """The path through the camera positions, and each position's chainage."""
    kept = [0]
    for i in range(1, len(x)):
        if np.hypot(x[i] - x[kept[-1]], y[i] - y[kept[-1]]) > STANDSTILL_M:
            kept.append(i)
    s_kept = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x[kept]), np.diff(y[kept])))])
    s = s_kept[np.searchsorted(kept, np.arange(len(x)), side="right") - 1]
    course = np.nan_to_num(np.unwrap(np.radians(course_deg(x[kept], y[kept]))))
    ends = np.array([0, -1])
    shift = np.array([-EXTENSION_M, EXTENSION_M])
    end_x, end_y = x[kept][ends] + shift * np.sin(course[ends]), y[kept][ends] + shift * np.cos(course[ends])

    def with_ends(values: Floats, extra: Floats) -> Floats:
        return np.concatenate([extra[:1], values, extra[1:]])

    path = DrivenPath(
        with_ends(s_kept, s_kept[ends] + shift),
        with_ends(x[kept], end_x),
        with_ends(y[kept], end_y),
        with_ends(course, course[ends]),
    )
    return path, s


def _detections(
    frames: pa.Table, observations: pa.Table, min_score: float, sigma_m: Floats, noise: NoiseConfig
) -> Detections:
    frame_index = pc.fill_null(pc.index_in(observations["frame_id"], frames["frame_id"]), -1).to_numpy()
    bearing = np.radians(floats(observations, "bearing_deg"))
    score = floats(observations, "score")
    row = np.flatnonzero((frame_index >= 0) & np.isfinite(bearing) & (score >= min_score))
    row = row[np.argsort(frame_index[row], kind="stable")]
    log_range, log_sigma = log_ranges(observations)
    boxes = pc.fill_null(observations["box_px"].cast(pa.list_(pa.float32(), 4)), [np.nan] * 4).combine_chunks()
    box = np.array(boxes.flatten().to_numpy(), float).reshape(-1, 4)
    width = floats(frames, "width_px")[frame_index]
    cut = (box[:, 0] <= 1) | (box[:, 2] >= np.where(np.isnan(width), np.inf, width - 1))
    cut &= ~(floats(frames, "fov_deg")[frame_index] >= 360)  # a panorama goes on on its other side
    everything = Detections(
        frame_index=np.asarray(frame_index, np.int64),
        row=np.arange(len(frame_index)),
        class_name=np.asarray(observations["class"].to_pylist(), dtype=np.str_),
        score=score,
        bearing=bearing,
        bearing_sigma=np.radians(_told(observations, "bearing_sigma_deg", noise.bearing_sigma_deg)),
        bearing_factor=np.where(cut, 4.0, 1.0),
        log_range=log_range,
        log_sigma=log_sigma,
        # Frames cannot be off each other by more than each is off the truth.
        jitter_m=np.minimum(noise.pose_jitter_m, sigma_m)[frame_index],
        near_bearing_deg=floats(observations, "near_bearing_deg"),
        near_range_m=floats(observations, "near_range_m"),
        far_bearing_deg=floats(observations, "far_bearing_deg"),
        far_range_m=floats(observations, "far_range_m"),
        box_height_px=np.nan_to_num(box[:, 3] - box[:, 1]),
    )
    return everything.take(row)
