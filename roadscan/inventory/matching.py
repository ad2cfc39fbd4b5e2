"""Which assets of the register a drive saw: its local shift first, then one-to-one matches within a gate."""

from __future__ import annotations

import numpy as np
import shapely
from scipy.spatial import cKDTree

from roadscan.inventory.assets import Asset
from roadscan.inventory.associate import GATE_CHI2, nearby_pairs, one_to_one
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive_pass import DrivePass, Ints
from roadscan.inventory.sightings import Sighting
from roadscan.survey.geodesy import Floats
from roadscan.taxonomy import AssetClass, Geometry

SIDE_MARGIN_M = 2.0  # nearer to the path than this, left and right may be confused
TWIN_REACH = 1.5  # of `merge_m`, for two assets that may be one as far as their covariances tell
SHIFT_SAMPLES = 3  # fewer unambiguous matches make no shift


def match_landmarks(
    assets: list[Asset], places: Floats, sightings: list[Sighting], config: InventoryConfig
) -> tuple[list[tuple[int, int]], Floats]:
    """Which point and overhead sightings are which assets, one to one.

    Args:
        assets: the register's, near the drive.
        places: (n, 2) where they lie in the drive's metres.
        sightings: the drive's.
        config: gates, and the window of the shift.

    Returns:
        Pairs of (asset, sighting) indices, and for each sighting the shift (m, 2) from the drive's to the register's
        positions: the median over unambiguous matches of point assets nearby.
    """
    xy = np.array([s.xy for s in sightings]).reshape(-1, 2)
    gates = np.array([gate_m(s.asset_class, config) for s in sightings])
    points = np.array([s.asset_class.geometry is Geometry.POINT for s in sightings], bool)
    # The shift is not known yet, so its samples come only from matches without a rival.
    i, j = _allowed(assets, places, sightings, xy, gates)
    lonely = (np.bincount(i, minlength=len(assets))[i] == 1) & (np.bincount(j, minlength=len(xy))[j] == 1)
    sure = lonely & points[j]
    shift = local_shift(xy[j[sure]], places[i[sure]] - xy[j[sure]], xy, config.shift_window_m)
    i, j = _allowed(assets, places, sightings, xy + shift, gates)
    chi2 = _mahalanobis(assets, places, sightings, xy + shift, i, j, config.gnss_sigma_m)
    near = chi2 <= GATE_CHI2
    i, j, chi2 = i[near], j[near], chi2[near]
    chosen = one_to_one(i, j, chi2, miss_cost=GATE_CHI2)
    return list(zip(i[chosen].tolist(), j[chosen].tolist(), strict=True)), shift


def match_lines(
    lines: list[tuple[str, Floats]], known: list[tuple[str, Floats]], width_m: float
) -> list[tuple[int, int]]:
    """Each line with the known line of its class that it runs beside for longest.

    Args:
        lines: class and (n, 2) metres of each.
        known: likewise; of these one may be matched by several lines, when they are pieces of it.
        width_m: how far apart they may run.

    Returns:
        Pairs of (known, line) indices, longest common length first.
    """
    if not lines or not known:
        return []
    shapes = np.array([shapely.LineString(xy) for _, xy in known])
    tree = shapely.STRtree(shapes)
    best: list[tuple[float, int, int]] = []
    for k, (class_name, xy) in enumerate(lines):
        shape = shapely.LineString(xy)
        near = [n for n in tree.query(shape, predicate="dwithin", distance=width_m) if known[n][0] == class_name]
        common = [(-shared_length_m(shapes[n], shape, width_m), int(n), k) for n in near]
        best += [pair for pair in sorted(common)[:1] if pair[0] < 0]
    return [(n, k) for _, n, k in sorted(best)]


def pieces(lines: list[tuple[str, Floats]], width_m: float, share: float) -> list[tuple[int, int]]:
    """Pairs of (piece, whole): lines of which at least `share` runs beside one longer line of their class.

    Args:
        lines: class and (n, 2) metres of each.
        width_m: how far apart they may run.
        share: 0..1.
    """
    shapes = [shapely.LineString(xy) for _, xy in lines]
    order = sorted(range(len(lines)), key=lambda n: (-shapes[n].length, n))
    found: list[tuple[int, int]] = []
    gone: set[int] = set()
    for place, whole in enumerate(order):
        for piece in order[place + 1 :] if whole not in gone else ():
            alike = lines[piece][0] == lines[whole][0] and piece not in gone
            if alike and shared_length_m(shapes[piece], shapes[whole], width_m) >= share * shapes[piece].length:
                found.append((piece, whole))
                gone.add(piece)
    return found


def shared_length_m(a: shapely.LineString, b: shapely.LineString, width_m: float) -> float:
    """How much of two lines runs within `width_m` of each other: the smaller of both ways to measure it.

    >>> shared_length_m(shapely.LineString([(0, 0), (10, 0)]), shapely.LineString([(4, 1), (30, 1)]), 1.0)
    6.0
    """
    if shapely.distance(a, b) > width_m:
        return 0.0
    beside_b = a.intersection(shapely.buffer(b, width_m, cap_style="flat")).length
    beside_a = b.intersection(shapely.buffer(a, width_m, cap_style="flat")).length
    return float(min(beside_a, beside_b))


def gate_m(asset: AssetClass, config: InventoryConfig) -> float:
    """How far from an estimate an asset of the class is looked for; of a line nothing, it is matched by overlap."""
    gates = {Geometry.POINT: config.match_gate_m, Geometry.OVERHEAD: config.overhead_gate_m, Geometry.LINE: 0.0}
    return gates[asset.geometry]


def local_shift(xy: Floats, residual_xy: Floats, at_xy: Floats, window_m: float) -> Floats:
    """The median residual near each place, (n, 2): of all residuals where too few are near, zero where too few exist.

    Args:
        xy: (m, 2) where the residuals were taken.
        residual_xy: (m, 2) metres.
        at_xy: (n, 2) places.
        window_m: radius of the neighbourhood.
    """
    if len(xy) < SHIFT_SAMPLES:
        return np.zeros_like(at_xy)
    everywhere = np.median(residual_xy, axis=0)
    near = cKDTree(xy).query_ball_point(at_xy, window_m)
    rows = [np.median(residual_xy[n], axis=0) if len(n) >= SHIFT_SAMPLES else everywhere for n in near]
    return np.array(rows).reshape(-1, 2)


def _mahalanobis(
    assets: list[Asset], places: Floats, sightings: list[Sighting], xy: Floats, i: Ints, j: Ints, gnss_sigma_m: float
) -> Floats:
    """Squared distance of each pair in standard deviations of both positions and of the drive's GNSS bias."""
    own = np.array([assets[a].cov + sightings[b].cov for a, b in zip(i, j, strict=True)]).reshape(-1, 2, 2)
    off = places[i] - xy[j]
    return np.asarray(np.einsum("mi,mij,mj->m", off, np.linalg.inv(own + np.eye(2) * gnss_sigma_m**2), off))


def _allowed(
    assets: list[Asset], places: Floats, sightings: list[Sighting], xy: Floats, gates: Floats
) -> tuple[Ints, Ints]:
    """Pairs within the sighting's gate, of one class and on one side of the road, as indices."""
    i, j, distance = nearby_pairs(places, xy, float(max(gates, default=0.0)))
    good = (distance <= gates[j]) & (gates[j] > 0)
    good &= np.array([_comparable(assets[a], sightings[b]) for a, b in zip(i, j, strict=True)], bool)
    return i[good], j[good]


def _comparable(asset: Asset, sighting: Sighting) -> bool:
    """One class, and not clearly on different sides.

    Driven the other way a side says nothing: on a divided road what stands in the middle is to the right both times.
    """
    if asset.asset_class != sighting.asset_class:
        return False
    if sighting.asset_class.geometry is Geometry.OVERHEAD:
        return True
    turn = np.cos(asset.course - sighting.course)
    if turn < 0.7 or min(abs(asset.offset_m), abs(sighting.offset_m)) < SIDE_MARGIN_M:
        return True
    return bool(np.sign(asset.offset_m) == np.sign(sighting.offset_m))


def twins(assets: list[Asset], places: Floats) -> list[tuple[int, int]]:
    """Pairs of point assets of one class too close to be two, nearest first; the one that is listed first is first.

    Within the class's `merge_m`, or somewhat farther where their positions are too unsure to tell them apart.

    Args:
        assets: in the order in which they were found.
        places: (n, 2) metres.
    """
    reach = max((a.asset_class.merge_m for a in assets), default=0.0) * TWIN_REACH
    found = []
    for i, j, distance in zip(*(part.tolist() for part in nearby_pairs(places, places, reach)), strict=True):
        one, other = assets[i], assets[j]
        if i < j and one.asset_class == other.asset_class and one.asset_class.geometry is Geometry.POINT:
            off = places[i] - places[j]
            unsure = off @ np.linalg.inv(one.cov + other.cov) @ off <= GATE_CHI2
            if distance <= one.asset_class.merge_m * (TWIN_REACH if unsure else 1):
                found.append((distance, i, j))
    return [(i, j) for _, i, j in sorted(found)]


def drive_places(drive: DrivePass, assets: list[Asset]) -> Floats:
    """Where assets lie in a drive's metres, (n, 2)."""
    lonlat = np.array([(a.lon, a.lat) for a in assets]).reshape(-1, 2)
    return np.stack(drive.frame.to_xy(*lonlat.T), axis=1)
