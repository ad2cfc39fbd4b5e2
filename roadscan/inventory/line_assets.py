"""All line assets of a region from all drives through it: the outlines that most drives agree on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import shapely

from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.coverage import SECTORS, covering, look_steps, passed_by, sector_of
from roadscan.inventory.drive_pass import DrivePass
from roadscan.inventory.existence import Looks
from roadscan.inventory.matching import match_lines, pieces
from roadscan.inventory.outline import SAMPLE_M, sample, strip, union, vote
from roadscan.inventory.sightings import Sighting
from roadscan.survey.geodesy import Floats
from roadscan.taxonomy import AssetClass

PIECE_SHARE = 0.6  # of a line beside a longer one that makes it a piece of that one …
PIECE_M = 15.0  # … as does this length: rails of one road that overlap stand farther apart
COVERED_SHARE = 0.5  # of a line that must be looked at before the line can be missing
ABSENT_SHARE = 0.2  # of what was looked at that may still be seen when the line is called missing
LINE_LOOKS = 4  # that a drive along a line is worth, however long it is; so many frames must show it for all of that


@dataclass(eq=False)
class LineAsset:
    """One line asset.

    Attributes:
        asset_class: what it is.
        outline: (n, 2) metres, all that drives saw of it; in the end what they agree on.
        sightings: number of the drive, and what it saw.
        lines: what each of those saw, (n, 2) metres, the drive's bias taken away.
    """

    asset_class: AssetClass
    outline: Floats
    sightings: list[tuple[int, Sighting]]
    lines: list[Floats]


@dataclass(frozen=True)
class LineLook:
    """A drive as a witness of lines.

    Attributes:
        drive: which one.
        camera: (f, 2) where its frames were taken, metres, its bias taken away.
        heading: (f,) of the camera, radians clockwise from north.
        sightings: its lines.
        lines: (n, 2) of each, its bias taken away.
        width_m: how far beside a line its places may lie.
    """

    drive: DrivePass
    camera: Floats
    heading: Floats
    sightings: list[Sighting]
    lines: list[Floats]
    width_m: float

    @cached_property
    def _strips(self) -> dict[AssetClass, shapely.Geometry]:
        """What lies beside its lines of each class."""
        classes = {sighting.asset_class for sighting in self.sightings}
        pairs = list(zip(self.sightings, self.lines, strict=True))
        return {one: strip([xy for s, xy in pairs if s.asset_class == one], self.width_m) for one in classes}

    def saw(self, asset_class: AssetClass, places: Floats) -> npt.NDArray[np.bool_]:
        """Beside which places (n, 2) it saw a line of a class."""
        if asset_class not in self._strips:
            return np.zeros(len(places), bool)
        return np.asarray(shapely.intersects_xy(self._strips[asset_class], places[:, 0], places[:, 1]), bool)


def find_line_assets(looks: list[LineLook], config: InventoryConfig) -> list[LineAsset]:
    """The line assets that drives saw, in the order in which they were driven."""
    assets: list[LineAsset] = []
    for number, look in enumerate(looks):
        near = [asset for asset in assets if _passed(look, asset)]
        known = [(asset.asset_class.name, asset.outline) for asset in near]
        seen = [(s.asset_class.name, xy) for s, xy in zip(look.sightings, look.lines, strict=True)]
        pairs = match_lines(seen, known, config.line_overlap_m)
        for n, k in pairs:
            near[n].lines.append(look.lines[k])
            near[n].sightings.append((number, look.sightings[k]))
            near[n].outline = union([near[n].outline, look.lines[k]])
        matched = {k for _, k in pairs}
        for k, (sighting, xy) in enumerate(zip(look.sightings, look.lines, strict=True)):
            if k not in matched:
                assets.append(LineAsset(sighting.asset_class, xy, [(number, sighting)], [xy]))
        assets = _joined(look, assets, config)
    for asset in assets:
        asset.outline = vote(asset.lines, _unseen(looks, asset, config))
    return assets


def line_looks(assets: list[LineAsset], looks: list[LineLook], config: InventoryConfig) -> Looks:
    """What each drive says of each line: seen, or looked along and not seen."""
    rows = []
    for number, look in enumerate(looks):
        for n, asset in enumerate(assets):
            if not _passed(look, asset):
                continue
            places = sample(asset.outline, 2 * SAMPLE_M)
            looked = _looked(look, asset, places, config)
            share = float((look.saw(asset.asset_class, places) & looked).sum() / max(1, looked.sum()))
            frames = sum(sighting.hits for by, sighting in asset.sightings if by == number)
            if frames or (looked.any() and share >= ABSENT_SHARE):
                rows.append((n, number, min(max(frames, 1), LINE_LOOKS), LINE_LOOKS))
            elif looked.mean() >= COVERED_SHARE:
                rows.append((n, number, 0, LINE_LOOKS))
    table = np.array(rows, np.int64).reshape(-1, 4)
    return Looks(table[:, 0], table[:, 1], table[:, 2], table[:, 3], np.zeros(len(table), bool))


def _passed(look: LineLook, asset: LineAsset) -> bool:
    low, high = look.camera.min(axis=0) - 200, look.camera.max(axis=0) + 200
    return bool((asset.outline.max(axis=0) >= low).all() and (asset.outline.min(axis=0) <= high).all())


def _looked(look: LineLook, asset: LineAsset, places: Floats, config: InventoryConfig) -> npt.NDArray[np.bool_]:
    """At which places of an asset the drive looked often enough to have seen it."""
    headings = [s.course for _, s in asset.sightings]
    sectors = np.zeros((len(places), SECTORS), bool)
    sectors[:, np.unique(sector_of(np.array(headings)))] = True
    place, frame = covering(look.drive, look.camera, look.heading, places, sectors, config)
    ahead = look.drive.ahead[frame]
    step = look_steps(look.drive)[frame[ahead]]
    once = np.unique(place[ahead] * (int(step.max(initial=0)) + 1) + step) // (int(step.max(initial=0)) + 1)
    often = np.bincount(once, minlength=len(places)) >= config.coverage_frames
    reach = max(abs(sighting.offset_m) for _, sighting in asset.sightings)
    return np.asarray(often & passed_by(look.drive, places, np.full(len(places), reach)))


def _unseen(looks: list[LineLook], asset: LineAsset, config: InventoryConfig) -> list[Floats]:
    """For each drive that saw a line the places on it where the drive looked and saw nothing of it, (n, 2)."""
    places = sample(asset.outline, SAMPLE_M)
    found = []
    for number in sorted({number for number, _ in asset.sightings}):
        absent = _looked(looks[number], asset, places, config) & ~looks[number].saw(asset.asset_class, places)
        if absent.any():
            found.append(places[absent])
    return found


def _joined(look: LineLook, assets: list[LineAsset], config: InventoryConfig) -> list[LineAsset]:
    """A line that an earlier drive saw in pieces is one asset once a drive has seen it whole."""
    near = [asset for asset in assets if _passed(look, asset)]
    gone: set[LineAsset] = set()
    for piece, whole in pieces(
        [(a.asset_class.name, a.outline) for a in near], config.line_overlap_m, PIECE_SHARE, PIECE_M
    ):
        one, other = near[whole], near[piece]
        one.lines += other.lines
        one.sightings = sorted(one.sightings + other.sightings, key=lambda seen: seen[0])
        one.outline = union([one.outline, other.outline])
        gone.add(other)
    return [asset for asset in assets if asset not in gone]


def middle_of(line: Floats) -> Floats:
    """The point half way along a line, (2,)."""
    return np.asarray(shapely.get_coordinates(shapely.LineString(line).interpolate(0.5, normalized=True))[0])
