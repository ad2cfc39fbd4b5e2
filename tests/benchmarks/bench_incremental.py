"""What one new drive costs the register, by how many came before it, on its road and elsewhere.

    python tests/benchmarks/bench_incremental.py                          # after 10, 50 and 200 drives of 5 km
    python tests/benchmarks/bench_incremental.py --km 1 --history 50 200 1000 --rounds 7

Drives of a road are committed one a night to a warehouse on disk and brought into the register at once; then one more
is committed, on that road or on another one 0.5 degrees further east. From copies of these warehouses
`update_inventory` runs again, by turns, round after round: what else the machine does falls on all histories alike.
The median of the rounds is told, the least and the most, and the median against that after the fewest drives that are
more than are weighed together. A build of all drives (`run_audit`) is timed once, and what differs from it is counted
per mille of the assets. Seconds are of this process's processor.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.highway import Highway, drive
from support.world import commit

from roadscan.inventory import InventoryConfig, run_audit, update_inventory
from roadscan.warehouse import Warehouse

SEED = 8101
T = TypeVar("T")


@dataclass
class Night:
    """A warehouse with one drive that its register does not have yet, and what bringing that in cost, CPU seconds."""

    folder: Path
    history: int
    elsewhere: bool
    first: float
    again: list[float] = field(default_factory=list)
    full: float = 0.0
    counts: tuple[str, ...] = ()

    def run(self) -> None:
        """Bring the drive into the register of a copy."""
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as copy:
            config = _copied(self.folder, copy)
            summary, seconds = _timed(lambda: update_inventory(config))
        self.again.append(seconds)
        self.counts = str(summary.drives_read), str(summary.tiles_built)

    def audit(self) -> float:
        """Build everything from all drives; how many assets differ, per mille."""
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as copy:
            config = _copied(self.folder, copy)
            update_inventory(config)
            audit, self.full = _timed(lambda: run_audit(config))
        return 1000 * audit.differing / max(audit.assets, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--history", type=int, nargs="+", default=[10, 50, 200])
    parser.add_argument("--km", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-incremental-") as folder:
        nights = [
            _prepared(Path(folder) / f"{history}-{elsewhere}", history, arguments.km, elsewhere=elsewhere)
            for history in track(sorted(arguments.history), "first builds")
            for elsewhere in (False, True)
        ]
        for _ in track(range(arguments.rounds), "rounds"):
            for night in nights:
                night.run()
        differ = [night.audit() for night in track(nights, "builds of all drives")]
    Console(width=150).print(_told(nights, differ))


def _told(nights: list[Night], differ: list[float]) -> Table:
    window = InventoryConfig(warehouse="unused").matching.window_drives
    table = Table(
        "drives before", "first build CPU s", "new drive", "CPU s, median", "least – most", "to the fewest past W",
        "drives read", "tiles built", "of all drives CPU s", "to that", "differ ‰",
    )  # fmt: skip
    for night, per_mille in zip(nights, differ, strict=True):
        again = statistics.median(night.again)
        past = [one for one in nights if one.history >= window and one.elsewhere == night.elsewhere]
        ratio = f"{again / statistics.median(past[0].again):.2f}" if night in past else ""
        table.add_row(
            str(night.history), f"{night.first:.1f}", "elsewhere" if night.elsewhere else "same road", f"{again:.2f}",
            f"{min(night.again):.2f} – {max(night.again):.2f}", ratio, *night.counts, f"{night.full:.1f}",
            f"{again / night.full:.2f}", f"{per_mille:.1f}",
        )  # fmt: skip
    return table


def _prepared(folder: Path, history: int, km: float, *, elsewhere: bool) -> Night:
    """A register of so many drives, and one drive more."""
    road = Highway(SEED, km * 1000, nights=history + 1)
    other = Highway(SEED + 1, km * 1000, lon=101.5, nights=history + 1) if elsewhere else road
    warehouse = Warehouse(str(folder))
    commit(warehouse, *(drive(road, night) for night in range(1, history + 1)))
    _, first = _timed(lambda: update_inventory(InventoryConfig(warehouse=str(folder))))
    commit(warehouse, drive(other, history + 1))
    return Night(folder, history, elsewhere, first)


def _copied(folder: Path, copy: str) -> InventoryConfig:
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    return InventoryConfig(warehouse=copy)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    before = time.process_time()
    return work(), time.process_time() - before


if __name__ == "__main__":
    main()
