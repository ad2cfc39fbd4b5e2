"""The register of a region from all committed drives: a pure function of their tables and of the ids given before.

frames, observations
→ drive:    DrivePass → DriveEstimates           each drive alone, in ENU metres; kept for the next night
→ fuse:     PointAssets, LineAssets              all drives together: where, and whether it stands
→ register: Rows → moves → ids → tables          degrees, times, GeoParquet
→ fuse:     Prior                                what the drives come to that the next build leaves out
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.drive.gather import gathered
from roadscan.inventory.drive.passes import EPOCH
from roadscan.inventory.drive.record import DriveAlone, read_alone
from roadscan.inventory.fuse.fold import fold_lines, fold_points
from roadscan.inventory.fuse.lines import fuse_lines
from roadscan.inventory.fuse.points import fuse_points
from roadscan.inventory.fuse.pool import ControlPoints
from roadscan.inventory.fuse.prior import Prior
from roadscan.inventory.fuse.window import left_out
from roadscan.inventory.register.identity import alias_table, carried_ids
from roadscan.inventory.register.line_rows import line_rows
from roadscan.inventory.register.moves import with_moves
from roadscan.inventory.register.point_rows import point_rows
from roadscan.inventory.register.rows import asset_table, empty_asset_table, event_table, join_rows, observation_table
from roadscan.schemas import ASSET_ALIAS, ASSET_CHANGES, ASSET_HISTORY, ASSET_OBSERVATIONS, COVERAGE
from roadscan.survey.geodesy import LocalFrame
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
        history: `schemas.ASSET_HISTORY`, by drive: of those that were weighed together.
        aliases: `schemas.ASSET_ALIAS`.
        observations: `schemas.ASSET_OBSERVATIONS`, by asset, then by time: of the same drives.
        coverage: `schemas.COVERAGE`; empty without a linear reference.
        stitched: of what was put together from tiles: from an id that a tile gave to the one that it has here.
    """

    assets: pa.Table
    changes: pa.Table
    history: pa.Table
    aliases: pa.Table
    observations: pa.Table = field(default_factory=ASSET_OBSERVATIONS.empty_table)
    coverage: pa.Table = field(default_factory=COVERAGE.empty_table)
    stitched: Mapping[str, str] = field(default_factory=dict)

    def without_drives(self) -> Built:
        """The same without what single drives said."""
        return replace(self, history=ASSET_HISTORY.empty_table(), observations=ASSET_OBSERVATIONS.empty_table())


def asset_ids(parts: Iterable[Built]) -> pa.Array:
    """The ids of the assets of several builds, one after the other."""
    return pa.concat_arrays(
        [pa.array([], pa.string()), *(ids for one in parts for ids in one.assets["asset_id"].chunks)]
    )


def build(
    drives: Iterable[DriveTables],
    previous: pa.Table,
    taxonomy: Taxonomy,
    config: InventoryConfig,
    mint: Callable[[], str],
    aliases: pa.Table | None = None,
    control: pa.Table | None = None,
) -> Built:
    """The drives' tables to the register's.

    Args:
        drives: in the order in which they were driven.
        previous: the assets published before, whose ids are kept.
        taxonomy: what is known of the classes.
        config: thresholds.
        mint: a new id for an asset that had none.
        aliases: `schemas.ASSET_ALIAS` published before.
        control: `roadscan.inventory.control.CONTROL`, what was surveyed.
    """
    alone: list[DriveAlone] = []
    for tables in drives:
        enu = alone[0].drive.enu if alone else None
        one = read_alone(tables.drive_id, tables.frames, tables.observations, taxonomy, config, enu)
        if one is not None:
            alone.append(one)
    if not alone:
        aliases = ASSET_ALIAS.empty_table() if aliases is None else aliases
        return Built(empty_asset_table(), ASSET_CHANGES.empty_table(), ASSET_HISTORY.empty_table(), aliases)
    return build_together(alone, previous, taxonomy, config, mint, alone[0].drive.enu, aliases, control=control)[0]


def build_together(
    alone: Sequence[DriveAlone],
    previous: pa.Table,
    taxonomy: Taxonomy,
    config: InventoryConfig,
    mint: Callable[[], str],
    enu: LocalFrame,
    aliases: pa.Table | None = None,
    prior: Prior | None = None,
    control: pa.Table | None = None,
) -> tuple[Built, Prior]:
    """What drives say alone to the register's tables, and to the prior of the next build.

    Args:
        alone: of each usable drive, in the order in which they were driven.
        previous: as of `build`; so are the others.
        taxonomy: what is known of the classes.
        config: thresholds.
        mint: a new id.
        enu: the metres that all drives and the prior are in.
        aliases: published before.
        prior: what drives said that are not among these.
        control: what was surveyed.

    Returns:
        The tables, of whose history only what these drives say, and the prior of a build without those that it names.
    """
    aliases = ASSET_ALIAS.empty_table() if aliases is None else aliases
    prior = prior or Prior.none()
    alone = gathered(alone, taxonomy, config)
    passes, estimates = [one.drive for one in alone], [one.estimates for one in alone]

    pinned = None if control is None else ControlPoints.of(control, enu)
    points = fuse_points(passes, estimates, taxonomy, config, prior.points, pinned)
    views = [seen.view for seen in points.observations]
    lines = fuse_lines(views, estimates, taxonomy, config, prior.lines)

    rows = join_rows([point_rows(points, taxonomy, enu), line_rows(views, lines, enu)])
    rows = with_moves(rows, enu, config.matching.move_m)

    carried = carried_ids(rows, previous, enu, taxonomy, config)
    ids = [known or mint() for known in carried.ids]
    built = Built(
        asset_table(rows, ids),
        event_table(rows.changes, rows, ids, ASSET_CHANGES),
        event_table(rows.history, rows, ids, ASSET_HISTORY),
        alias_table(carried, ids, previous, aliases, since=max((d.ended_at for d in passes), default=EPOCH)),
        observation_table(rows, ids),
    )

    out = left_out(passes, config.matching.window_drives)
    gone = tuple(name for drive, left in zip(passes, out, strict=True) if left for name in drive.drive_ids)
    later = Prior(
        prior.drive_ids + gone,
        fold_points(points, out, config.existence),
        fold_lines(lines, passes, out, config.existence),
    )
    return built, later
