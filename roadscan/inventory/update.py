"""A warehouse's committed drives to its register: read them, build tile by tile, publish it all as one release."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from roadscan.errors import ConfigError, Conflict
from roadscan.inventory.build import Built, DriveTables
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.reference import read_reference
from roadscan.inventory.register.referencing import Surveyed
from roadscan.inventory.reviews import apply_reviews, ingest, with_removed
from roadscan.inventory.tiles.execute import BuildTiles, Previous, Step, new_id, on_this_machine
from roadscan.inventory.tiles.partition import Tile, partition, tile_name
from roadscan.inventory.tiles.stitch import merge_tiles
from roadscan.inventory.views import STORED, stored_views
from roadscan.schemas import OBSERVATIONS
from roadscan.storage import arrow_file, open_file
from roadscan.warehouse import Change, Release, Warehouse

LOG = logging.getLogger(__name__)
TABLES = ("assets", "asset_changes", "asset_history", "asset_alias", "coverage", "reviews", *STORED)
TILES_NAMED = 10  # in the message of a wrong one
OBSERVATION_COLUMNS = [name for name in OBSERVATIONS.names if name != "mask_rle"]  # the largest column, and not used


@dataclass(frozen=True)
class InventorySummary:
    """What an inventory run did.

    Attributes:
        release: the release that is current now.
        published: False when the register was already what these drives make it.
        drives: how many it was built from.
        assets: by class, then by state, how many.
        changes: by kind, how many in the register's history.
    """

    release: int
    published: bool
    drives: int
    assets: dict[str, dict[str, int]]
    changes: dict[str, int]


@dataclass(frozen=True)
class TileSummary:
    """What one tile built alone came to; nothing of it was published.

    Attributes:
        tile: column and row.
        drives: how many have frames in it or in its halo.
        assets: by class, then by state, how many.
        changes: by kind, how many.
    """

    tile: str
    drives: int
    assets: dict[str, dict[str, int]]
    changes: dict[str, int]


def silent(done: int, total: int, unit: str) -> None:
    """Ignore the step."""


def update_inventory(
    config: InventoryConfig, step: Step = silent, build_tiles: BuildTiles = on_this_machine
) -> InventorySummary:
    """Bring the warehouse's register up to date with all its committed drives.

    Running it again changes nothing: ids are carried over, and an unchanged register is not published.

    Args:
        config: the warehouse and the thresholds.
        step: called for each drive that is read and each tile that is built, for a progress bar.
        build_tiles: where the work is done.

    Raises:
        Conflict: another inventory run published in the meantime; run again.
        WarehouseError, StorageError: the warehouse cannot be read or written.
        RoadscanError: a tile cannot be built; which one, why, and the command that builds it alone.
    """
    warehouse = Warehouse(config.warehouse)
    base = warehouse.current()
    drive_ids = committed_drives(warehouse, base)
    previous, aliases, reviews = _register(warehouse, base, config)
    surveyed = Surveyed(read_reference(config.reference)) if config.reference else None
    drives = _tables(warehouse, base, drive_ids)
    parts = _partitioned(_on_reference(drives, surveyed), len(drive_ids), step)
    tiles = build_tiles(parts, Previous(with_removed(previous, reviews), aliases, config), step)
    built = apply_reviews(merge_tiles(tiles, new_id), previous, reviews)
    if surveyed:
        built = replace(built, assets=surveyed.place(built.assets, built.history), coverage=surveyed.coverage())
    release = _publish(warehouse, base, built, reviews, f"inventory of {len(drive_ids)} drives")
    LOG.info("release %d: %d assets from %d drives", release.number, built.assets.num_rows, len(drive_ids))
    return InventorySummary(
        release=release.number,
        published=release.number != base.number,
        drives=len(drive_ids),
        assets=_by_class(built),
        changes=dict(Counter(built.changes["change"].to_pylist())),
    )


def build_alone(config: InventoryConfig, tile: Tile, step: Step = silent) -> TileSummary:
    """Build one tile of the register in this process, as `update_inventory` would, and publish nothing.

    Args:
        config: the warehouse and the thresholds; `execution` and `reference` have no effect.
        tile: which one.
        step: called for each drive that is read, and for the tile.

    Raises:
        ConfigError: no drive has frames in that tile; which tiles there are.
        RoadscanError: it cannot be built, and why.
    """
    warehouse = Warehouse(config.warehouse)
    base = warehouse.published()
    drive_ids = committed_drives(warehouse, base)
    previous, aliases, reviews = _register(warehouse, base, config)
    drives_of = Counter[Tile]()

    def parts() -> Iterator[tuple[Tile, DriveTables]]:
        for place, part in _partitioned(_tables(warehouse, base, drive_ids), len(drive_ids), step):
            drives_of[place] += 1
            if place == tile:
                yield place, part

    tiles = on_this_machine(parts(), Previous(with_removed(previous, reviews), aliases, config), step)
    if not tiles:
        there = [tile_name(place) for place in sorted(drives_of)]
        more = f" and {len(there) - TILES_NAMED} more" if len(there) > TILES_NAMED else ""
        raise ConfigError(
            f"tile: got {tile_name(tile)}, in which no drive has frames; expected one of "
            f"{' '.join(there[:TILES_NAMED]) or 'none, as there are no drives'}{more}"
        )
    (built,) = tiles
    return TileSummary(
        tile_name(tile), drives_of[tile], _by_class(built), dict(Counter(built.changes["change"].to_pylist()))
    )


def _register(warehouse: Warehouse, base: Release, config: InventoryConfig) -> tuple[pa.Table, pa.Table, pa.Table]:
    """A release's assets and aliases, and all reviews, those of the config's file too."""
    assets, aliases, reviews = (warehouse.read(base, name) for name in ("assets", "asset_alias", "reviews"))
    if config.reviews:
        reviews = ingest(_reviews_file(config.reviews), assets, aliases, reviews, datetime.now(UTC), new_id)
    return assets, aliases, reviews


def _reviews_file(uri: str) -> pa.Table:
    store, key = open_file(uri)
    try:
        return pq.read_table(arrow_file(store.read(key)))
    except pa.ArrowInvalid as error:
        raise ConfigError(f"reviews: {uri} is no Parquet file: {error}") from None


def _on_reference(drives: Iterable[DriveTables], surveyed: Surveyed | None) -> Iterator[DriveTables]:
    """The drives as they come; what each surveyed of the linear reference is noted on the way."""
    for tables in drives:
        if surveyed:
            surveyed.add(tables.drive_id, tables.frames)
        yield tables


def _partitioned(drives: Iterable[DriveTables], total: int, step: Step) -> Iterator[tuple[Tile, DriveTables]]:
    """What each drive has in each tile."""
    for done, tables in enumerate(drives, 1):
        yield from partition(tables)
        step(done, total, "drives read")


def committed_drives(warehouse: Warehouse, release: Release) -> list[str]:
    """The drives of a release in the order in which they were driven; one without any time comes last."""
    runs = warehouse.read(release, "runs", columns=["drive_id", "started_at"])
    keys = [("started_at", "ascending"), ("drive_id", "ascending")]
    drive_ids: list[str] = runs.take(pc.sort_indices(runs, sort_keys=keys))["drive_id"].to_pylist()
    return drive_ids


def _tables(warehouse: Warehouse, release: Release, drive_ids: list[str]) -> Iterator[DriveTables]:
    for drive_id in drive_ids:
        frames = warehouse.read(release, "frames", drive_id=drive_id)
        observations = warehouse.read(release, "observations", drive_id=drive_id, columns=OBSERVATION_COLUMNS)
        yield DriveTables(drive_id, frames, observations)


def _publish(warehouse: Warehouse, base: Release, built: Built, reviews: pa.Table, note: str) -> Release:
    """Write the tables and publish them together, unless the current release has them already."""
    tables = {
        "assets": built.assets,
        "asset_changes": built.changes,
        "asset_history": built.history,
        "asset_alias": built.aliases,
        "coverage": built.coverage,
        "reviews": reviews,
    }
    tables |= stored_views(tables)
    files = [warehouse.write(name, table) for name, table in tables.items()]

    def change(release: Release) -> Change | None:
        if _versions(release) != _versions(base):
            raise Conflict(f"{warehouse.store.uri}: another inventory run published meanwhile; run again")
        made = warehouse.replacement(release, files, note)
        return made if made.differs else None

    return warehouse.publish(change)


def _versions(release: Release) -> dict[str, int | None]:
    return {table: release.version(table) for table in TABLES}


def _by_class(built: Built) -> dict[str, dict[str, int]]:
    counts = Counter(zip(built.assets["class"].to_pylist(), built.assets["state"].to_pylist(), strict=True))
    table: dict[str, dict[str, int]] = {}
    for (class_name, state), number in sorted(counts.items()):
        table.setdefault(class_name, {})[state] = number
    return table
