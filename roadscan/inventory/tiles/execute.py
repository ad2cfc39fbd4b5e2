"""Builds tiles in processes of this machine; only the rows of the tiles being built are in memory."""

from __future__ import annotations

import logging
import shlex
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
from pyarrow import feather
from ulid import ULID

from roadscan.config import overrides_of
from roadscan.errors import RoadscanError
from roadscan.inventory.build import Built, DriveTables, build
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.tiles.partition import TILE_DEG, Tile, halo, owned, tile_name
from roadscan.taxonomy import HIGHWAY

LOG = logging.getLogger(__name__)
WORKER_ROWS = 250_000  # observations that are worth the start of one more process


@dataclass(frozen=True)
class Previous:
    """What a tile has to know of the register as it was.

    Attributes:
        assets: rows of `schemas.ASSETS`.
        aliases: rows of `schemas.ASSET_ALIAS`.
        config: the thresholds.
    """

    assets: pa.Table
    aliases: pa.Table
    config: InventoryConfig

    def near(self, tile: Tile) -> Previous:
        """The same with no more assets than the tile needs."""
        return Previous(halo(self.assets, tile), self.aliases, self.config)


#: Called with how far the work is: how many are done, of how many, of what.
Step = Callable[[int, int, str], None]
#: Builds all tiles from the parts of drives that lie in each, drive after drive.
BuildTiles = Callable[[Iterable[tuple[Tile, DriveTables]], Previous, Step], list[Built]]


def build_tile(tile: Tile, drives: Iterable[DriveTables], previous: Previous) -> Built:
    """The register of one tile.

    Raises:
        RoadscanError: it cannot be built; which tile, why, and the command that builds it alone.
    """
    try:
        built = build(drives, previous.assets, HIGHWAY, previous.config, new_id, aliases=previous.aliases)
        return owned(built, tile, new_id)
    except Exception as error:
        LOG.info("tile %s cannot be built", tile_name(tile), exc_info=True)
        raise failed_tile(tile, f"{type(error).__name__}: {error}", previous.config) from error


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


def counted(tiles: Iterable[Built], total: int, step: Step) -> list[Built]:
    """The tiles as they are built; `step` is called for each."""
    built: list[Built] = []
    for tile in tiles:
        built.append(tile)
        step(len(built), total, "tiles built")
    return built


def on_this_machine(parts: Iterable[tuple[Tile, DriveTables]], previous: Previous, step: Step) -> list[Built]:
    """Build the tiles in up to `execution.workers` processes, from files that end with this call."""
    with tempfile.TemporaryDirectory(prefix="roadscan-inventory-") as folder:
        tiles: dict[Tile, list[Path]] = {}
        rows = 0
        for number, (tile, part) in enumerate(parts):
            path = Path(folder) / f"{number:08d}"
            _spill(path, part)
            rows += part.observations.num_rows
            tiles.setdefault(tile, []).append(path)
        jobs = [(tile, tiles[tile], previous.near(tile)) for tile in sorted(tiles)]
        workers = min(previous.config.execution.workers, len(jobs), 1 + rows // WORKER_ROWS)
        if workers <= 1:
            return counted((_from_files(*job) for job in jobs), len(jobs), step)
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            return counted(_results(pool, jobs), len(jobs), step)


def _results(pool: ProcessPoolExecutor, jobs: list[tuple[Tile, list[Path], Previous]]) -> Iterator[Built]:
    """The tiles in their order; after one that fails, those that have not begun are left."""
    results = pool.map(_from_files, *zip(*jobs, strict=True))
    for tile, _, previous in jobs:
        try:
            yield next(results)
        except BrokenProcessPool as error:
            cause = "it is the first without a result, as a process was ended from outside, perhaps for want of memory"
            raise failed_tile(tile, cause, previous.config) from error


def new_id() -> str:
    """An id for an asset that was not known: a ULID."""
    return str(ULID())


def _from_files(tile: Tile, paths: list[Path], previous: Previous) -> Built:
    return build_tile(tile, map(_fetch, paths), previous)


def _spill(path: Path, tables: DriveTables) -> None:
    path.mkdir()
    (path / "drive_id").write_text(tables.drive_id)
    for name in ("frames", "observations"):
        feather.write_feather(getattr(tables, name), path / name, compression="lz4")


def _fetch(path: Path) -> DriveTables:
    frames, observations = (feather.read_table(path / name, memory_map=False) for name in ("frames", "observations"))
    return DriveTables((path / "drive_id").read_text(), frames, observations)
