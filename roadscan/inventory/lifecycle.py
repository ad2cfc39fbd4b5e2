"""The register over time: what each drive adds, moves, misses and sees again.

Drives come in the order in which they were driven. A drive can only say that an asset is missing, or that it is new,
where its frames (or those of an earlier drive) covered the place so well that a standing asset would hardly have been
overlooked: what was not surveyed is never missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import shapely

from roadscan.inventory.assets import (
    Asset,
    absorb,
    count,
    fuse,
    new_asset,
    settle,
    to_lonlat,
    to_xy,
    views_of,
)
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.coverage import any_pointing, covering_frames
from roadscan.inventory.drive_pass import DrivePass, Ints
from roadscan.inventory.matching import (
    drive_places,
    match_landmarks,
    match_lines,
    pieces,
    shared_length_m,
    twins,
)
from roadscan.inventory.outline import SAMPLE_M, beside, sample
from roadscan.inventory.sightings import Sighting
from roadscan.survey.geodesy import Floats
from roadscan.taxonomy import Geometry

APART_M = 5.0  # of travel between two frames that count as two witnesses
LINE_STEP_M = 10.0  # between the places at which a line's coverage is looked up
LINE_COVERED_SHARE = 0.5  # of a line that must be covered before the line can be missing or new
LINE_PIECE_SHARE = 0.6  # of a line beside a longer one that makes it a piece of that one
LINE_ABSENT_SHARE = 0.2  # of a line that may still be seen when the line is called missing


@dataclass(frozen=True)
class Change:
    """One change of the register: `new`, `missing` or `reappeared`, and the drive that showed it."""

    asset: Asset
    change: str
    drive_id: str
    changed_at: datetime


@dataclass(frozen=True)
class _Look:
    """A drive as a witness of what is not there.

    Attributes:
        drive: which one.
        shift: (2,) from its positions to the register's.
        lines: its lines at the register's positions, (n, 2) each.
        explained: rows of its observations that show other assets for sure.
    """

    drive: DrivePass
    shift: Floats
    lines: list[Floats]
    explained: Ints


class Register:
    """All assets, and how the drives so far changed them."""

    def __init__(self, config: InventoryConfig) -> None:
        self.config = config
        self.assets: list[Asset] = []
        self.changes: list[Change] = []
        self._looks: list[_Look] = []

    def add(self, drive: DrivePass, sightings: list[Sighting]) -> None:
        """Bring in one drive, driven after all before it."""
        near = [asset for asset in self.assets if _in_bounds(drive, asset)]
        pairs, shift = match_landmarks(near, drive_places(drive, near), sightings, self.config)
        pairs += self._line_pairs(drive, near, sightings, shift)
        for n, k in pairs:
            self._see(drive, near[n], sightings[k])
        matched = {k for _, k in pairs}
        look = _look(drive, sightings, shift, matched)
        for asset in {near[n]: None for n, _ in pairs if near[n].lines}:
            self._vote(look, asset)
        for k, sighting in enumerate(sightings):
            if k not in matched:
                self._found(drive, sighting)
        self._join_lines(drive)
        self._join_twins(drive)
        self._miss(look)
        # A later drive's estimate may be a known asset's, too far off to match: so here nothing counts as explained.
        self._looks.append(_look(drive, sightings, shift, set()))

    def _line_pairs(
        self, drive: DrivePass, near: list[Asset], sightings: list[Sighting], shift: Floats
    ) -> list[tuple[int, int]]:
        """Pairs of (asset, sighting) indices of line assets; pieces of one line follow its longest."""
        assets = [(n, a.asset_class.name, a.outline) for n, a in enumerate(near)]
        known = [(n, name, to_xy(drive, outline)) for n, name, outline in assets if outline is not None]
        lines = [
            (k, s.asset_class.name, s.line_xy + shift[k]) for k, s in enumerate(sightings) if s.line_xy is not None
        ]
        pairs = match_lines([line[1:] for line in lines], [line[1:] for line in known], self.config.line_overlap_m)
        return [(known[n][0], lines[k][0]) for n, k in pairs]

    def _vote(self, look: _Look, asset: Asset) -> None:
        """Note where a drive saw nothing of a line that it saw elsewhere, and what the line is after that."""
        assert asset.outline is not None
        places = sample(to_xy(look.drive, asset.outline), SAMPLE_M)
        frames = self._telling(look.drive, asset, places - look.shift)
        looked = np.array([len(f) >= self.config.coverage_frames for f in frames])
        absent = looked & ~beside(places, look.lines, self.config.line_overlap_m)
        if absent.any():
            asset.unseen.append(to_lonlat(look.drive, places[absent]))
        settle(look.drive, asset)

    def _join_lines(self, drive: DrivePass) -> None:
        """A line that an earlier drive saw in pieces is one asset once a drive has seen it whole."""
        known = [a for a in self.assets if a.outline is not None and a.state != "missing" and _in_bounds(drive, a)]
        lines = [(a.asset_class.name, to_xy(drive, a.outline)) for a in known if a.outline is not None]
        gone: set[Asset] = set()
        for piece, whole in pieces(lines, self.config.line_overlap_m, LINE_PIECE_SHARE):
            absorb(drive, known[whole], known[piece])
            gone.add(known[piece])
        self._forget(gone)

    def _join_twins(self, drive: DrivePass) -> None:
        """Two assets too close to each other to be two, and never seen by one drive, are one; the older one stays."""
        near = [a for a in self.assets if a.asset_class.geometry is Geometry.POINT and _in_bounds(drive, a)]
        gone: set[Asset] = set()
        for i, j in twins(near, drive_places(drive, near)):
            older, younger = near[i], near[j]
            if gone & {older, younger} or older.drives & younger.drives:
                continue
            absorb(drive, older, younger)
            gone.add(younger)
            sure = older.pos_sigma_m <= self.config.confirm_sigma_m
            if older.state == "missing" and younger.state == "confirmed":
                self._note(drive, older, "reappeared")
                older.state = "confirmed"
            elif older.state == "candidate" and sure:
                self._confirm(drive, older)
        self._forget(gone)

    def _miss(self, look: _Look) -> None:
        """Confirmed assets that the drive should have seen and did not are missing, unless a twin was seen for them."""
        near = [a for a in self.assets if _in_bounds(look.drive, a)]
        seen = [look.drive.drive_id in a.drives for a in near]
        pairs = twins(near, drive_places(look.drive, near))
        stands = {n for pair in pairs for n, other in (pair, pair[::-1]) if seen[other]}
        for n, asset in enumerate(near):
            if not seen[n] and n not in stands and asset.state == "confirmed" and self._absent(look, asset):
                asset.state = "missing"
                self._note(look.drive, asset, "missing")

    def _forget(self, gone: set[Asset]) -> None:
        self.assets = [a for a in self.assets if a not in gone]
        self.changes = [c for c in self.changes if c.asset not in gone]

    def _see(self, drive: DrivePass, asset: Asset, sighting: Sighting) -> None:
        """Fuse a sighting into an asset. One more drive than made it a candidate confirms it, if its place is sure."""
        fuse(drive, asset, sighting, self.config.gnss_sigma_m)
        self._count(drive, asset, sighting)
        if asset.pos_sigma_m > self.config.confirm_sigma_m:
            return
        if asset.state != "missing":
            self._confirm(drive, asset)
        elif sighting.confirmed:
            self._note(drive, asset, "reappeared")
            asset.state = "confirmed"

    def _confirm(self, drive: DrivePass, asset: Asset) -> None:
        asset.state = "confirmed"
        if asset.unannounced:
            self._note(drive, asset, "new")
            asset.unannounced = False

    def _found(self, drive: DrivePass, sighting: Sighting) -> None:
        """A sighting of nothing that the register knows."""
        asset = new_asset(drive, sighting, self.config.gnss_sigma_m)
        self._count(drive, asset, sighting)
        asset.unannounced = any(self._absent(earlier, asset) for earlier in self._looks)
        if asset.state == "confirmed":
            self._confirm(drive, asset)
        self.assets.append(asset)

    def _count(self, drive: DrivePass, asset: Asset, sighting: Sighting) -> None:
        asset.views |= views_of(drive, sighting)  # first, for whether the frames look the right way
        count(drive, asset, sighting, self._telling(drive, asset, sighting.xy[None])[0])

    def _note(self, drive: DrivePass, asset: Asset, change: str) -> None:
        self.changes.append(Change(asset, change, drive.drive_id, drive.ended_at))

    def _telling(self, drive: DrivePass, asset: Asset, places: Floats) -> list[Ints]:
        """For each place of an asset the frames that should show it, `APART_M` of travel apart.

        They look about the way it was seen, and for a line ahead. What hides an asset, such as a lorry, hides it from
        a camera that stands still in every frame: that is one look.
        """
        looks = asset.faces(drive.poses.heading) & (drive.ahead if asset.lines else True)
        return [_apart(drive, frames[looks[frames]]) for frames in covering_frames(drive, places, self.config)]

    def _absent(self, look: _Look, asset: Asset) -> bool:
        """Whether a drive would hardly have overlooked an asset, and yet saw nothing of it."""
        drive = look.drive
        if not _in_bounds(drive, asset):
            return False
        places = _sample(drive, asset)
        frames = self._telling(drive, asset, places - look.shift)
        enough = [
            len(f) >= self.config.coverage_frames and (1 - asset.hit_rate) ** len(f) <= self.config.miss_probability
            for f in frames
        ]
        if np.mean(enough) < LINE_COVERED_SHARE:
            return False
        if not asset.lines:
            place = places[0] - look.shift
            return not any_pointing(drive, asset.asset_class.name, place, frames[0], look.explained)
        outline = shapely.LineString(places)
        common = sum(shared_length_m(outline, shapely.LineString(xy), self.config.line_overlap_m) for xy in look.lines)
        return common < LINE_ABSENT_SHARE * float(outline.length)


def _look(drive: DrivePass, sightings: list[Sighting], shift: Floats, known: set[int]) -> _Look:
    """The drive as a witness; `known` are the sightings that were matched to assets."""
    return _Look(
        drive,
        np.median(shift, axis=0) if len(shift) else np.zeros(2),
        [s.line_xy + shift[k] for k, s in enumerate(sightings) if s.line_xy is not None],
        np.concatenate([np.zeros(0, np.int64), *(sightings[k].rows for k in sorted(known))]),
    )


def _apart(drive: DrivePass, frames: Ints) -> Ints:
    """Of ascending frames those with `APART_M` of travel since the one before."""
    kept: list[int] = []
    for frame in frames.tolist():
        if not kept or drive.poses.s[frame] - drive.poses.s[kept[-1]] >= APART_M:
            kept.append(frame)
    return np.array(kept, np.int64)


def _in_bounds(drive: DrivePass, asset: Asset) -> bool:
    """Whether a drive passed an asset, or a part of it."""
    (west, south, east, north), (a_west, a_south, a_east, a_north) = drive.bounds_lonlat, asset.bounds_lonlat
    return west <= a_east and a_west <= east and south <= a_north and a_south <= north


def _sample(drive: DrivePass, asset: Asset) -> Floats:
    """Where an asset lies in a drive's metres: one place, or places along a line, (n, 2)."""
    if asset.outline is None:
        return drive_places(drive, [asset])
    return sample(to_xy(drive, asset.outline), LINE_STEP_M)
