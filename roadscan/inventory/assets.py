"""One asset of the register while it is being built, and how estimates of several drives become one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
import shapely

from roadscan.inventory.drive_pass import DrivePass, Ints
from roadscan.inventory.sightings import Evidence, Sighting
from roadscan.survey.geodesy import Floats
from roadscan.taxonomy import AssetClass, Geometry

HIT_PRIOR = (1.6, 2.0)  # two frames at a detector's usual 80 %, so that one hit in one frame is not certainty


@dataclass(eq=False)
class Asset:
    """One asset of the register.

    Attributes:
        asset_class: what it is.
        lon, lat: position; of a line its middle.
        cov: (2, 2) square metres, east first.
        lines: each drive's outline of a line asset, (n, 2) lon/lat.
        offset_m, course: of its first sighting: to the right of travel, and the direction of travel in radians.
        courses: directions of travel in which it was seen, one for each half of the compass.
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
    courses: list[float] = field(default_factory=list)
    drives: set[str] = field(default_factory=set)
    dates: set[date] = field(default_factory=set)
    unannounced: bool = False

    @property
    def hit_rate(self) -> float:
        """Chance that a covering frame shows it."""
        return (self.covered_hits + HIT_PRIOR[0]) / (self.covered + HIT_PRIOR[1])

    @property
    def outline(self) -> Floats | None:
        """Of a line asset the outline of median length (the longer of two), (n, 2) lon/lat."""
        if not self.lines:
            return None
        lengths = [shapely.LineString(line).length for line in self.lines]
        return self.lines[int(np.argsort(lengths, kind="stable")[len(lengths) // 2])]

    def faces(self, heading: float) -> bool:
        """Whether it was ever seen in about that direction, radians: a sign has a back."""
        return any(np.cos(heading - course) > 0 for course in self.courses)

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
    return Asset(
        asset_class=sighting.asset_class,
        lon=float(lon),
        lat=float(lat),
        cov=sighting.cov + np.eye(2) * gnss_sigma_m**2,
        lines=[] if sighting.line_xy is None else [_lonlat(drive, sighting.line_xy)],
        offset_m=sighting.offset_m,
        course=sighting.course,
        state="confirmed" if sighting.confirmed else "candidate",
        first_seen=sighting.first_seen,
        last_seen=sighting.last_seen,
        evidence=sighting.evidence,
    )


def fuse(drive: DrivePass, asset: Asset, sighting: Sighting, gnss_sigma_m: float) -> None:
    """Move an asset by one more drive's estimate.

    Each drive's estimate has its own GNSS bias, so its covariance is never below that bias's; drives are independent,
    and n of them bring the register's own bias down by the square root of n. The drive's shift is for matching only:
    applied here, it would carry the first drive's bias into every other.
    """
    if sighting.line_xy is not None:
        asset.lines.append(_lonlat(drive, sighting.line_xy))
        outline = asset.outline
        assert outline is not None
        asset.lon, asset.lat = line_middle(outline)
        asset.cov = sighting.cov + np.eye(2) * gnss_sigma_m**2  # the outline is one drive's, whatever their number
        return
    old = np.array(drive.frame.to_xy(asset.lon, asset.lat))
    gain = asset.cov @ np.linalg.inv(asset.cov + sighting.cov + np.eye(2) * gnss_sigma_m**2)
    lon, lat = drive.frame.to_lonlat(*(old + gain @ (sighting.xy - old)))
    asset.lon, asset.lat = float(lon), float(lat)
    asset.cov = (np.eye(2) - gain) @ asset.cov
    asset.cov = (asset.cov + asset.cov.T) / 2


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
    if not asset.faces(sighting.course):
        asset.courses.append(sighting.course)
    asset.first_seen = min(asset.first_seen, sighting.first_seen)
    asset.last_seen = max(asset.last_seen, sighting.last_seen)
    if sighting.evidence.weight > asset.evidence.weight:
        asset.evidence = sighting.evidence


def absorb(whole: Asset, piece: Asset) -> None:
    """Make one asset of two: the whole takes over what was seen of its piece."""
    whole.hits += piece.hits
    whole.score_sum += piece.score_sum
    whole.covered += piece.covered
    whole.covered_hits += piece.covered_hits
    whole.dates |= piece.dates
    whole.drives |= piece.drives
    whole.courses += [course for course in piece.courses if not whole.faces(course)]
    if "confirmed" in (whole.state, piece.state):
        whole.state = "confirmed"
    whole.first_seen = min(whole.first_seen, piece.first_seen)
    whole.last_seen = max(whole.last_seen, piece.last_seen)
    whole.evidence = max(whole.evidence, piece.evidence, key=lambda evidence: evidence.weight)


def line_middle(line: Floats) -> tuple[float, float]:
    """Longitude and latitude half way along a line."""
    middle = shapely.LineString(line).interpolate(0.5, normalized=True)
    return float(middle.x), float(middle.y)


def _lonlat(drive: DrivePass, xy: Floats) -> Floats:
    return np.stack(drive.frame.to_lonlat(*xy.T), axis=1)
