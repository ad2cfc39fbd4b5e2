"""Where a drive could have seen an asset, and whether any of its detections points there.

Legend: F frames and M detections of one drive, N assets, P pairs of an asset and a frame, E entries of an asset and a
drive. ENU metres; angles are radians clockwise from north.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely

from roadscan.arrays import Bools, Floats, Ints
from roadscan.inventory.config import VisibilityConfig
from roadscan.inventory.drive.passes import DrivePass
from roadscan.inventory.drive.triangulate import wrap
from roadscan.inventory.geometry.assignment import nearby_pairs

LANES_M = 8.0  # between the lanes of one carriageway
# Travel that is one opportunity: what hides an asset from a camera that stands still hides it in every frame.
OPPORTUNITY_M = 5.0
SECTORS = 12  # of the compass
FOV_MARGIN_RAD = np.radians(2.0)  # a box whose middle is this near to the image's edge may be cut in half
POINTING_M = 2.5  # how far beside the place a detection may point …
POINTING_RAD = np.radians(1.5)  # … and from its bearing
POINTING_SIGMAS = 2.0  # of its range


@dataclass(frozen=True)
class AlignedDrive:
    """A drive whose GNSS bias and yaw error are taken away.

    Attributes:
        drive: which one.
        camera_xy: (F, 2) where its frames were taken, ENU metres.
        yaw: by which its bearings and headings are turned, radians.
    """

    drive: DrivePass
    camera_xy: Floats
    yaw: float

    @cached_property
    def heading(self) -> Floats:
        """Of the camera in each frame, (F,)."""
        return np.asarray(self.drive.poses.heading + self.yaw)

    def looking(self, frame: Ints, direction: Floats) -> Floats:
        """Which way frames (P,) look that show something in a direction: that of the camera, or of a panorama this."""
        return np.where(self.drive.looks_around[frame], direction, self.heading[frame])


@dataclass(frozen=True)
class PointObservations:
    """A drive as a witness of point and overhead assets.

    Attributes:
        view: from where it looked.
        class_index: (M,) of its detections; -1 for a class of which no drive has an estimate.
        asset: (M,) which asset each shows, -1 for none.
    """

    view: AlignedDrive
    class_index: Ints
    asset: Ints


@dataclass(frozen=True)
class Targets:
    """Assets, or places of one, to be looked for; arrays are (N, …).

    Attributes:
        xy: (N, 2) ENU metres.
        class_index: (N,).
        reach_m: (N,) how far beside their way each stood to those who saw it.
        sectors: (N, `SECTORS`) which way cameras looked that saw each, see `AlignedDrive.looking` and `sector_of`.
    """

    xy: Floats
    class_index: Ints
    reach_m: Floats
    sectors: Bools


@dataclass(frozen=True)
class Visibility:
    """What drives say of assets, (E,) each: one entry for each asset and drive that saw it or could have.

    Attributes:
        asset: which asset, 0…N-1.
        drive: which drive, 0… in the order in which they were driven.
        hits: opportunities in which it was detected.
        opportunities: stretches of `OPPORTUNITY_M` driven in which some frame should have shown it, or did.
        unclear: not detected, but a detection that shows no other asset points to it.
    """

    asset: Ints
    drive: Ints
    hits: Ints
    opportunities: Ints
    unclear: Bools


def sector_of(heading: Floats) -> Ints:
    """The sector of each heading, 0 being about north."""
    sector: Ints = np.remainder(np.round(heading / (2 * np.pi) * SECTORS), SECTORS).astype(np.int64)
    return sector


def opportunity_of(drive: DrivePass) -> Ints:
    """The number of the opportunity that each frame belongs to, (F,), from 0."""
    step = np.floor(drive.poses.s / OPPORTUNITY_M).astype(np.int64)
    return np.asarray(step - step.min())


def passed_by(drive: DrivePass, xy: Floats, reach_m: Floats) -> Bools:
    """Whether a drive's way passes places (N, 2) as near as the ways of those who saw an asset there, or a lane off.

    From another road nearby, such as a frontage road, an asset need not be seen, whatever the field of view says.

    Args:
        drive: whose way.
        xy: (N, 2) places, metres.
        reach_m: (N,) how far beside their way it stood to those who saw it.
    """
    return np.asarray(shapely.dwithin(drive.way, shapely.points(xy), reach_m + LANES_M), bool)


def in_view(view: AlignedDrive, targets: Targets, config: VisibilityConfig) -> tuple[Ints, Ints]:
    """Pairs (P,) of target and frame that should have shown it.

    The target is in the field of view, neither too near nor too far, the camera looks about the way in which some
    camera saw it (a sign has a back), and the drive passed by it.

    Args:
        view: the drive.
        targets: what is looked for.
        config: `near_m`, `far_m`.
    """
    target, frame, distance = nearby_pairs(targets.xy, view.camera_xy, config.far_m)
    dx, dy = (targets.xy[target] - view.camera_xy[frame]).T
    direction = np.arctan2(dx, dy)
    angle = np.abs(wrap(direction - view.heading[frame]))
    inside = view.drive.looks_around[frame] | (angle <= view.drive.poses.half_fov[frame] - FOV_MARGIN_RAD)
    good = (distance >= config.near_m) & inside
    target, frame, direction = target[good], frame[good], direction[good]
    one, of_pair = np.unique(target, return_inverse=True)
    passed = passed_by(view.drive, targets.xy[one], targets.reach_m[one])[of_pair]
    target, frame, looking = target[passed], frame[passed], view.looking(frame, direction)[passed]
    way = np.arange(SECTORS) * 2 * np.pi / SECTORS
    faces = ((np.cos(looking[:, None] - way) > 0) & targets.sectors[target]).any(axis=1)
    return target[faces], frame[faces]


def pointed_at(seen: PointObservations, targets: Targets, target: Ints, frame: Ints) -> Ints:
    """The targets to which a detection that shows no asset points, with a class and a range that fit.

    Args:
        seen: the drive's detections.
        targets: what is looked for.
        target: (P,) first members of the pairs of target and frame to look at.
        frame: (P,) second members.
    """
    free = np.flatnonzero(seen.asset < 0)
    detections, class_index = seen.view.drive.detections.take(free), seen.class_index[free]
    at = detections.frame_index
    begin, end = np.searchsorted(at, frame), np.searchsorted(at, frame, side="right")
    pair = np.repeat(np.arange(len(frame)), end - begin)
    row = np.arange(len(pair)) - np.repeat(np.cumsum(end - begin) - (end - begin), end - begin) + begin[pair]
    target = target[pair]
    same = class_index[row] == targets.class_index[target]
    target, row = target[same], row[same]
    dx, dy = (targets.xy[target] - seen.view.camera_xy[at[row]]).T
    r = np.maximum(np.hypot(dx, dy), 1.0)
    beside = np.abs(wrap(detections.bearing[row] - np.arctan2(dx, dy))) <= POINTING_RAD + POINTING_M / r
    fits = np.abs(detections.log_range[row] - np.log(r)) <= POINTING_SIGMAS * detections.log_sigma[row] + POINTING_M / r
    return np.asarray(np.unique(target[beside & fits]))


def point_visibility(observations: list[PointObservations], targets: Targets, config: VisibilityConfig) -> Visibility:
    """What each drive says of each asset: seen, or not though it should have been.

    Args:
        observations: of the drives, in the order in which they were driven.
        targets: the assets.
        config: `near_m`, `far_m`.
    """
    n = len(targets.xy)
    parts = []
    for number, seen in enumerate(observations):
        drive = seen.view.drive
        target, frame = in_view(seen.view, targets, config)
        step = opportunity_of(drive)
        width = int(step.max()) + 1
        shown = np.flatnonzero(seen.asset >= 0)
        hit = np.unique(seen.asset[shown] * width + step[drive.detections.frame_index[shown]])
        possible = np.union1d(hit, target * width + step[frame])
        hits, opportunities = (np.bincount(code // width, minlength=n) for code in (hit, possible))
        about = np.flatnonzero(opportunities)
        unseen = hits[target] == 0
        unclear = np.zeros(n, bool)
        unclear[pointed_at(seen, targets, target[unseen], frame[unseen])] = True
        parts.append((about, np.full(len(about), number), hits[about], opportunities[about], unclear[about]))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.zeros(0, int)] * 5
    return Visibility(columns[0], columns[1], columns[2], columns[3], np.asarray(columns[4], bool))
