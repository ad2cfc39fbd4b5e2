"""The register cell by cell: what is built where. Only the rows of the cells being built are in memory."""

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
from roadscan.inventory.regions import Cell, owned, within
from roadscan.taxonomy import HIGHWAY

WORKER_ROWS = 250_000  # observations that are worth the start of one more process


@dataclass(frozen=True)
class Before:
    """What a cell has to know of the register as it was.

    Attributes:
        assets: rows of `schemas.ASSETS`.
        aliases: rows of `schemas.ASSET_ALIAS`.
        config: the thresholds.
    """

    assets: pa.Table
    aliases: pa.Table
    config: InventoryConfig

    def of(self, cell: Cell) -> Before:
        """The same with no more assets than the cell needs."""
        return Before(within(self.assets, cell), self.aliases, self.config)


#: Told how far the work is: how many are done, of how many, of what.
Step = Callable[[int, int, str], None]
#: Builds all cells from the parts of drives that lie in each, drive after drive.
BuildCells = Callable[[Iterable[tuple[Cell, DriveTables]], Before, Step], list[Built]]


def build_cell(cell: Cell, drives: Iterable[DriveTables], before: Before) -> Built:
    """The register of one cell."""
    built = build(drives, before.assets, HIGHWAY, before.config, new_id, aliases=before.aliases)
    return owned(built, cell, new_id)


def counted(cells: Iterable[Built], total: int, step: Step) -> list[Built]:
    """Take cells as they are built, and tell of each."""
    built: list[Built] = []
    for cell in cells:
        built.append(cell)
        step(len(built), total, "cells built")
    return built


def on_this_machine(parts: Iterable[tuple[Cell, DriveTables]], before: Before, step: Step) -> list[Built]:
    """Build the cells in up to `workers` processes, from files that end with this call."""
    with tempfile.TemporaryDirectory(prefix="roadscan-inventory-") as folder:
        cells: dict[Cell, list[Path]] = {}
        rows = 0
        for number, (cell, part) in enumerate(parts):
            path = Path(folder) / f"{number:08d}"
            _spill(path, part)
            rows += part.observations.num_rows
            cells.setdefault(cell, []).append(path)
        jobs = [(cell, cells[cell], before.of(cell)) for cell in sorted(cells)]
        workers = min(before.config.workers, len(jobs), 1 + rows // WORKER_ROWS)
        if workers <= 1:
            return counted((_from_files(*job) for job in jobs), len(jobs), step)
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            return counted(pool.map(_from_files, *zip(*jobs, strict=True)), len(jobs), step)


def new_id() -> str:
    """An id for an asset that was not known: a ULID."""
    return str(ULID())


def _from_files(cell: Cell, paths: list[Path], before: Before) -> Built:
    return build_cell(cell, map(_fetch, paths), before)


def _spill(path: Path, tables: DriveTables) -> None:
    path.mkdir()
    (path / "drive_id").write_text(tables.drive_id)
    for name in ("frames", "observations"):
        feather.write_feather(getattr(tables, name), path / name, compression="lz4")


def _fetch(path: Path) -> DriveTables:
    frames, observations = (feather.read_table(path / name, memory_map=False) for name in ("frames", "observations"))
    return DriveTables((path / "drive_id").read_text(), frames, observations)
