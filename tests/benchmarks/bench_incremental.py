"""What one new drive costs the register, by how many came before it, on its road and elsewhere.

    python tests/benchmarks/bench_incremental.py                          # after 10, 50 and 200 drives of 5 km
    python tests/benchmarks/bench_incremental.py --history 10 --km 3

Drives of a road are committed one a night to a warehouse on disk and brought into the register at once; then one more
is committed, on that road or on another one 0.5 degrees further east, and `update_inventory` runs again. Both runs are
timed by this process's processor, the second also against a build of all drives (`audit_inventory`), whose differences
are counted per mille of the assets. The machine's other work moves seconds; ratios of one run hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.highway import Highway, drive
from support.world import commit

from roadscan.inventory import InventoryConfig, run_audit, update_inventory
from roadscan.warehouse import Warehouse

SEED = 8101
T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--history", type=int, nargs="+", default=[10, 50, 200])
    parser.add_argument("--km", type=float, default=5.0)
    arguments = parser.parse_args()
    table = Table(
        "drives before", "first build CPU s", "new drive", "CPU s", "to the full build", "drives read", "tiles built",
        "of full build CPU s", "differ ‰",
    )  # fmt: skip
    for history in arguments.history:
        for elsewhere in (False, True):
            table.add_row(str(history), *_measure(history, arguments.km, elsewhere=elsewhere))
            Console(width=140).print(table)


def _measure(history: int, km: float, *, elsewhere: bool) -> list[str]:
    """One row of the table."""
    road = Highway(SEED, km * 1000, nights=history + 1)
    other = Highway(SEED + 1, km * 1000, lon=101.5, nights=history + 1) if elsewhere else road
    with tempfile.TemporaryDirectory(prefix="bench-incremental-") as folder:
        warehouse, config = Warehouse(folder), InventoryConfig(warehouse=folder)
        commit(warehouse, *(drive(road, night) for night in range(1, history + 1)))
        _, first = _timed(lambda: update_inventory(config))
        new = drive(other, history + 1)
        commit(warehouse, new)
        summary, again = _timed(lambda: update_inventory(config))
        audit, full = _timed(lambda: run_audit(config))
    differ = 1000 * audit.differing / max(audit.assets, 1)
    return [
        f"{first:.1f}", "elsewhere" if elsewhere else "same road", f"{again:.1f}", f"{again / full:.2f}",
        str(summary.drives_read), str(summary.tiles_built), f"{full:.1f}", f"{differ:.1f}",
    ]  # fmt: skip


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    before = time.process_time()
    return work(), time.process_time() - before


if __name__ == "__main__":
    main()
