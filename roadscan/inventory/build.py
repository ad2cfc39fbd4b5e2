"""The register of a region from all committed drives: a pure function of their tables and of the ids given before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from scipy.spatial import cKDTree

from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive_pass import DrivePass, read_pass
from roadscan.inventory.existence import evidence, follow
from roadscan.inventory.geoparquet import geo_metadata
from roadscan.inventory.identity import alias_table, carried_ids
from roadscan.inventory.landmarks import Found, find_assets
from roadscan.inventory.line_assets import LineLook, find_line_assets, line_looks
from roadscan.inventory.moves import with_moves
from roadscan.inventory.sightings import Landmarks, Sighting, find_landmarks, find_lines_of
from roadscan.inventory.tables import Rows, asset_table, concatenated, event_table, landmark_rows, line_rows
from roadscan.schemas import ASSET_ALIAS, ASSET_CHANGES, ASSET_HISTORY, ASSETS, COVERAGE
from roadscan.survey.geodesy import Floats
from roadscan.taxonomy import Taxonomy


@dataclass(frozen=True)
class DriveTables:
    """The committed rows of one drive."""

    drive_id: str
    frames: pa.Table
    observations: pa.Table


@dataclass(frozen=True)
class Built:
    """The register's tables.

    Attributes:
        assets: `schemas.ASSETS` with GeoParquet metadata, in Hilbert order.
        changes: `schemas.ASSET_CHANGES`, in the order in which they happened.
        history: `schemas.ASSET_HISTORY`, by drive.
        aliases: `schemas.ASSET_ALIAS`.
        coverage: `schemas.COVERAGE`; empty without a linear reference.
    """

    assets: pa.Table
    changes: pa.Table
    history: pa.Table
    aliases: pa.Table
    coverage: pa.Table = field(default_factory=COVERAGE.empty_table)


def build(
    drives: Iterable[DriveTables],
    previous: pa.Table,
    taxonomy: Taxonomy,
    config: InventoryConfig,
    mint: Callable[[], str],
    aliases: pa.Table | None = None,
) -> Built:
    """Build the register.

    Args:
        drives: in the order in which they were driven.
        previous: the assets published before, whose ids are kept.
        taxonomy: what is known of the classes.
        config: thresholds.
        mint: a new id for an asset that had none.
        aliases: `schemas.ASSET_ALIAS` published before.
    """
    passes, landmarks, lines = _read(drives, taxonomy, config)
    before = ASSET_ALIAS.empty_table() if aliases is None else aliases
    if not passes:
        empty = ASSETS.empty_table().replace_schema_metadata({**ASSETS.metadata, **geo_metadata(np.zeros(0, object))})
        return Built(empty, ASSET_CHANGES.empty_table(), ASSET_HISTORY.empty_table(), before)
    names = sorted({str(name) for one in landmarks for name in one.class_name})
    found = find_assets(passes, landmarks, names, taxonomy, config)
    rails = _line_rows(passes, landmarks, lines, found, config)
    rows = concatenated([landmark_rows(passes, landmarks, found, names, taxonomy), rails])
    rows = with_moves(rows, passes[0].frame, config)
    carried = carried_ids(rows, previous, passes[0].frame, taxonomy, config)
    ids = [known or mint() for known in carried.ids]
    last = max(drive.ended_at for drive in passes)
    return Built(
        asset_table(rows, ids),
        event_table(rows.changes, rows, ids, ASSET_CHANGES),
        event_table(rows.history, rows, ids, ASSET_HISTORY),
        alias_table(carried, ids, previous, before, last),
    )


def _read(
    drives: Iterable[DriveTables], taxonomy: Taxonomy, config: InventoryConfig
) -> tuple[list[DrivePass], list[Landmarks], list[list[Sighting]]]:
    """Each usable drive, and what it says alone; all in the metres of the first one."""
    passes: list[DrivePass] = []
    landmarks: list[Landmarks] = []
    lines: list[list[Sighting]] = []
    for tables in drives:
        frame = passes[0].frame if passes else None
        drive = read_pass(tables.drive_id, tables.frames, tables.observations, config.min_score, frame)
        if drive is not None:
            passes.append(drive)
            landmarks.append(find_landmarks(drive, taxonomy, config))
            lines.append(find_lines_of(drive, landmarks[-1].yaw, taxonomy, config))
    return passes, landmarks, lines


def _line_rows(
    passes: list[DrivePass],
    landmarks: list[Landmarks],
    lines: list[list[Sighting]],
    found: Found,
    config: InventoryConfig,
) -> Rows:
    """The rows of line assets; each drive's lines moved by the bias that its landmarks showed."""
    seen = []
    for drive, one, camera, sightings in zip(passes, landmarks, found.cameras, lines, strict=True):
        moved = [_moved(drive, camera, sighting) for sighting in sightings]
        seen.append(LineLook(drive, camera, drive.poses.heading + one.yaw, sightings, moved, config.line_overlap_m))
    assets = find_line_assets(seen, config)
    looks = line_looks(assets, seen, config)
    cov = np.array([np.max([s.cov for _, s in asset.sightings], axis=0) for asset in assets]).reshape(-1, 2, 2)
    cov = cov + np.eye(2) * config.gnss_sigma_m**2  # any metre of an outline lies where one drive saw it
    sure = np.trace(cov, axis1=1, axis2=2) <= config.confirm_sigma_m**2
    standing = follow(looks, evidence(looks, np.zeros(len(assets), np.int64), config), sure, config)
    return line_rows(passes, assets, looks, standing, cov)


def _moved(drive: DrivePass, camera: Floats, sighting: Sighting) -> Floats:
    """A sighting's line (n, 2), each vertex moved as the frame nearest to it along the way is."""
    nearest = cKDTree(drive.camera).query(sighting.line_xy)[1]
    return np.asarray(sighting.line_xy + (camera - drive.camera)[nearest])
