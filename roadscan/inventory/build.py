"""The register of a region from all committed drives: a pure function of their tables and of the ids given before.

frames, observations
→ drive:    DrivePass → DriveEstimates           each drive alone, in ENU metres; kept for the next night
→ fuse:     PointAssets, LineAssets              all drives together: where, and whether it stands
→ register: Rows → moves → ids → tables          degrees, times, GeoParquet
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive.record import DriveAlone, read_alone
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
    alone: list[DriveAlone] = []
    for tables in drives:
        enu = alone[0].drive.enu if alone else None
        one = read_alone(tables.drive_id, tables.frames, tables.observations, taxonomy, config, enu)
        if one is not None:
            alone.append(one)
    return build_together(alone, previous, taxonomy, config, mint, aliases)


def build_together(
    alone: Sequence[DriveAlone],
    previous: pa.Table,
    taxonomy: Taxonomy,
    config: InventoryConfig,
    mint: Callable[[], str],
    aliases: pa.Table | None = None,
) -> Built:
    """What drives say alone to the register's tables.

    Args:
        alone: of each usable drive, in the order in which they were driven, all in the same ENU metres.
        previous: as of `build`; so are the others.
        taxonomy: what is known of the classes.
        config: thresholds.
        mint: a new id.
        aliases: published before.
    """
    aliases = ASSET_ALIAS.empty_table() if aliases is None else aliases
    if not alone:
        return Built(empty_asset_table(), ASSET_CHANGES.empty_table(), ASSET_HISTORY.empty_table(), aliases)
    passes, estimates = [one.drive for one in alone], [one.estimates for one in alone]
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
