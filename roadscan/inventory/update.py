"""A warehouse's committed drives to its register: read them, build tile by tile, publish it all as one release."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from roadscan.classes import keep_taxonomy, taxonomy_of
from roadscan.errors import ConfigError, Conflict, WarehouseError
from roadscan.inventory.build import Built
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.control import read_control
from roadscan.inventory.register.differences import asset_differences
from roadscan.inventory.reviews import (
    REVOKE,
    Decision,
    apply_reviews,
    as_reviews,
    in_their_order,
    ingest,
    read_reviews,
    settle,
    sort_out,
    waiting,
    with_removed,
)
from roadscan.inventory.summary import InventoryAudit, InventorySummary, TileSummary
from roadscan.inventory.tiles.cells import index_cells
from roadscan.inventory.tiles.execute import BuildTiles, BuiltTile, DrivePart, Previous, Step, new_id, on_this_machine
from roadscan.inventory.tiles.history import TileHistory, write_history
from roadscan.inventory.tiles.kept import KEPT, SAID, carried_files, read_drives, tile_of, write_drives, write_tile
from roadscan.inventory.tiles.partition import Tile, tile_name
from roadscan.inventory.tiles.placing import Placing
from roadscan.inventory.tiles.sources import Sources
from roadscan.inventory.tiles.stitch import in_several_tiles, merge_tiles, tiles_of_gone, to_rebuild_next
from roadscan.inventory.trial import ReviewsRefused, tiles_touched, try_reviews
from roadscan.inventory.views import STORED, stored_views
from roadscan.schemas import REVIEWS
from roadscan.settings import keep_time_zone
from roadscan.taxonomy import Taxonomy
from roadscan.warehouse import Change, DataFile, Release, Warehouse

LOG = logging.getLogger(__name__)
TABLES = ("assets", "asset_changes", *SAID, "asset_alias", "coverage", "reviews", "asset_cells", *KEPT, *STORED)
ONCE_STORED = "asset_timeline"  # by earlier versions
TILES_NAMED = 10  # in the message of a wrong one
ASSETS_NAMED = 20  # of each kind, by an audit


def silent(done: int, total: int, unit: str) -> None:
    """Ignore the step."""


#: The current release and the rows of a new `ASSETS` -> whether they may take the place of the release's.
Accept: TypeAlias = Callable[[Release, pa.Table], bool]


def always(current: Release, assets: pa.Table) -> bool:  # noqa: ARG001 - as `Accept` has it
    """Accept any register."""
    return True


def update_inventory(
    config: InventoryConfig, step: Step = silent, build_tiles: BuildTiles = on_this_machine, accept: Accept = always
) -> InventorySummary:
    """Bring the warehouse's register up to date with all its committed drives.

    Only drives that are new or have changed are read, and only tiles that they lie in are built; what the others came
    to is kept in the warehouse (`roadscan.inventory.tiles.kept`). Running it again changes nothing: ids are carried
    over, and an unchanged register is not published.

    Args:
        config: the warehouse and the thresholds.
        step: called for each drive that is read and each tile that is built, for a progress bar.
        build_tiles: where the work is done.
        accept: asked with the current release and the new assets before they are published; if it says no, nothing
            is, and the next run builds the same again.

    Raises:
        Conflict: another inventory run published in the meantime; run again.
        WarehouseError: no drive was ever scanned there, as at an address with a spelling mistake.
        StorageError: the warehouse cannot be read or written.
        RoadscanError: a tile cannot be built; which one, why, and the command that builds it alone.
    """
    warehouse = Warehouse(config.warehouse)
    base = warehouse.current()
    queued = waiting(warehouse.store)
    before = _register(warehouse, base, config, queued)
    sources = Sources(warehouse, base, config, anew=before.anew, control=before.control, taxonomy=before.taxonomy)
    if not sources.drives:
        raise WarehouseError(_no_drives(warehouse.store.uri, base))
    _keep_settings(warehouse, config, before.taxonomy)
    dropped = sources.on_reference and config.reference is None
    unpinned = config.control is None and before.assets["control_id"].null_count < before.assets.num_rows
    try:
        made = _made(warehouse, base, config, before, sources, step, build_tiles)
    except ReviewsRefused as error:
        if not before.taken:
            raise
        LOG.warning("%s: built without the decisions that wait: %s", warehouse.store.uri, error)
        refused = before.refused | dict.fromkeys(before.taken, str(error))
        before = replace(_register(warehouse, base, config), refused=refused)
        sources = Sources(warehouse, base, config, anew=before.anew, control=before.control, taxonomy=before.taxonomy)
        made = _made(warehouse, base, config, before, sources, step, build_tiles)
    if not accept(base, made.built.assets):
        return _summary(made, base, base, sources)
    summary = _published(warehouse, base, made, sources)
    settle(warehouse.store, before.taken, before.refused)
    return replace(
        summary,
        reference_dropped=dropped,
        reviews_taken=len(before.taken),
        reviews_refused={one.asset_id: before.refused[one.id] for one in queued if one.id in before.refused},
        control_dropped=unpinned,
        control=_pinned(before.control, made.built.assets),
    )


def audit_inventory(
    config: InventoryConfig, step: Step = silent, build_tiles: BuildTiles = on_this_machine, *, publish: bool = False
) -> InventoryAudit:
    """Build the register from all its drives, with nothing kept of earlier nights, and compare it to the published one.

    Args:
        config: the warehouse and the thresholds.
        step: called for each drive that is read and each tile that is built, for a progress bar.
        build_tiles: where the work is done.
        publish: publish what was built, also what is kept of it.

    Raises:
        WarehouseError: nothing was published, or the register is not of the drives that are committed now.
        RoadscanError: a tile cannot be built.
    """
    warehouse = Warehouse(config.warehouse)
    base = warehouse.published()
    before = _register(warehouse, base, config)
    sources = Sources(warehouse, base, config, full=True, control=before.control, taxonomy=before.taxonomy)
    registered = {drive_id: drive.digest for drive_id, drive in read_drives(warehouse, base).items()}
    if registered != {drive_id: drive.digest for drive_id, drive in sources.drives.items()}:
        raise WarehouseError(
            f"{warehouse.store.uri}: got a register that is not of the {len(sources.drives)} drives that are committed "
            f"now; expected an up-to-date one; run roadscan inventory --set warehouse={warehouse.store.uri} first"
        )
    made = _made(warehouse, base, config, before, sources, step, build_tiles, keep=publish)
    differences = asset_differences(before.assets, made.built.assets)
    if publish:
        _keep_settings(warehouse, config, before.taxonomy)
    release = _published(warehouse, base, made, sources).release if publish else base.number
    return InventoryAudit(
        release=release,
        published=release != base.number,
        drives=len(sources.drives),
        assets=made.built.assets.num_rows,
        differing=len({one for names in differences.values() for one in names}),
        differences={kind: len(names) for kind, names in differences.items()},
        named={kind: names[:ASSETS_NAMED] for kind, names in differences.items()},
    )


def _keep_settings(warehouse: Warehouse, config: InventoryConfig, taxonomy: Taxonomy) -> None:
    """Have the warehouse keep what the config gives of it, for runs that do not."""
    if config.time_zone:
        keep_time_zone(warehouse.store, config.time_zone)
    if config.taxonomy:
        keep_taxonomy(warehouse.store, taxonomy)


def _pinned(control: pa.Table, assets: pa.Table) -> dict[str, int]:
    """How many control points there are, and how many assets are pinned to one; empty without any."""
    pinned = assets.num_rows - assets["control_id"].null_count
    return {"points": control.num_rows, "pinned": pinned} if control.num_rows else {}


def _published(warehouse: Warehouse, base: Release, made: _Made, sources: Sources) -> InventorySummary:
    """What was made, published, and in numbers."""
    release = _publish(warehouse, base, made, f"inventory of {len(sources.drives)} drives")
    LOG.info("release %d: %d assets from %d drives", release.number, made.built.assets.num_rows, len(sources.drives))
    return _summary(made, base, release, sources)


def _summary(made: _Made, base: Release, release: Release, sources: Sources) -> InventorySummary:
    return InventorySummary(
        release=release.number,
        published=release.number != base.number,
        drives=len(sources.drives),
        assets=_by_class(made.built),
        changes=dict(Counter(made.built.changes["change"].to_pylist())),
        drives_read=len(sources.read),
        tiles_built=len(sources.to_build),
        without_bearing=sources.without_bearing,
    )


@dataclass(frozen=True)
class _Made:
    """A register that is not published yet: its tables, all reviews, and the files that are kept beside it."""

    built: Built
    reviews: pa.Table
    files: list[DataFile]


def _made(
    warehouse: Warehouse,
    base: Release,
    config: InventoryConfig,
    before: _Register,
    sources: Sources,
    step: Step,
    build_tiles: BuildTiles,
    *,
    keep: bool = True,
) -> _Made:
    """The register of a release's drives; `keep` writes what later nights need of it."""
    placing = Placing(config.reference, sources, warehouse.read(base, "coverage")) if config.reference else None
    touched = tiles_touched(before.new, before.assets)
    tiles: dict[Tile, Built] = {}
    files: dict[Tile, list[DataFile]] = {}
    said: list[TileHistory] = []
    reviewed: dict[Tile, BuiltTile] = {}
    known = before.as_previous(config)
    for made in build_tiles(sources.parts(step, placing.add if placing else None), known, step):
        tiles[made.tile] = made.built.without_drives()
        if made.tile in touched:
            reviewed[made.tile] = made
        if keep:
            said.append(TileHistory.of(made))
            prior_key = sources.key_of(made.tile, made.prior["drive_ids"])
            files[made.tile] = write_tile(warehouse, made, sources.keys[made.tile], prior_key)
    carried = sources.carried()
    tiles |= carried
    built = merge_tiles([tiles[tile] for tile in sorted(tiles)], new_id, before.aliases)
    anew = to_rebuild_next(built, tiles)
    built = apply_reviews(built, before.assets, before.reviews)
    if before.new.num_rows:
        touched &= sources.keys.keys()
        try_reviews(before.new, before.reviews, built, reviewed, touched, sources, build_tiles, config)
    if placing:
        built = placing.placed(built, before.assets, carried)
    else:
        sources.without_reference()
    if not keep:
        return _Made(built, before.reviews, [])
    kept = [file for written in files.values() for file in written] + carried_files(warehouse, base, carried)
    shared = in_several_tiles(tiles.values(), built.stitched)
    gone = tiles_of_gone(before.assets, built)
    kept += write_history(warehouse, base, said, carried, built.stitched, shared, gone)
    kept = [file for file in kept if not (file.table == "tile_registers" and tile_of(file) in anew)]
    return _Made(built, before.reviews, [*kept, write_drives(warehouse, sources.drives)])


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
    before = _register(warehouse, base, config)
    known = before.as_previous(config)
    drives_of = Counter[Tile]()

    def parts() -> Iterator[tuple[Tile, DrivePart]]:
        for place, part in Sources(warehouse, base, config, full=True, taxonomy=before.taxonomy).parts(step):
            drives_of[place] += 1
            if place == tile:
                yield place, part

    tiles = list(on_this_machine(parts(), known, step))
    if not tiles:
        there = [tile_name(place) for place in sorted(drives_of)]
        more = f" and {len(there) - TILES_NAMED} more" if len(there) > TILES_NAMED else ""
        raise ConfigError(
            f"tile: got {tile_name(tile)}, in which no drive has frames; expected one of "
            f"{' '.join(there[:TILES_NAMED]) or 'none, as there are no drives'}{more}"
        )
    built = tiles[0].built
    return TileSummary(
        tile_name(tile), drives_of[tile], _by_class(built), dict(Counter(built.changes["change"].to_pylist()))
    )


def _no_drives(uri: str, base: Release) -> str:
    what = f"release {base.number} has no drives" if base.number else "nothing was ever committed there"
    return (
        f"warehouse: got {uri}, but {what}; expected drives that 'roadscan scan' or "
        "'roadscan inventory --observations' committed: check the address, or run one of these first"
    )


@dataclass(frozen=True)
class _Register:
    """What was published before, and what people have decided since.

    Attributes:
        assets: the register.
        aliases: its aliases.
        reviews: all of them, those of the config's file too.
        new: those of them that were not published before.
        control: what was surveyed, by the config.
        taxonomy: what is known of the classes, by the config.
        taken: ids of the decisions that waited and are among them.
        refused: of the others, why not, by id.
    """

    assets: pa.Table
    aliases: pa.Table
    reviews: pa.Table
    new: pa.Table
    control: pa.Table
    taxonomy: Taxonomy
    taken: frozenset[str] = frozenset()
    refused: dict[str, str] = field(default_factory=dict)

    def as_previous(self, config: InventoryConfig) -> Previous:
        """What tiles are built after."""
        return Previous(with_removed(self.assets, self.reviews), self.aliases, config, self.control, self.taxonomy)

    @property
    def anew(self) -> set[Tile]:
        """The tiles where a merge that was revoked may have renamed what drives said: they say it again."""
        return tiles_touched(self.new.filter(pc.equal(self.new["action"], REVOKE)), self.assets)


def _register(
    warehouse: Warehouse, base: Release, config: InventoryConfig, queued: Sequence[Decision] = ()
) -> _Register:
    assets, aliases, reviews = (warehouse.read(base, name) for name in ("assets", "asset_alias", "reviews"))
    new = REVIEWS.empty_table()
    if config.reviews:
        new = ingest(read_reviews(config.reviews), assets, aliases, reviews, datetime.now(UTC), new_id)
    known = in_their_order(reviews, new)
    taxonomy = taxonomy_of(warehouse.store, config.taxonomy)
    control = read_control(config.control, taxonomy)
    if not queued:
        return _Register(assets, aliases, known, new, control, taxonomy)
    more, problems = sort_out(as_reviews(queued), assets, aliases, known, datetime.now(UTC), new_id)
    refused = {queued[number - 1].id: why for number, why in problems.items()}
    taken = frozenset(one.id for one in queued) - refused.keys()
    known, new = in_their_order(known, more), pa.concat_tables([new, more])
    return _Register(assets, aliases, known, new, control, taxonomy, taken, refused)


def _publish(warehouse: Warehouse, base: Release, made: _Made, note: str) -> Release:
    """Write the tables and publish them together, unless the current release has them already."""
    tables = {
        "assets": made.built.assets,
        "asset_changes": made.built.changes,
        "asset_alias": made.built.aliases,
        "coverage": made.built.coverage,
        "reviews": made.reviews,
    }
    tables |= stored_views(tables)
    files = [warehouse.write(name, table) for name, table in tables.items()]
    files += made.files
    files.append(index_cells(warehouse, base, tables, files))

    def change(release: Release) -> Change | None:
        if _versions(release) != _versions(base):
            raise Conflict(f"{warehouse.store.uri}: another inventory run published meanwhile; run again")
        tables = [*TABLES, ONCE_STORED] if release.has(ONCE_STORED) else TABLES
        replaced = warehouse.replacement(release, files, note, tables)
        return replaced if replaced.differs else None

    return warehouse.publish(change)


def _versions(release: Release) -> dict[str, int | None]:
    return {table: release.version(table) for table in TABLES}


def _by_class(built: Built) -> dict[str, dict[str, int]]:
    counts = Counter(zip(built.assets["class"].to_pylist(), built.assets["state"].to_pylist(), strict=True))
    table: dict[str, dict[str, int]] = {}
    for (class_name, state), number in sorted(counts.items()):
        table.setdefault(class_name, {})[state] = number
    return table
