"""Vector tiles of a register: every asset where they are few, one of each place where they are many.

A tile has up to four layers. Where it holds no more than `MOST` assets that pass, `assets` has each of them with its
id, `ellipses` the 95 % ellipse of its position (close up), and `lines` those that are lines, where their length can be
seen; else `crowd` has one asset for all that lie within 4 px of a screen, which is a sample: the first in the order of
the map, whatever its state. Properties: `id`, `c` and `s` are the id and the numbers of class and state.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from roadscan.arrays import Ints
from roadscan.errors import ConfigError
from roadscan.view.filters import Filter
from roadscan.view.mercator import BITS, degrees, keys_of_tile, units_a_metre
from roadscan.view.mvt import EXTENT, Layer, tile
from roadscan.view.register import MapRegister

MAX_ZOOM = 18
MOST = 3000
TILE_PX = 512
CELL_BITS = 7  # 128 cells a side of a tile: 4 px
ELLIPSES_FROM = 16  # zoom at which a standard error of 1 m is 1 px
ELLIPSES_REACH = EXTENT // 4  # units beyond a tile's edges: 38 m at the highest zoom
ELLIPSE = 2.4477  # standard errors: the root of the 95 % quantile of chi-squared with two degrees of freedom
CORNERS = np.linspace(0, 2 * np.pi, 32, endpoint=False)
BUFFER = 64  # units of a tile beyond its edges that lines are drawn to: 8 px
SEEN_PX = 3  # a shorter line is drawn as a point


def check_tile(zoom: int, column: int, row: int, max_zoom: int = MAX_ZOOM) -> None:
    """Refuse a tile that does not exist.

    Raises:
        ConfigError: the zoom is not drawn, or has no such column or row.
    """
    if not (0 <= zoom <= max_zoom and 0 <= column < 1 << zoom and 0 <= row < 1 << zoom):
        raise ConfigError(f"tile: got {zoom}/{column}/{row}; expected a zoom up to {max_zoom} and one of its tiles")


def cut_tile(register: MapRegister, zoom: int, column: int, row: int, wanted: Filter) -> bytes:
    """One tile of the assets that pass.

    Args:
        register: of which.
        zoom: of the web's maps.
        column: from the west.
        row: from the north.
        wanted: which assets.
    """
    rows = rows_of_tile(register, zoom, column, row)
    passing = wanted.passes(register, rows)
    chosen = np.arange(rows.start, rows.stop) if passing is None else rows.start + np.flatnonzero(passing)
    frame = TileFrame(zoom, column, row)
    lines = Layer("lines")
    drawn = _add_lines(lines, register, frame, wanted)
    if len(chosen) > MOST:
        return tile([_crowd(register, chosen, frame), lines])
    points = chosen[~np.isin(chosen, drawn)]
    assets, ellipses = Layer("assets"), Layer("ellipses")
    ids = register.asset_id.take(points).to_pylist()
    xy = frame.inside(register.x[points], register.y[points]).tolist()
    looks = zip(register.kind[points].tolist(), register.state[points].tolist(), strict=True)
    for (x, y), one, (kind, state) in zip(xy, ids, looks, strict=True):
        assets.point(x, y, {"id": one, "c": kind, "s": state})
    if zoom >= ELLIPSES_FROM:
        near = _around(register, frame, wanted)
        for n, ring in zip(near.tolist(), _ellipses(register, near, frame), strict=True):
            ellipses.polygon([ring], {"c": int(register.kind[n]), "s": int(register.state[n])})
    return tile([ellipses, lines, assets])


def rows_of_tile(register: MapRegister, zoom: int, column: int, row: int) -> slice:
    """The rows of a register that lie in a tile: neighbours, as they are sorted."""
    first, last = (np.uint64(key) for key in keys_of_tile(zoom, column, row))
    return slice(int(np.searchsorted(register.key, first)), int(np.searchsorted(register.key, last, side="right")))


def _around(register: MapRegister, frame: TileFrame, wanted: Filter) -> Ints:
    """The points in a tile and close to it, whose ellipses may reach into it, that pass."""
    column, row, last = frame.west // frame.side, frame.north // frame.side, (1 << frame.zoom) - 1
    tiles = [(c, r) for c in range(column - 1, column + 2) for r in range(row - 1, row + 2)]
    ranges = [rows_of_tile(register, frame.zoom, c, r) for c, r in tiles if 0 <= c <= last and 0 <= r <= last]
    rows = np.concatenate([np.arange(part.start, part.stop) for part in ranges])
    xy = frame.inside(register.x[rows], register.y[rows])
    close = ((xy >= -ELLIPSES_REACH) & (xy < EXTENT + ELLIPSES_REACH)).all(axis=1)
    rows = rows[close & np.isnan(register.length_m[rows])]
    passing = wanted.passes(register, rows)
    return np.asarray(rows if passing is None else rows[passing], np.int64)


class TileFrame:
    """Places of the map's square in units of one tile."""

    def __init__(self, zoom: int, column: int, row: int) -> None:
        side = 1 << BITS - zoom
        self.zoom, self.side = zoom, side
        self.west, self.north = column * side, row * side

    def inside(self, x: npt.NDArray[np.generic], y: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
        """(n, 2) whole units of the tile."""
        scale = EXTENT / self.side
        place = np.stack([np.asarray(x, float) - self.west, np.asarray(y, float) - self.north], axis=1)
        return np.floor(place * scale).astype(np.int64)

    def clipped(self, x: npt.NDArray[np.generic], y: npt.NDArray[np.generic], start: Ints) -> list[list[Ints]]:
        """Lines, of which each begins at a vertex of `start` (n + 1,) -> what of each lies in the tile."""
        xy = self.inside(x, y).astype(float)
        index = np.repeat(np.arange(len(start) - 1), np.diff(start))
        shapes = shapely.linestrings(xy, indices=index)
        parts = shapely.clip_by_rect(shapes, -BUFFER, -BUFFER, EXTENT + BUFFER, EXTENT + BUFFER)
        return [
            [np.rint(shapely.get_coordinates(part)).astype(np.int64) for part in shapely.get_parts(shape)]
            for shape in parts
        ]

    def touches(self, box: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
        """Which boxes (n, 4) of west, north, east and south have a part in the tile."""
        west, north, east, south = box.T
        across = (east >= self.west) & (west < self.west + self.side)
        return np.asarray(across & (south >= self.north) & (north < self.north + self.side), bool)


def _crowd(register: MapRegister, chosen: Ints, frame: TileFrame) -> Layer:
    """One asset a cell: as these are sorted by place, those of a cell are neighbours."""
    cell = register.key[chosen] >> np.uint64(2 * (BITS - frame.zoom - CELL_BITS))
    one = chosen[np.concatenate([[True], cell[1:] != cell[:-1]])]
    layer = Layer("crowd")
    looks = register.kind[one].astype(np.int64) * 8 + register.state[one]
    for look in np.unique(looks).tolist():
        mine = one[looks == look]
        layer.points(frame.inside(register.x[mine], register.y[mine]), {"c": look // 8, "s": look % 8})
    return layer


def _add_lines(layer: Layer, register: MapRegister, frame: TileFrame, wanted: Filter) -> Ints:
    """Draw the longest of the lines whose length can be seen; the rows that were drawn."""
    lines = register.lines
    near = np.flatnonzero(frame.touches(lines.box))
    extent = (lines.box[near, 2:] - lines.box[near, :2]).max(axis=1)
    near = near[extent >= frame.side / TILE_PX * SEEN_PX]
    passing = wanted.passes(register, lines.row[near])
    if passing is not None:
        near = near[passing]
    if len(near) > MOST:
        near = near[np.argsort(-register.length_m[lines.row[near]], kind="stable")[:MOST]]
    if not len(near):
        return np.asarray(near, np.int64)
    start = np.concatenate([[0], np.cumsum(lines.start[near + 1] - lines.start[near])])
    vertex = np.concatenate([np.arange(lines.start[one], lines.start[one + 1]) for one in near.tolist()])
    rows = lines.row[near]
    ids = register.asset_id.take(rows).to_pylist()
    for n, parts in enumerate(frame.clipped(lines.x[vertex], lines.y[vertex], start)):
        layer.line(parts, {"id": ids[n], "c": int(register.kind[rows[n]]), "s": int(register.state[rows[n]])})
    return np.asarray(rows, np.int64)


def _ellipses(register: MapRegister, rows: Ints, frame: TileFrame) -> npt.NDArray[np.int64]:
    """(n, 32, 2) corners of the 95 % ellipses of positions."""
    ring = ellipses_m(register.covariance_m2[rows])
    _, lat = degrees(register.x[rows], register.y[rows])
    scale = units_a_metre(lat)[:, None]
    x = register.x[rows][:, None] + ring[..., 0] * scale
    y = register.y[rows][:, None] - ring[..., 1] * scale
    return frame.inside(x.ravel(), y.ravel()).reshape(*x.shape, 2)


def ellipses_m(covariance_m2: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Covariances (n, 3) of east, east with north, and north -> (n, 32, 2) metres east and north of the middle.

    Clockwise on a map whose north is up, as a tile's outer rings are. The root of the covariance turns a circle of
    `ELLIPSE` standard errors into the ellipse.
    """
    east, both, north = np.asarray(covariance_m2, float).T
    values, vectors = np.linalg.eigh(np.stack([np.stack([east, both], -1), np.stack([both, north], -1)], -2))
    root = vectors * np.sqrt(np.maximum(values, 0))[:, None, :] @ np.swapaxes(vectors, 1, 2)
    circle = ELLIPSE * np.stack([np.sin(CORNERS), np.cos(CORNERS)])
    return np.swapaxes(root @ circle, 1, 2)
