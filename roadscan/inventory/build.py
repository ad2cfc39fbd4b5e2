"""The register of a region from all committed drives: a pure function of their tables and of the ids given before.

frames, observations
→ drive:    DrivePass → DriveEstimates           each drive alone, in ENU metres
→ fuse:     PointAssets, LineAssets              all drives together: where, and whether it stands
→ register: Rows → moves → ids → tables          degrees, times, GeoParquet
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive.estimates import DriveEstimates, estimate
from roadscan.inventory.drive.passes import DrivePass, read_pass
from roadscan.inventory.fuse.lines import fuse_lines
from roadscan.inventory.fuse.points import fuse_points
from roadscan.inventory.register.identity import alias_table, carried_ids
from roadscan.inventory.register.line_rows import line_rows
from roadscan.inventory.register.moves import with_moves
from roadscan.inventory.register.point_rows import point_rows
from roadscan.inventory.register.rows import asset_table, empty_asset_table, event_table, join_rows
from roadscan.schemas import ASSET_ALIAS, ASSET_CHANGES, ASSET_HISTORY, COVERAGE
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
    """The drives' tables to the register's.

    Args:
        drives: in the order in which they were driven.
        previous: the assets published before, whose ids are kept.
        taxonomy: what is known of the classes.
        config: thresholds.
        mint: a new id for an asset that had none.
        aliases: `schemas.ASSET_ALIAS` published before.
    """
    aliases = ASSET_ALIAS.empty_table() if aliases is None else aliases
    passes, estimates = _each_alone(drives, taxonomy, config)
    if not passes:
        return Built(empty_asset_table(), ASSET_CHANGES.empty_table(), ASSET_HISTORY.empty_table(), aliases)
    enu = passes[0].enu

    points = fuse_points(passes, estimates, taxonomy, config)
    lines = fuse_lines([seen.view for seen in points.observations], estimates, config)

    rows = join_rows([point_rows(points, taxonomy), line_rows(passes, lines)])
    rows = with_moves(rows, enu, config.matching.move_m)

    carried = carried_ids(rows, previous, enu, taxonomy, config)
    ids = [known or mint() for known in carried.ids]
    return Built(
        asset_table(rows, ids),
        event_table(rows.changes, rows, ids, ASSET_CHANGES),
        event_table(rows.history, rows, ids, ASSET_HISTORY),
        alias_table(carried, ids, previous, aliases, since=max(drive.ended_at for drive in passes)),
    )


def _each_alone(
    drives: Iterable[DriveTables], taxonomy: Taxonomy, config: InventoryConfig
) -> tuple[list[DrivePass], list[DriveEstimates]]:
    """Each usable drive, and what it says alone; all in the ENU metres of the first one."""
    passes: list[DrivePass] = []
    estimates: list[DriveEstimates] = []
    for tables in drives:
        enu = passes[0].enu if passes else None
        drive = read_pass(tables.drive_id, tables.frames, tables.observations, config.tracking.min_score, enu)
        if drive is not None:
            passes.append(drive)
            estimates.append(estimate(drive, taxonomy, config))
    return passes, estimates
