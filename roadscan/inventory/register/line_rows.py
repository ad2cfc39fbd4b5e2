"""Line assets to rows: outlines in degrees, length, side, state, best view, and what each drive said.

Legend: N lines, E entries of a line and a drive. ENU metres.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import shapely

from roadscan.arrays import Ints
from roadscan.inventory.drive.passes import DrivePass
from roadscan.inventory.fuse.lines import LineAsset, LineAssets, Nights, middle_of
from roadscan.inventory.fuse.pool import PRIOR
from roadscan.inventory.fuse.prior import renumbered
from roadscan.inventory.fuse.visibility import AlignedDrive
from roadscan.inventory.register.rows import (
    History,
    Rows,
    change_columns,
    covariance_columns,
    history_columns,
    observation_columns,
    standing_columns,
)
from roadscan.inventory.register.sides import sides
from roadscan.schemas import ASSETS
from roadscan.survey.geodesy import WGS84, LocalFrame

SIMPLIFY_DEG = 1e-6  # 0.1 m: vertices of an outline that change it by less are dropped


def line_rows(views: list[AlignedDrive], assets: LineAssets, enu: LocalFrame) -> Rows:
    """The rows of line assets.

    Args:
        views: all drives, aligned, in the order in which they were driven.
        assets: of a region.
        enu: the metres.
    """
    drives, lines = [view.drive for view in views], assets.lines
    degrees = [shapely.LineString(np.stack(enu.to_lonlat(*line.outline.T), 1)) for line in lines]
    shapes = [shapely.simplify(line, SIMPLIFY_DEG) for line in degrees]
    middle = np.array([middle_of(line.outline) for line in lines]).reshape(-1, 2)
    seen_m = np.array([line.segments[0][1].offset_m for line in lines])
    lon, lat = enu.to_lonlat(*middle.T)
    everyone = np.arange(len(lines))
    columns = {
        "class": pa.array([line.asset_class.name for line in lines], pa.string()),
        "lon": pa.array(lon, pa.float64()),
        "lat": pa.array(lat, pa.float64()),
        **covariance_columns(assets.cov),
        "length_m": pa.array([float(WGS84.geometry_length(shape)) for shape in shapes], pa.float64()),
        "side": pa.array(sides(middle, seen_m, views).astype(object), pa.string()),
        **standing_columns(assets.standing, everyone),
        **_segment_columns(lines, [Nights.of(line.known, line.segments, drives, assets.prior) for line in lines]),
    }
    changes = change_columns(drives, assets.standing, everyone, renumbered(assets.prior.changes, assets.of_prior))
    history = history_columns(drives, _history(assets), enu)
    observations = observation_columns(drives, _observations(drives, lines))
    return Rows(columns, np.array(shapes, dtype=object), changes, history, observations)


def _observations(drives: list[DrivePass], lines: list[LineAsset]) -> list[tuple[Ints, Ints]]:
    """Of each drive the numbers of lines, and the rows of its observations that show them."""
    found: list[list[tuple[int, Ints]]] = [[] for _ in drives]
    for number, line in enumerate(lines):
        for drive, segment in line.segments:
            if drive != PRIOR:
                found[drive].append((number, segment.rows))
    nothing = np.zeros(0, np.int64)
    return [
        (
            np.repeat([number for number, _ in one], [len(rows) for _, rows in one]).astype(np.int64),
            np.concatenate([nothing, *(rows for _, rows in one)]),
        )
        for one in found
    ]


def _segment_columns(lines: list[LineAsset], nights: list[Nights]) -> dict[str, pa.Array]:
    """What the drives' segments say of each line."""
    seen = [[segment for _, segment in line.segments] for line in lines]
    hits = np.array([sum(s.hits for s in segments) for segments in seen], np.int64)
    best = [max((s.best_view for s in segments), key=lambda view: view.weight) for segments in seen]
    utc = ASSETS.field("first_seen").type
    return {
        "score": pa.array([sum(s.mean_score * s.hits for s in segments) for segments in seen] / np.maximum(hits, 1)),
        "n_observations": pa.array(hits),
        "n_nights": pa.array([one.nights for one in nights], pa.int64()),
        "first_seen": pa.array([min(s.first_seen for s in segments) for segments in seen], utc),
        "last_seen": pa.array([max(s.last_seen for s in segments) for segments in seen], utc),
        "last_drive_id": pa.array([one.last_drive for one in nights], pa.string()),
        "azimuth_deg": pa.nulls(len(lines), pa.float64()),
        "evidence_uri": pa.array([view.image_uri for view in best], pa.string()),
        "evidence_box_px": pa.array([view.box_px for view in best], ASSETS.field("evidence_box_px").type),
        "model_sha256": pa.array([view.model_sha256 for view in best], pa.string()),
    }


def _history(assets: LineAssets) -> History:
    """What each drive that saw a line, or looked along it, said of it."""
    visibility = assets.visibility
    n = len(visibility.asset)
    xy = np.full((n, 2), np.nan)
    score, sigma_m, hits = np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, np.int64)
    for row, (line, drive) in enumerate(zip(visibility.asset.tolist(), visibility.drive.tolist(), strict=True)):
        segments = [segment for by, segment in assets.lines[line].segments if by == drive]
        if segments:
            xy[row] = np.mean([s.xy for s in segments], axis=0)
            score[row] = np.mean([s.mean_score for s in segments])
            sigma_m[row] = np.sqrt(np.trace(segments[0].cov))
            hits[row] = sum(s.hits for s in segments)
    hits = np.where(visibility.hits > 0, np.maximum(hits, 1), 0)
    opportunities = np.maximum(visibility.opportunities, hits)
    return History(visibility.asset, visibility.drive, hits, opportunities, xy, sigma_m, score)
