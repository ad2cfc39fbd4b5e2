"""What lies under the assets: where drives went, and the centrelines with their kilometres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadscan.arrays import Floats, Ints
from roadscan.inventory.query import query_release
from roadscan.inventory.reference import LinearReference, format_km
from roadscan.view.mercator import degrees, unclipped
from roadscan.view.mvt import EXTENT, Layer, tile
from roadscan.view.tiles import TileFrame
from roadscan.warehouse import Release, Warehouse

DRIVES_FROM, DRIVES_TO = 10, 14  # zooms: further out a tile may have the frames of a whole country
GAP_S = 20  # between two frames, from which the way between them is not known
BESIDE = 0.02  # of a tile, that is read around it so that ways do not end at its edge
FRAME_COLUMNS = ["drive_id", "captured_at", "camera_lon", "camera_lat"]
KM_STEPS = ((14, 1), (12, 5), (10, 10), (8, 50), (0, 100))  # zoom from which each so manieth kilometre has its post


def cut_drives(warehouse: Warehouse, release: Release, zoom: int, column: int, row: int) -> bytes:
    """A tile of the ways that drives took, of frames that have a place and a time."""
    frame, layer = TileFrame(zoom, column, row), Layer("drives")
    for drive_id, x, y, start in _ways(_frames(warehouse, release, frame)):
        for parts in frame.clipped(x, y, start):
            layer.line([part for part in map(_thinned, parts) if len(part) > 1], {"drive": drive_id})
    return tile([layer])


def drives_geojson(warehouse: Warehouse, release: Release, most: int) -> dict[str, Any]:
    """The ways that drives took as GeoJSON; none where the release has more than so many frames."""
    features = []
    if release.rows("frames") <= most:
        for drive_id, x, y, start in _ways(_frames(warehouse, release, TileFrame(0, 0, 0))):
            lonlat = np.stack(degrees(x, y), axis=1).round(6)
            lines = [lonlat[a:b].tolist() for a, b in zip(start.tolist(), start.tolist()[1:], strict=False)]
            geometry = {"type": "MultiLineString", "coordinates": lines}
            features.append({"type": "Feature", "geometry": geometry, "properties": {"drive": drive_id}})
    return {"type": "FeatureCollection", "features": features}


def _frames(warehouse: Warehouse, release: Release, frame: TileFrame) -> pa.Table:
    margin = frame.side * BESIDE
    x = np.array([frame.west - margin, frame.west + frame.side + margin])
    y = np.array([frame.north + frame.side + margin, frame.north - margin])
    (west, east), (south, north) = (values.tolist() for values in degrees(x, y))
    lon, lat = pc.field("camera_lon"), pc.field("camera_lat")
    inside = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north) & pc.field("captured_at").is_valid()
    if not release.has("frames"):
        return pa.table({name: [] for name in FRAME_COLUMNS})
    found = warehouse.dataset(release, "frames").to_table(columns=FRAME_COLUMNS, filter=inside)
    return found.sort_by([("drive_id", "ascending"), ("captured_at", "ascending")])


def _ways(frames: pa.Table) -> list[tuple[str, Floats, Floats, Ints]]:
    """Of each drive its way: places in the map's square, and where each unbroken part begins."""
    if not frames.num_rows:
        return []
    x, y = unclipped(frames["camera_lon"].to_numpy(), frames["camera_lat"].to_numpy())
    seconds = frames["captured_at"].cast(pa.int64()).to_numpy() // 1_000_000
    drive = frames["drive_id"].combine_chunks().dictionary_encode()
    code = drive.indices.to_numpy()
    breaks = np.flatnonzero((np.diff(code) != 0) | (np.diff(seconds) > GAP_S)) + 1
    start = np.concatenate([[0], breaks, [len(code)]])
    ways = []
    for number, name in enumerate(drive.dictionary.to_pylist()):
        parts = [n for n in range(len(start) - 1) if code[start[n]] == number and start[n + 1] - start[n] > 1]
        if parts:
            at = np.concatenate([np.arange(start[n], start[n + 1]) for n in parts])
            lengths = [start[n + 1] - start[n] for n in parts]
            ways.append((name, x[at], y[at], np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)))
    return ways


def _thinned(line: Ints) -> Ints:
    """A line without the vertices that lie within a quarter of a pixel of the one before."""
    if len(line) < 3:
        return line
    step = np.abs(np.diff(line // (EXTENT // 2048), axis=0)).sum(axis=1) > 0
    keep = np.concatenate([[True], step])
    keep[-1] = True
    return np.asarray(line[keep], np.int64)


@dataclass(frozen=True)
class Kilometres:
    """Centrelines and their posts, in units of the map's square.

    Attributes:
        x, y, start: vertices, and where each centreline's begin.
        names: of each centreline, as its route and section.
        post_x, post_y, post_km: of each whole kilometre.
    """

    x: Floats
    y: Floats
    start: Ints
    names: list[str]
    box: Floats
    post_x: Floats
    post_y: Floats
    post_km: Ints


def kilometres(reference: LinearReference) -> Kilometres:
    """A linear reference as the map draws it."""
    lines = reference.centrelines
    lon, lat = (np.concatenate([getattr(line, name) for line in lines]) for name in ("lon", "lat"))
    x, y = unclipped(lon, lat)
    start = np.concatenate([[0], np.cumsum([len(line.lon) for line in lines])]).astype(np.int64)
    low, high = ([how.reduceat(v, start[:-1]) for v in (x, y)] for how in (np.minimum, np.maximum))
    posts = []
    for n, line in enumerate(lines):
        km = np.arange(np.ceil(line.m[0] / 1000), np.floor(line.m[-1] / 1000) + 1)
        part = slice(start[n], start[n + 1])
        posts.append(np.stack([np.interp(km * 1000, line.m, x[part]), np.interp(km * 1000, line.m, y[part]), km], 1))
    post = np.concatenate(posts)
    names = [f"{line.route_code} {line.section_code}" for line in lines]
    return Kilometres(x, y, start, names, np.stack([*low, *high], 1), post[:, 0], post[:, 1], post[:, 2].astype(int))


def cut_kilometres(known: Kilometres, zoom: int, column: int, row: int) -> bytes:
    """A tile of centrelines, and of as many kilometre posts as have room."""
    frame = TileFrame(zoom, column, row)
    lines, posts = Layer("centrelines"), Layer("posts")
    near = np.flatnonzero(frame.touches(known.box))
    for n in near.tolist():
        part = slice(known.start[n], known.start[n + 1])
        count = part.stop - part.start
        for parts in frame.clipped(known.x[part], known.y[part], np.array([0, count])):
            lines.line([one for one in map(_thinned, parts) if len(one) > 1], {"name": known.names[n]})
    each = next(step for start, step in KM_STEPS if zoom >= start)
    box = np.stack([known.post_x, known.post_y, known.post_x, known.post_y], 1)
    here = np.flatnonzero(frame.touches(box) & (known.post_km % each == 0))
    xy = frame.inside(known.post_x[here], known.post_y[here]).tolist()
    for (x, y), post in zip(xy, here.tolist(), strict=True):
        posts.point(x, y, {"km": format_km(1000 * int(known.post_km[post]))})
    return tile([lines, posts])


def survey_age(warehouse: Warehouse, release: Release) -> list[dict[str, Any]]:
    """Every kilometre of the network, and how long ago a drive was there; none where the register has no reference."""
    rows: list[dict[str, Any]] = query_release(
        warehouse, release, "SELECT route_code, section_code, km, lon, lat, drives, days FROM survey_age"
    ).to_pylist()
    return rows
