"""The line segments of all drives to line assets: the outlines that most drives agree on, and whether they stand.

Legend: D drives, N lines, P lines of the prior, V vertices of a line, Q places along it, F frames of a drive. ENU
metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import shapely
from scipy.spatial import cKDTree

from roadscan.arrays import Bools, Floats, Ints
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive.estimates import DriveEstimates, LineSegment
from roadscan.inventory.drive.passes import DAY_US, DrivePass
from roadscan.inventory.fuse.existence import Belief, Standing, filter_existence, log_likelihood_ratio
from roadscan.inventory.fuse.pool import PRIOR
from roadscan.inventory.fuse.prior import LinePrior, merged
from roadscan.inventory.fuse.tally import NO_DAY
from roadscan.inventory.fuse.visibility import (
    SECTORS,
    AlignedDrive,
    Targets,
    Visibility,
    in_view,
    opportunity_of,
    sector_of,
)
from roadscan.inventory.geometry.polylines import SAMPLE_M, match_lines, pieces, sample, strip, union, vote
from roadscan.taxonomy import AssetClass, Taxonomy

PIECE_SHARE = 0.6  # of a line beside a longer one that makes it a piece of that one …
PIECE_M = 15.0  # … as does this length: rails of one road that overlap stand farther apart
VIEWED_SHARE = 0.5  # of a line that must be looked at before the line can be missing
ABSENT_SHARE = 0.2  # of what was looked at that may still be seen when the line is called missing
LINE_OPPORTUNITIES = 4  # that a drive along a line has, however long it is; so many frames must show it for all of that
NEAR_M = 200.0  # beyond where a drive was, a line has nothing to do with it


@dataclass(eq=False)
class LineAsset:
    """One line asset.

    Attributes:
        asset_class: what it is.
        outline: (V, 2) metres, all that drives saw of it; in the end what they agree on.
        segments: number of the drive, or `PRIOR`, and what it saw.
        lines: what each of those saw, (V, 2) metres, the drive's bias taken away; the prior is one.
        known: the rows of the prior that it is.
    """

    asset_class: AssetClass
    outline: Floats
    segments: list[tuple[int, LineSegment]]
    lines: list[Floats]
    known: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class LineObservations:
    """A drive as a witness of lines.

    Attributes:
        view: from where it looked.
        segments: its lines.
        lines: (V, 2) of each, its bias taken away.
        width_m: how far beside a line its places may lie.
    """

    view: AlignedDrive
    segments: list[LineSegment]
    lines: list[Floats]
    width_m: float

    @cached_property
    def surroundings(self) -> tuple[Floats, Floats]:
        """The south-west and north-east corner of where the drive was, and `NEAR_M` around it."""
        camera_xy = self.view.camera_xy
        return camera_xy.min(axis=0) - NEAR_M, camera_xy.max(axis=0) + NEAR_M

    @cached_property
    def _strips(self) -> dict[AssetClass, shapely.Geometry]:
        """What lies beside its lines of each class."""
        classes = {segment.asset_class for segment in self.segments}
        pairs = list(zip(self.segments, self.lines, strict=True))
        return {one: strip([xy for s, xy in pairs if s.asset_class == one], self.width_m) for one in classes}

    def saw(self, asset_class: AssetClass, places: Floats) -> Bools:
        """Beside which places (Q, 2) it saw a line of a class."""
        if asset_class not in self._strips:
            return np.zeros(len(places), bool)
        return np.asarray(shapely.intersects_xy(self._strips[asset_class], places[:, 0], places[:, 1]), bool)


@dataclass(frozen=True)
class LineAssets:
    """The line assets of a region.

    Attributes:
        lines: N of them.
        cov: (N, 2, 2) square metres, of any place of each.
        visibility, ratio: what each drive says of each, and how much that speaks for it (log-likelihood ratio).
        standing: whether each stands.
        located: which places are sure enough to be confirmed.
        before: whether each stood, as the prior has it.
        prior, of_prior: what that says, and the number of each of its lines among these, (P,), -1 for none.
    """

    lines: list[LineAsset]
    cov: Floats
    visibility: Visibility
    ratio: Floats
    standing: Standing
    located: Bools
    before: Belief
    prior: LinePrior
    of_prior: Ints


def fuse_lines(
    views: list[AlignedDrive],
    estimates: list[DriveEstimates],
    taxonomy: Taxonomy,
    config: InventoryConfig,
    prior: LinePrior | None = None,
) -> LineAssets:
    """The line assets that drives saw.

    Args:
        views: (D) in the order in which they were driven, all in the same ENU metres.
        estimates: (D) of each drive.
        taxonomy: what is known of the classes.
        config: gates, sigmas and probabilities.
        prior: what earlier drives said, in the same metres.
    """
    prior = prior or LinePrior.none()
    observations = [
        LineObservations(view, one.lines, [_aligned(view, s) for s in one.lines], config.lines.overlap_m)
        for view, one in zip(views, estimates, strict=True)
    ]
    lines = find_line_assets(observations, config, _known_lines(prior, taxonomy))
    visibility = line_visibility(lines, observations, config)
    of_prior = np.full(len(prior.outlines), -1)
    for n, line in enumerate(lines):
        of_prior[line.known] = n
    before = merged(prior.belief, of_prior, len(lines))
    ratio = log_likelihood_ratio(visibility, np.zeros(len(lines), np.int64), config.existence, before)
    cov = np.array([np.max([s.cov for _, s in line.segments], axis=0) for line in lines]).reshape(-1, 2, 2)
    # Any metre of an outline lies where one drive saw it; each is aligned with the surest.
    sigma_m = np.array([min(s.sigma_m for _, s in line.segments) for line in lines])
    cov = cov + np.eye(2) * sigma_m[:, None, None] ** 2
    located = np.trace(cov, axis1=1, axis2=2) <= config.existence.confirm_sigma_m**2
    standing = filter_existence(visibility, ratio, located, config.existence, before)
    return LineAssets(lines, cov, visibility, ratio, standing, located, before, prior, of_prior)


def _known_lines(prior: LinePrior, taxonomy: Taxonomy) -> list[LineAsset]:
    """The lines of the prior, as they are before any drive is added."""
    return [
        LineAsset(
            taxonomy.get(name),
            outline,
            [(PRIOR, segment) for segment in segments],
            [outline] if segments else [],
            [number],
        )
        for number, (name, outline, segments) in enumerate(
            zip(prior.class_names, prior.outlines, prior.segments, strict=True)
        )
    ]


def _aligned(view: AlignedDrive, segment: LineSegment) -> Floats:
    """A segment's vertices (V, 2), each moved as the frame nearest to it along the way is."""
    nearest = cKDTree(view.drive.camera_xy).query(segment.line_xy)[1]
    return np.asarray(segment.line_xy + (view.camera_xy - view.drive.camera_xy)[nearest])


def find_line_assets(
    observations: list[LineObservations], config: InventoryConfig, of_prior: Sequence[LineAsset] = ()
) -> list[LineAsset]:
    """The line assets that drives saw, in the order in which they were driven, after those of the prior."""
    assets = list(of_prior)
    for number, drive in enumerate(observations):
        near = [asset for asset in assets if _near(drive, asset)]
        known = [(asset.asset_class.name, asset.outline) for asset in near]
        seen = [(s.asset_class.name, xy) for s, xy in zip(drive.segments, drive.lines, strict=True)]
        pairs = match_lines(seen, known, config.lines.overlap_m)
        for n, k in pairs:
            near[n].lines.append(drive.lines[k])
            near[n].segments.append((number, drive.segments[k]))
            near[n].outline = union([near[n].outline, drive.lines[k]])
        matched = {k for _, k in pairs}
        for k, (segment, xy) in enumerate(zip(drive.segments, drive.lines, strict=True)):
            if k not in matched:
                assets.append(LineAsset(segment.asset_class, xy, [(number, segment)], [xy]))
        assets = _pieces_joined(drive, assets, config)
    assets = [asset for asset in assets if asset.segments]
    for asset in assets:
        asset.outline = vote(asset.lines, _unseen(observations, asset, config))
    return assets


def line_visibility(
    assets: list[LineAsset], observations: list[LineObservations], config: InventoryConfig
) -> Visibility:
    """What each drive says of each line: seen, or looked along and not seen."""
    rows = []
    for number, drive in enumerate(observations):
        for n, asset in enumerate(assets):
            if not _near(drive, asset):
                continue
            places = sample(asset.outline, 2 * SAMPLE_M)
            viewed = _viewed(drive, asset, places, config)
            share = float((drive.saw(asset.asset_class, places) & viewed).sum() / max(1, viewed.sum()))
            frames = sum(segment.hits for by, segment in asset.segments if by == number)
            if frames or (viewed.any() and share >= ABSENT_SHARE):
                rows.append((n, number, min(max(frames, 1), LINE_OPPORTUNITIES), LINE_OPPORTUNITIES))
            elif viewed.mean() >= VIEWED_SHARE:
                rows.append((n, number, 0, LINE_OPPORTUNITIES))
    table = np.array(rows, np.int64).reshape(-1, 4)
    return Visibility(table[:, 0], table[:, 1], table[:, 2], table[:, 3], np.zeros(len(table), bool))


def _near(drive: LineObservations, asset: LineAsset) -> bool:
    low, high = drive.surroundings
    return bool((asset.outline.max(axis=0) >= low).all() and (asset.outline.min(axis=0) <= high).all())


def _viewed(drive: LineObservations, asset: LineAsset, places: Floats, config: InventoryConfig) -> Bools:
    """At which places (Q, 2) of an asset the drive looked often enough to have seen it."""
    view, n = drive.view, len(places)
    sectors = np.zeros((n, SECTORS), bool)
    sectors[:, np.unique(sector_of(np.array([s.course for _, s in asset.segments])))] = True
    reach_m = np.full(n, max(abs(segment.offset_m) for _, segment in asset.segments))
    place, frame = in_view(view, Targets(places, np.zeros(n, np.int64), reach_m, sectors), config.visibility)
    ahead = view.drive.looks_ahead[frame]
    step = opportunity_of(view.drive)[frame[ahead]]
    width = int(step.max(initial=0)) + 1
    opportunities = np.bincount(np.unique(place[ahead] * width + step) // width, minlength=n)
    return np.asarray(opportunities >= config.visibility.line_opportunities)


def _unseen(observations: list[LineObservations], asset: LineAsset, config: InventoryConfig) -> list[Floats]:
    """For each drive that saw a line the places on it where the drive looked and saw nothing of it, (Q, 2)."""
    places = sample(asset.outline, SAMPLE_M)
    found = []
    for number in sorted({number for number, _ in asset.segments} - {PRIOR}):
        drive = observations[number]
        absent = _viewed(drive, asset, places, config) & ~drive.saw(asset.asset_class, places)
        if absent.any():
            found.append(places[absent])
    return found


def _pieces_joined(drive: LineObservations, assets: list[LineAsset], config: InventoryConfig) -> list[LineAsset]:
    """The assets; a line that earlier drives saw in pieces is one once a drive has seen it whole."""
    near = [asset for asset in assets if _near(drive, asset)]
    gone: set[LineAsset] = set()
    outlines = [(asset.asset_class.name, asset.outline) for asset in near]
    for piece, whole in pieces(outlines, config.lines.overlap_m, PIECE_SHARE, PIECE_M):
        one, other = near[whole], near[piece]
        one.lines += other.lines
        one.known += other.known
        one.segments = sorted(one.segments + other.segments, key=lambda seen: seen[0])
        one.outline = union([one.outline, other.outline])
        gone.add(other)
    return [asset for asset in assets if asset not in gone]


@dataclass(frozen=True)
class Nights:
    """When a line was seen.

    Attributes:
        nights: UTC days on which a drive that saw it began.
        last_day: the last of them, days since 1970.
        last_drive: the id of the drive that saw it last, or None.
    """

    nights: int
    last_day: int
    last_drive: str | None

    @staticmethod
    def of(
        known: list[int], segments: list[tuple[int, LineSegment]], drives: list[DrivePass], prior: LinePrior
    ) -> Nights:
        """Those of a line.

        Args:
            known: the rows of the prior that it is.
            segments: number of the drive, or `PRIOR`, and what it saw.
            drives: (D,) all.
            prior: what earlier drives said.
        """
        last = max(known, key=lambda row: int(prior.last_day[row]), default=None)
        last_day, last_drive = (NO_DAY, None) if last is None else (int(prior.last_day[last]), prior.last_drive[last])
        later = [(drives[by], segment.rows) for by, segment in segments if by != PRIOR]
        days = {drive.started_us // DAY_US for drive, _ in later}
        nights = max((int(prior.nights[row]) for row in known), default=0) + sum(day > last_day for day in days)
        newest = max(later, key=lambda one: one[0].started_us, default=None)
        if newest is not None and newest[0].started_us // DAY_US >= last_day:
            drive, rows = newest
            last_drive = next(iter(drive.ids_of(rows[-1:])), drive.drive_id)
        return Nights(nights, max([last_day, *days]), last_drive)


def middle_of(line: Floats) -> Floats:
    """The point half way along a line, (2,)."""
    return np.asarray(shapely.get_coordinates(shapely.LineString(line).interpolate(0.5, normalized=True))[0])
