"""Builds tiles in processes of this machine; only the rows of the tiles being built are in memory."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import feather
from ulid import ULID

from roadscan.config import overrides_of
from roadscan.errors import RoadscanError
from roadscan.inventory.build import Built, DriveTables, build_together
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.control import CONTROL
from roadscan.inventory.drive.record import DriveAlone, from_record, read_alone, to_record
from roadscan.inventory.fuse.record import prior_of, prior_record
from roadscan.inventory.tiles.partition import TILE_DEG, Tile, around, halo, owned, tile_frame, tile_name
from roadscan.parallel import in_processes
from roadscan.parsing import read_json
from roadscan.schemas import DRIVE_ESTIMATES
from roadscan.scratch import Scratch
from roadscan.survey.geodesy import LocalFrame
from roadscan.taxonomy import HIGHWAY, Taxonomy

LOG = logging.getLogger(__name__)
WORKER_ROWS = 250_000  # observations that are worth the start of one more process
_FILES = ("frames", "observations", "record", "prior")  # of a part, on its way to the process that builds its tile


@dataclass(frozen=True)
class Previous:
    """What a tile has to know of the register as it was.

    Attributes:
        assets: rows of `schemas.ASSETS`.
        aliases: rows of `schemas.ASSET_ALIAS`.
        config: the thresholds.
        control: rows of `roadscan.inventory.control.CONTROL`.
        taxonomy: what is known of the classes.
    """

    assets: pa.Table
    aliases: pa.Table
    config: InventoryConfig
    control: pa.Table = field(default_factory=CONTROL.empty_table)
    taxonomy: Taxonomy = HIGHWAY

    def near(self, tile: Tile) -> Previous:
        """The same with no more assets and control points than the tile needs."""
        return replace(self, assets=halo(self.assets, tile), control=around(self.control, tile))


@dataclass(frozen=True)
class DrivePart:
    """What a tile's build is given of one drive: its rows there, or what it says alone, kept from an earlier night.

    Attributes:
        order: its place among all drives, in the order in which they were driven.
        key: of what it says alone, see `schemas.DRIVE_ESTIMATES`.
        tables: its rows in the tile and in its halo; None where the record is given.
        record: its row of `schemas.DRIVE_ESTIMATES`, or None.
        prior: instead of one drive all that the tile's earlier builds left out, a row of `schemas.TILE_PRIORS`.
    """

    order: int
    key: str
    tables: DriveTables | None = None
    record: pa.Table | None = None
    prior: pa.Table | None = None

    @staticmethod
    def of_prior(prior: pa.Table) -> DrivePart:
        """The part that comes before those of all drives."""
        return DrivePart(-1, "", prior=prior)

    @property
    def detections(self) -> int:
        """How many it has, about."""
        if self.tables is not None:
            return len(self.tables.observations)
        return 0 if self.record is None else int(self.record["detections"][0].as_py())


@dataclass(frozen=True)
class BuiltTile:
    """What a tile's build came to.

    Attributes:
        tile: which one.
        built: what it owns of the register.
        estimates: what each drive says alone that the next build is made of, `schemas.DRIVE_ESTIMATES`.
        prior: what the others said: a row of `schemas.TILE_PRIORS`, its key still to be told.
        anew: whether it was built from all its drives, without a prior.
    """

    tile: Tile
    built: Built
    estimates: pa.Table
    prior: dict[str, Any]
    anew: bool


#: Called with how far the work is: how many are done, of how many, of what.
Step = Callable[[int, int, str], None]
#: Builds all tiles from the parts of drives that lie in each; the parts come in any order.
BuildTiles = Callable[[Iterable[tuple[Tile, DrivePart]], Previous, Step], Iterator[BuiltTile]]


def build_tile(tile: Tile, parts: Iterable[DrivePart], previous: Previous) -> BuiltTile:
    """The register of one tile.

    Args:
        tile: which one.
        parts: of the drives there, in the order in which they were driven; the prior, where there is one, is first.
        previous: the register as it was, and the thresholds.

    Raises:
        RoadscanError: it cannot be built; which tile, why, and the command that builds it alone.
    """
    try:
        enu, prior = tile_frame(tile), None
        rows: list[pa.Table] = []
        usable: list[DriveAlone] = []
        silent: list[str] = []
        for part in parts:
            if part.prior is not None:
                prior = prior_of(part.prior.to_pylist()[0], previous.taxonomy)
                continue
            row, alone = _alone(part, tile, enu, previous)
            rows.append(row)
            if alone is None:
                silent.append(row["drive_id"][0].as_py())
            else:
                usable.append(alone)
        built, later = build_together(
            usable,
            previous.assets,
            previous.taxonomy,
            previous.config,
            new_id,
            enu,
            previous.aliases,
            prior,
            previous.control,
        )
        later = replace(later, drive_ids=later.drive_ids + tuple(silent))
        kept = pa.concat_tables([DRIVE_ESTIMATES.empty_table(), *rows])
        kept = kept.filter(pc.invert(pc.is_in(kept["drive_id"], pa.array(later.drive_ids, pa.string()))))
        return BuiltTile(tile, owned(built, tile, new_id), kept, prior_record(later), anew=prior is None)
    except Exception as error:
        LOG.info("tile %s cannot be built", tile_name(tile), exc_info=True)
        raise failed_tile(tile, f"{type(error).__name__}: {error}", previous.config) from error


def _alone(part: DrivePart, tile: Tile, enu: LocalFrame, previous: Previous) -> tuple[pa.Table, DriveAlone | None]:
    """What a drive says alone in a tile, kept or computed, and its row of `schemas.DRIVE_ESTIMATES`."""
    if part.tables is None:
        assert part.record is not None
        return part.record, from_record(part.record.to_pylist()[0], enu, previous.taxonomy)
    tables = part.tables
    alone = read_alone(tables.drive_id, tables.frames, tables.observations, previous.taxonomy, previous.config, enu)
    row = dict.fromkeys(DRIVE_ESTIMATES.names) | to_record(alone)
    row |= {"tile": tile_name(tile), "drive_id": tables.drive_id, "key": part.key}
    return pa.Table.from_pylist([row], schema=DRIVE_ESTIMATES), alone


def failed_tile(tile: Tile, cause: str, config: InventoryConfig) -> RoadscanError:
    """The error that says which tile was not built, why, and how to build it alone.

    Args:
        tile: which one.
        cause: why, in words.
        config: of the run.
    """
    west, south = (f"{number * TILE_DEG:.1f}" for number in tile)
    return RoadscanError(
        f"tile {tile_name(tile)} (north-east of longitude {west}, latitude {south}): {cause}\n"
        "nothing was published; to build this tile alone, with its traceback, and publish nothing, run:\n"
        f"  {alone(tile, config)}"
    )


def alone(tile: Tile, config: InventoryConfig) -> str:
    """The command that builds a tile alone, whatever file the config came from.

    >>> alone((1005, 137), InventoryConfig(warehouse="roads", matching={"gate_m": 8}))
    'roadscan -v inventory --set warehouse=roads --set matching.gate_m=8.0 --tile=1005,137'
    """
    fields = [field for field in overrides_of(config) if not field.startswith("execution.")]
    sets = [word for field in fields for word in ("--set", field)]
    return shlex.join(["roadscan", "-v", "inventory", *sets, f"--tile={tile_name(tile)}"])


def counted(tiles: Iterable[BuiltTile], total: int, step: Step) -> Iterator[BuiltTile]:
    """The tiles as they are built; `step` is called for each."""
    for done, tile in enumerate(tiles, 1):
        yield tile
        step(done, total, "tiles built")


def on_this_machine(parts: Iterable[tuple[Tile, DrivePart]], previous: Previous, step: Step) -> Iterator[BuiltTile]:
    """Build the tiles in up to `execution.workers` processes, from files that end with this call."""
    with Scratch("inventory") as scratch:
        tiles: dict[Tile, list[tuple[int, Path]]] = {}
        detections = 0
        for number, (tile, part) in enumerate(parts):
            path = scratch.path / f"{number:08d}"
            _spill(path, part)
            detections += part.detections
            tiles.setdefault(tile, []).append((part.order, path))
        jobs = [(tile, [path for _, path in sorted(tiles[tile])], previous.near(tile)) for tile in sorted(tiles)]
        workers = min(previous.config.execution.workers, len(jobs), 1 + detections // WORKER_ROWS)
        if workers <= 1:
            yield from counted(map(_from_files, jobs), len(jobs), step)
            return
        yield from counted(_results(jobs, workers), len(jobs), step)


def _results(jobs: list[tuple[Tile, list[Path], Previous]], workers: int) -> Iterator[BuiltTile]:
    """The tiles in their order; after one that fails, those that have not begun are left."""
    results = in_processes(_from_files, jobs, workers)
    for tile, _, previous in jobs:
        try:
            yield next(results)
        except BrokenProcessPool as error:
            cause = "it is the first without a result, as a process was ended from outside, perhaps for want of memory"
            raise failed_tile(tile, cause, previous.config) from error


def new_id() -> str:
    """An id for an asset that was not known: a ULID."""
    return str(ULID())


def _from_files(job: tuple[Tile, list[Path], Previous]) -> BuiltTile:
    tile, paths, previous = job
    return build_tile(tile, map(_fetch, paths), previous)


def _spill(path: Path, part: DrivePart) -> None:
    path.mkdir()
    drive_id = "" if part.tables is None else part.tables.drive_id
    (path / "part.json").write_text(json.dumps([part.order, part.key, drive_id]))
    tables = {"record": part.record, "prior": part.prior} if part.tables is None else vars(part.tables)
    for name in _FILES:
        if tables.get(name) is not None:
            feather.write_feather(tables[name], path / name, compression="lz4")


def _fetch(path: Path) -> DrivePart:
    order, key, drive_id = read_json((path / "part.json").read_text(), tuple[int, str, str])
    there = {name: path / name for name in _FILES if (path / name).exists()}
    tables = {name: feather.read_table(file, memory_map=False) for name, file in there.items()}
    if "frames" not in tables:
        return DrivePart(order, key, **tables)
    return DrivePart(order, key, DriveTables(drive_id, **tables))
