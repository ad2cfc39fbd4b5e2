"""The shell of Ray around the register: its cells are built side by side on a cluster.

The driver reads the drives one after the other and hands their parts to Ray's object store, which writes to disk what
it cannot hold; a task builds one cell. A task that dies with its worker or its node is run again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import ray

from roadscan.cluster import connect, refuse_lost_outputs
from roadscan.errors import RoadscanError
from roadscan.inventory.build import Built, DriveTables
from roadscan.inventory.cells import Before, Step, build_cell, counted, on_this_machine
from roadscan.inventory.config import InventoryConfig
from roadscan.inventory.publish import InventorySummary, update_inventory
from roadscan.inventory.regions import Cell
from roadscan.progress import OnProgress, Progress, silent


def run_inventory(config: InventoryConfig, on_progress: OnProgress = silent) -> InventorySummary:
    """`update_inventory` on this machine or, with `on_ray`, on the Ray cluster; both give the same register.

    Raises:
        ConfigError: a submitted job would write into its copy of the working directory.
        RoadscanError: what `update_inventory` raises, or Ray ended a task more often than it tries again.
    """
    refuse_lost_outputs({"warehouse": config.warehouse}, os.environ)

    def step(done: int, total: int, unit: str) -> None:
        on_progress(Progress("inventory", done, total, unit))

    return update_inventory(config, step, on_ray if config.on_ray else on_this_machine)


def on_ray(parts: Iterable[tuple[Cell, DriveTables]], before: Before, step: Step) -> list[Built]:
    """Build the cells as tasks of a core each."""
    connect()
    cells: dict[Cell, list[ray.ObjectRef]] = {}
    for cell, part in parts:
        cells.setdefault(cell, []).append(ray.put(part))
    task = ray.remote(num_cpus=1, max_retries=3)(_build)
    try:
        tasks = [task.remote(cell, cells[cell], before.of(cell)) for cell in sorted(cells)]
        return counted(map(ray.get, tasks), len(tasks), step)
    except ray.exceptions.RayError as error:
        said = [line for line in str(error).splitlines() if line.strip()][-1]
        raise RoadscanError(f"the inventory stopped: {said}; nothing was published, run again") from error


def _build(cell: Cell, parts: list[ray.ObjectRef], before: Before) -> Built:
    return build_cell(cell, map(ray.get, parts), before)  # one part after the other, so that one is in memory
