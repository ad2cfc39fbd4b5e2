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

from roadscan.inventory.assets import Asset, absorb, count, fuse, new_asset
from roadscan.inventory.associate import nearby_pairs
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.coverage import any_pointing, covering_frames
from roadscan.inventory.drive_pass import DrivePass, Ints
from roadscan.inventory.matching import (
    drive_places,
    match_landmarks,
    match_lines,
    pieces,
    shared_length_m,
)
from roadscan.inventory.sightings import Sighting
from roadscan.survey.geodesy import WGS84, Floats

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
        seen: set[int] = set()
        for n, k in pairs:
            self._see(drive, near[n], sightings[k], again=n in seen)
            seen.add(n)
        matched = {k for _, k in pairs}
        look = _look(drive, sightings, shift, matched)
        for n, asset in enumerate(near):
            if n not in seen and asset.state == "confirmed" and self._absent(look, asset) and not self._twin(asset):
                asset.state = "missing"
                self._note(drive, asset, "missing")
        for k, sighting in enumerate(sightings):
            if k not in matched:
                self._found(drive, sighting)
        self._join_lines(drive)
        self._join_twins(drive)
        # A later drive's estimate may be a known asset's, too far off to match: so here nothing counts as explained.
        self._looks.append(_look(drive, sightings, shift, set()))

    def _line_pairs(
        self, drive: DrivePass, near: list[Asset], sightings: list[Sighting], shift: Floats
    ) -> list[tuple[int, int]]:
        """Pairs of (asset, sighting) indices of line assets; pieces of one line follow its longest."""
        assets = [(n, a.asset_class.name, a.outline) for n, a in enumerate(near)]
        known = [(n, name, np.stack(drive.frame.to_xy(*xy.T), 1)) for n, name, xy in assets if xy is not None]
        lines = [
            (k, s.asset_class.name, s.line_xy + shift[k]) for k, s in enumerate(sightings) if s.line_xy is not None
        ]
        pairs = match_lines([line[1:] for line in lines], [line[1:] for line in known], self.config.line_overlap_m)
        return [(known[n][0], lines[k][0]) for n, k in pairs]

    def _join_lines(self, drive: DrivePass) -> None:
        """A line that an earlier drive saw in pieces is one asset once a drive has seen it whole."""
        known = [(a, a.outline) for a in self.assets if a.lines and a.state != "missing" and _in_bounds(drive, a)]
        lines = [(a.asset_class.name, np.stack(drive.frame.to_xy(*xy.T), 1)) for a, xy in known if xy is not None]
        gone: set[Asset] = set()
        for piece, whole in pieces(lines, self.config.line_overlap_m, LINE_PIECE_SHARE):
            absorb(known[whole][0], known[piece][0])
            gone.add(known[piece][0])
        self._forget(gone)

    def _twin(self, asset: Asset) -> bool:
        """Whether another confirmed asset of the class stands where a second one cannot."""
        return any(
            other is not asset
            and other.asset_class == asset.asset_class
            and other.state == "confirmed"
            and not asset.lines
            and WGS84.inv(asset.lon, asset.lat, other.lon, other.lat)[2] < asset.asset_class.merge_m
            for other in self.assets
        )

    def _join_twins(self, drive: DrivePass) -> None:
        """Two assets that cannot both stand there, and that no drive saw both, are one; the older one stays."""
        near = [asset for asset in self.assets if not asset.lines and _in_bounds(drive, asset)]
        places = drive_places(drive, near)
        reach = max((asset.asset_class.merge_m for asset in near), default=0.0)
        gone: set[Asset] = set()
        for i, j, distance in zip(*nearby_pairs(places, places, reach), strict=True):
            older, younger = near[i], near[j]
            same = older.asset_class == younger.asset_class and distance < older.asset_class.merge_m
            if i < j and same and older.drives.isdisjoint(younger.drives) and not gone & {older, younger}:
                absorb(older, younger)
                gone.add(younger)
        self._forget(gone)

    def _forget(self, gone: set[Asset]) -> None:
        self.assets = [a for a in self.assets if a not in gone]
        self.changes = [c for c in self.changes if c.asset not in gone]

    def _see(self, drive: DrivePass, asset: Asset, sighting: Sighting, *, again: bool) -> None:
        """Fuse a sighting into an asset; a further piece of a line only counts."""
        if asset.state == "missing":
            if not sighting.confirmed:
                return
            self._note(drive, asset, "reappeared")
        if not again:
            fuse(drive, asset, sighting, self.config.gnss_sigma_m)
        # One more drive than it took to be a candidate confirms it, unless nobody knows where it is.
        if sighting.confirmed or asset.pos_sigma_m <= self.config.confirm_sigma_m:
            asset.state = "confirmed"
            if asset.unannounced:
                self._announce(drive, asset)
        self._count(drive, asset, sighting)

    def _found(self, drive: DrivePass, sighting: Sighting) -> None:
        """A sighting of nothing that the register knows."""
        asset = new_asset(drive, sighting, self.config.gnss_sigma_m)
        self._count(drive, asset, sighting)
        asset.unannounced = any(self._absent(earlier, asset) for earlier in self._looks)
        if asset.unannounced and asset.state == "confirmed":
            self._announce(drive, asset)
        self.assets.append(asset)

    def _announce(self, drive: DrivePass, asset: Asset) -> None:
        self._note(drive, asset, "new")
        asset.unannounced = False

    def _count(self, drive: DrivePass, asset: Asset, sighting: Sighting) -> None:
        count(drive, asset, sighting, covering_frames(drive, sighting.xy[None], self.config)[0])

    def _note(self, drive: DrivePass, asset: Asset, change: str) -> None:
        self.changes.append(Change(asset, change, drive.drive_id, drive.ended_at))

    def _absent(self, look: _Look, asset: Asset) -> bool:
        """Whether a drive would hardly have overlooked an asset, and yet saw nothing of it."""
        drive = look.drive
        if not _in_bounds(drive, asset):
            return False
        places = _sample(drive, asset)
        frames = [_telling(drive, asset, f) for f in covering_frames(drive, places - look.shift, self.config)]
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


def _telling(drive: DrivePass, asset: Asset, frames: Ints) -> Ints:
    """Of the frames that cover an asset those that would tell of it: from a side that it was seen from, and apart.

    What hides an asset, such as a lorry alongside, hides it in neighbouring frames together.
    """
    facing = frames[[asset.faces(float(heading)) for heading in drive.poses.heading[frames]]]
    _, first = np.unique(drive.poses.s[facing] // APART_M, return_index=True)
    return facing[first]


def _in_bounds(drive: DrivePass, asset: Asset) -> bool:
    """Whether a drive passed an asset, or a part of it."""
    west, south, east, north = drive.bounds_lonlat
    places = np.array([[asset.lon, asset.lat]]) if asset.outline is None else asset.outline
    low, high = places.min(axis=0), places.max(axis=0)
    return bool(low[0] <= east and high[0] >= west and low[1] <= north and high[1] >= south)


def _sample(drive: DrivePass, asset: Asset) -> Floats:
    """Where an asset lies in a drive's metres: one place, or places along a line, (n, 2)."""
    outline = asset.outline
    if outline is None:
        return drive_places(drive, [asset])
    line = shapely.LineString(np.stack(drive.frame.to_xy(*outline.T), axis=1))
    return np.asarray(shapely.get_coordinates(shapely.segmentize(line, LINE_STEP_M)))
