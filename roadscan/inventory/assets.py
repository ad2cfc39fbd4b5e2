"""One asset of the register while it is being built, and how estimates of several drives become one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import shapely

from roadscan.inventory.drive_pass import DrivePass, Ints
from roadscan.inventory.outline import vote
from roadscan.inventory.sightings import Evidence, Sighting
from roadscan.survey.geodesy import Floats
from roadscan.taxonomy import AssetClass, Geometry

VIEW_STEP_RAD = np.pi / 6
HIT_PRIOR = (1.6, 2.0)  # two frames at a detector's usual 80 %, so that one hit in one frame is not certainty


@dataclass(eq=False)
class Asset:
    """One asset of the register.

    Attributes:
        asset_class: what it is.
        lon, lat: position; of a line its middle.
        cov: (2, 2) square metres, east first.
        lines: what each drive saw of a line asset, (n, 2) lon/lat.
        unseen: places on a line asset at which a drive looked and saw nothing of it, (n, 2) lon/lat a drive.
        outline: of a line asset what the drives agree on, (n, 2) lon/lat.
        offset_m, course: of its first sighting: to the right of travel, and the direction of travel in radians.
        views: headings of the cameras that saw it, radians, rounded to `VIEW_STEP_RAD`.
        drives: which drives saw it.
        state: candidate, confirmed or missing.
        first_seen, last_seen, evidence: of all drives.
        hits, score_sum: detections of all drives, and the sum of their scores.
        covered, covered_hits: frames of all drives that saw it and should have shown it, and those that did.
        dates: days on which it was seen.
        unannounced: an earlier drive would have seen it, and no `new` change says so yet.
    """

    asset_class: AssetClass
    lon: float
    lat: float
    cov: Floats
    lines: list[Floats]
    offset_m: float
    course: float
    state: str
    first_seen: datetime
    last_seen: datetime
    evidence: Evidence
    hits: int = 0
    score_sum: float = 0.0
    covered: int = 0
    covered_hits: int = 0
    unseen: list[Floats] = field(default_factory=list)
    outline: Floats | None = None
    views: set[float] = field(default_factory=set)
    drives: set[str] = field(default_factory=set)
    dates: set[date] = field(default_factory=set)
    unannounced: bool = False

    @property
    def hit_rate(self) -> float:
        """Chance that a covering frame shows it."""
        return (self.covered_hits + HIT_PRIOR[0]) / (self.covered + HIT_PRIOR[1])

    def faces(self, heading: Floats) -> npt.NDArray[np.bool_]:
        """Whether cameras with these headings, radians (n,), look about the way it was once seen: a sign has a back."""
        views = np.array(sorted(self.views))
        return np.asarray((np.cos(heading[:, None] - views) > 0).any(axis=1))

    @property
    def bounds_lonlat(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        places = np.array([[self.lon, self.lat]]) if self.outline is None else self.outline
        (west, south), (east, north) = places.min(axis=0), places.max(axis=0)
        return float(west), float(south), float(east), float(north)

    @property
    def side(self) -> str:
        """left, right or overhead, along the direction of travel of its first sighting."""
        if self.asset_class.geometry is Geometry.OVERHEAD:
            return "overhead"
        return "left" if self.offset_m < 0 else "right"

    @property
    def pos_sigma_m(self) -> float:
        """Root mean square distance from the true place."""
        return float(np.sqrt(np.trace(self.cov)))


def new_asset(drive: DrivePass, sighting: Sighting, gnss_sigma_m: float) -> Asset:
    """The asset that a first sighting makes; `count` is still to be called."""
    lon, lat = drive.frame.to_lonlat(*sighting.xy)
    line = None if sighting.line_xy is None else to_lonlat(drive, sighting.line_xy)
    return Asset(
        asset_class=sighting.asset_class,
        lon=float(lon),
        lat=float(lat),
        cov=sighting.cov + np.eye(2) * gnss_sigma_m**2,
        lines=[] if line is None else [line],
        outline=line,
        offset_m=sighting.offset_m,
        course=sighting.course,
        state="confirmed" if sighting.confirmed else "candidate",
        first_seen=sighting.first_seen,
        last_seen=sighting.last_seen,
        evidence=sighting.evidence,
    )


def fuse(drive: DrivePass, asset: Asset, sighting: Sighting, gnss_sigma_m: float) -> None:
    """Move an asset by one more drive's estimate; of a line asset `settle` is still to be called.

    Each drive's estimate has its own GNSS bias, so its covariance is never below that bias's; drives are independent,
    and n of them bring the register's own bias down by the square root of n. The drive's shift is for matching only:
    applied here, it would carry the first drive's bias into every other.
    """
    cov = sighting.cov + np.eye(2) * gnss_sigma_m**2
    if sighting.line_xy is None:
        _move(drive, asset, sighting.xy, cov)
    else:
        asset.lines.append(to_lonlat(drive, sighting.line_xy))
        asset.cov = max(asset.cov, cov, key=np.trace)  # any metre of the outline lies where one drive saw it


def _move(drive: DrivePass, asset: Asset, xy: Floats, cov: Floats) -> None:
    """The mean of two independent estimates, weighted by their certainty."""
    old = np.array(drive.frame.to_xy(asset.lon, asset.lat))
    gain = asset.cov @ np.linalg.inv(asset.cov + cov)
    lon, lat = drive.frame.to_lonlat(*(old + gain @ (xy - old)))
    asset.lon, asset.lat = float(lon), float(lat)
    asset.cov = (np.eye(2) - gain) @ asset.cov
    asset.cov = (asset.cov + asset.cov.T) / 2


def settle(drive: DrivePass, asset: Asset) -> None:
    """Bring the outline of a line asset up to date with what the drives saw of it."""
    lines, unseen = ([to_xy(drive, lonlat) for lonlat in part] for part in (asset.lines, asset.unseen))
    asset.outline = to_lonlat(drive, vote(lines, unseen))
    asset.lon, asset.lat = line_middle(asset.outline)


def count(drive: DrivePass, asset: Asset, sighting: Sighting, covering: Ints) -> None:
    """Add a sighting's detections to an asset's numbers.

    Args:
        drive: whose sighting.
        asset: changed.
        sighting: what was seen.
        covering: indices of the frames that should have shown it.
    """
    asset.hits += sighting.hits
    asset.score_sum += sighting.mean_score * sighting.hits
    asset.covered += len(covering)
    asset.covered_hits += len(np.intersect1d(covering, sighting.frames))
    asset.dates.add(drive.started_at.date())
    asset.drives.add(drive.drive_id)
    asset.first_seen = min(asset.first_seen, sighting.first_seen)
    asset.last_seen = max(asset.last_seen, sighting.last_seen)
    if sighting.evidence.weight > asset.evidence.weight:
        asset.evidence = sighting.evidence


def views_of(drive: DrivePass, sighting: Sighting) -> set[float]:
    """See `Asset.views`."""
    steps = np.round(drive.poses.heading[sighting.frames] / VIEW_STEP_RAD) % round(2 * np.pi / VIEW_STEP_RAD)
    return set((np.unique(steps) * VIEW_STEP_RAD).tolist())


def absorb(drive: DrivePass, whole: Asset, piece: Asset) -> None:
    """Make one asset of two: the whole takes over what was seen of its piece, and where."""
    if whole.lines:
        whole.lines += piece.lines
        whole.unseen += piece.unseen
        settle(drive, whole)
    else:
        _move(drive, whole, np.array(drive.frame.to_xy(piece.lon, piece.lat)), piece.cov)
    whole.hits += piece.hits
    whole.score_sum += piece.score_sum
    whole.covered += piece.covered
    whole.covered_hits += piece.covered_hits
    whole.dates |= piece.dates
    whole.drives |= piece.drives
    whole.views |= piece.views
    whole.first_seen = min(whole.first_seen, piece.first_seen)
    whole.last_seen = max(whole.last_seen, piece.last_seen)
    whole.evidence = max(whole.evidence, piece.evidence, key=lambda evidence: evidence.weight)


def line_middle(line: Floats) -> tuple[float, float]:
    """Longitude and latitude half way along a line."""
    middle = shapely.LineString(line).interpolate(0.5, normalized=True)
    return float(middle.x), float(middle.y)


def to_lonlat(drive: DrivePass, xy: Floats) -> Floats:
    """A drive's metres as degrees, (n, 2) both."""
    return np.stack(drive.frame.to_lonlat(*xy.T), axis=1)


def to_xy(drive: DrivePass, lonlat: Floats) -> Floats:
    """Degrees as a drive's metres, (n, 2) both."""
    return np.stack(drive.frame.to_xy(*lonlat.T), axis=1)
