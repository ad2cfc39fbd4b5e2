"""Builds tiles in processes of this machine; only the rows of the tiles being built are in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
from pyarrow import feather
from ulid import ULID

from roadscan.inventory.build import Built, DriveTables, build
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.tiles.partition import Tile, halo, owned
from roadscan.taxonomy import HIGHWAY

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
    """The register of one tile."""
    built = build(drives, previous.assets, HIGHWAY, previous.config, new_id, aliases=previous.aliases)
    return owned(built, tile, new_id)


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
            return counted(pool.map(_from_files, *zip(*jobs, strict=True)), len(jobs), step)


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
