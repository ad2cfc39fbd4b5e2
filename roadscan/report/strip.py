"""A strip map: the road unrolled, one row about a kilometre, assets beside it where they stand.

The form road engineers know as a straight-line diagram. Along the row is the distance driven, across it the offset from
the camera's path, stretched so that both sides can be read.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib

from roadscan.arrays import Floats

matplotlib.use("Agg")  # no screen is needed

import matplotlib.pyplot as plt
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from roadscan.survey.geodesy import LocalFrame
from roadscan.taxonomy import Geometry, Taxonomy

ROW_M = 1000.0
SIDE_M = 26.0  # half the height of a row
AHEAD_M = 60.0  # the last frame still looks this far
FAR_M = 60.0  # an asset farther from the path than this is not of this road
MARKERS = {Geometry.POINT: "o", Geometry.OVERHEAD: "s", Geometry.LINE: "_"}  # a line too short to draw
INK, PAPER, ROAD, RING, MISSING = "#1d2733", "#ffffff", "#d9dde2", "#9aa4af", "#d62728"
DOUBTS: dict[str, dict[str, Any]] = {  # how states that ask for a look are marked
    "suspect": {"color": MISSING, "marker": "o", "markersize": 13, "markerfacecolor": "none", "linestyle": ""},
    "missing": {"color": MISSING, "marker": "x", "markersize": 12, "markeredgewidth": 2.5, "linestyle": ""},
}


class Path:
    """The way a camera drove, as an axis: places become (distance along, offset to the right)."""

    def __init__(self, lon: Floats, lat: Floats) -> None:
        self._frame = LocalFrame(float(lon[0]), float(lat[0]))
        xy = np.stack(self._frame.to_xy(lon, lat), axis=1)
        line = shapely.get_coordinates(shapely.simplify(shapely.LineString(xy), 0.2))
        ahead = line[-1] - line[-2]
        line = np.vstack([line, line[-1] + ahead / max(np.linalg.norm(ahead), 1e-9) * AHEAD_M])
        self._line = shapely.LineString(line)
        self.length_m = float(self._line.length)

    def locate(self, lonlat: Floats) -> Floats:
        """(n, 2) degrees to (n, 2) metres: along the path, and to its right."""
        xy = np.stack(self._frame.to_xy(*lonlat.T), axis=1)
        points = shapely.points(xy)
        along = shapely.line_locate_point(self._line, points)
        foot = shapely.get_coordinates(shapely.line_interpolate_point(self._line, along))
        before = shapely.get_coordinates(shapely.line_interpolate_point(self._line, np.maximum(along - 1, 0)))
        after = shapely.get_coordinates(
            shapely.line_interpolate_point(self._line, np.minimum(along + 1, self.length_m))
        )
        direction, aside = after - before, xy - foot
        right = np.sign(direction[:, 1] * aside[:, 0] - direction[:, 0] * aside[:, 1])
        return np.stack([along, right * np.linalg.norm(aside, axis=1)], axis=1)


def draw_strip(path: Path, assets: pa.Table, taxonomy: Taxonomy, truth: pa.Table | None = None) -> bytes:
    """A PNG of the strip map.

    Args:
        path: the axis.
        assets: rows of `schemas.ASSETS`. Confirmed ones are filled, candidates pale, suspects ringed, missing ones
            crossed out, rejected ones left out.
        taxonomy: colours and kinds.
        truth: known assets (the simulator's ``truth/assets.parquet``), drawn as open rings; None to leave them out.
    """
    rows = max(round(path.length_m / ROW_M), 1)
    row_m = path.length_m / rows
    figure, axes = plt.subplots(rows, 1, figsize=(15, 1.2 + 1.75 * rows), squeeze=False, facecolor=PAPER)
    found = _located(path, assets.filter(pc.not_equal(assets["state"], "rejected")))
    known = _located(path, truth) if truth is not None else []
    for index, axis in enumerate(axes[:, 0]):
        start, stop = index * row_m, (index + 1) * row_m
        _frame_row(axis, start, stop)
        _draw_truth(axis, [shape for shape in known if shape.between(start, stop)])
        _draw_assets(axis, [shape for shape in found if shape.between(start, stop)], taxonomy)
    axes[-1, 0].set_xlabel("distance along the drive (m)", color=INK)
    names = [name for name in taxonomy.names if name in set(assets["class"].to_pylist())]
    figure.legend(handles=_legend(names, taxonomy, truth is not None), loc="upper center", ncols=6, frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.75 / figure.get_figheight()))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    return buffer.getvalue()


def _frame_row(axis: Axes, start: float, stop: float) -> None:
    axis.set_xlim(start, stop)
    axis.set_ylim(SIDE_M, -SIDE_M)  # left of the direction of travel is up
    axis.axhspan(-3.7, 3.7, color=ROAD, zorder=0)
    axis.axhline(0, color=PAPER, linewidth=1.2, linestyle=(0, (8, 8)), zorder=1)
    axis.set_ylabel("right   left\noffset (m)", color=INK, fontsize=8)
    axis.tick_params(colors=INK, labelsize=8)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.grid(axis="x", color="#eceff2", zorder=0)


@dataclass(frozen=True)
class Shape:
    """An asset and its places on the strip, (n, 2) metres along and to the right."""

    row: dict[str, Any]
    places: Floats

    def between(self, start: float, stop: float) -> bool:
        """Whether a part of it lies between two distances along the road."""
        along = self.places[:, 0]
        return bool(along.min() <= stop and along.max() >= start)


def _located(path: Path, table: pa.Table) -> list[Shape]:
    """The assets near the road; one at the far side of a row's edge is drawn on the edge."""
    shapes = []
    for row in table.to_pylist():
        if row.get("lons"):
            lonlat = np.array([row["lons"], row["lats"]], float).T  # a line of the truth
        elif isinstance(row["geometry"], bytes):
            lonlat = shapely.get_coordinates(shapely.from_wkb(row["geometry"]))
        else:
            lonlat = np.array([[row["lon"], row["lat"]]])
        places = path.locate(lonlat)
        places = places[np.abs(places[:, 1]) <= FAR_M]
        places[:, 1] = np.clip(places[:, 1], -SIDE_M + 1, SIDE_M - 1)
        if len(places):
            shapes.append(Shape(row, places))
    return shapes


def _draw_truth(axis: Axes, shapes: Sequence[Shape]) -> None:
    for shape in shapes:
        if len(shape.places) > 1:
            axis.plot(*shape.places.T, color=RING, linewidth=5, alpha=0.5, solid_capstyle="butt", zorder=2)
        else:
            axis.plot(*shape.places.T, "o", markersize=11, markerfacecolor="none", markeredgecolor=RING, zorder=2)


def _draw_assets(axis: Axes, shapes: Sequence[Shape], taxonomy: Taxonomy) -> None:
    for shape in shapes:
        asset = taxonomy.get(shape.row["class"])
        color, alpha = _hex(asset.color_rgb), 0.35 if shape.row["state"] == "candidate" else 1.0
        if len(shape.places) > 1:
            axis.plot(*shape.places.T, color=color, linewidth=2.2, alpha=alpha, zorder=3)
        else:
            axis.plot(*shape.places.T, MARKERS[asset.geometry], markersize=6, color=color, alpha=alpha, zorder=4)
        if shape.row["state"] in DOUBTS:
            middle = shape.places.mean(0, keepdims=True)
            axis.plot(*middle.T, zorder=5, **DOUBTS[shape.row["state"]])


def _legend(names: Sequence[str], taxonomy: Taxonomy, with_truth: bool) -> list[Line2D]:
    handles = []
    for name in names:
        asset = taxonomy.get(name)
        color = _hex(asset.color_rgb)
        if asset.geometry is Geometry.LINE:
            handles.append(Line2D([], [], color=color, label=name))
        else:
            handles.append(Line2D([], [], color=color, marker=MARKERS[asset.geometry], linestyle="", label=name))
    handles += [Line2D([], [], label=state, **style) for state, style in DOUBTS.items()]
    if with_truth:
        ring = Line2D([], [], marker="o", linestyle="", markersize=10, label="truth")
        ring.set_markerfacecolor("none")
        ring.set_markeredgecolor(RING)
        handles.append(ring)
    return handles


def _hex(rgb: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)
