"""What the register costs per observation, from a hundred thousand to ten million, and the memory it needs.

    python tests/benchmarks/bench_inventory_scale.py                       # 100 thousand and 1 million observations
    python tests/benchmarks/bench_inventory_scale.py --observations 10e6   # also 10 million: about 40 min on 2 cores

Highways of 100 km, ten nights each, as `support.highway` draws them, are committed to a warehouse on disk; then
`update_inventory` runs in a process of its own. Time is of its processor, with that of its workers; memory is the
largest sum of what the process and its workers held at one moment.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.highway import Highway, drive
from support.watching import watched
from support.world import commit

from roadscan.inventory import InventoryConfig, update_inventory
from roadscan.warehouse import Warehouse

NIGHTS = 10
ROAD_M = 100_000.0
PER_ROAD = 250_000  # observations of ten nights, about


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--observations", type=float, default=1e6, help="the largest number")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    wanted = [n for n in (1e5, 1e6, 1e7) if n <= arguments.observations]
    table = Table("observations", "assets", "wall s", "processor µs an observation", "ratio to the first", "memory GB")
    first = None
    for number in wanted:
        with tempfile.TemporaryDirectory(prefix="bench-inventory-") as folder:
            rows = _commit(folder, number)
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                assets, wall, cpu, memory = pool.submit(_measure, folder, arguments.workers).result()
        cost = cpu / rows * 1e6
        first = first or cost
        table.add_row(f"{rows:,}", f"{assets:,}", f"{wall:.0f}", f"{cost:.0f}", f"{cost / first:.2f}", f"{memory:.2f}")
        Console().print(table)


def _commit(folder: str, observations: float) -> int:
    """Leave in a warehouse what scans of that many observations, about, leave; how many there are."""
    warehouse = Warehouse(folder)
    roads = max(1, round(observations / PER_ROAD))
    length = ROAD_M * min(1.0, observations / PER_ROAD)
    rows = 0
    for road in range(roads):
        highway = Highway(road, length, lon=98.0 + 1.5 * (road % 5), lat=8.0 + 1.5 * (road // 5), nights=NIGHTS)
        for night in range(1, NIGHTS + 1):
            tables = drive(highway, night)
            rows += tables.observations.num_rows
            commit(warehouse, tables)
    return rows


def _measure(folder: str, workers: int) -> tuple[int, float, float, float]:
    """Assets, wall seconds, processor seconds and gigabytes of one run."""
    before, started = time.process_time(), time.monotonic()
    with watched() as cost:
        summary = update_inventory(InventoryConfig(warehouse=folder, execution={"workers": workers}))
        wall = time.monotonic() - started
    assets = sum(sum(states.values()) for states in summary.assets.values())
    return assets, wall, cost.cpu_s - before, cost.peak_gb


if __name__ == "__main__":
    main()
