"""The shell of Ray around the register: its tiles are built side by side on a cluster.

The driver reads the drives one after the other and hands their parts to Ray's object store, which writes to disk what
it cannot hold; a task builds one tile. A task that dies with its worker or its node is run again.
"""

from __future__ import annotations

from collections.abc import Iterable

import ray

from roadscan.cluster import connect
from roadscan.errors import RoadscanError
from roadscan.inventory.build import Built, DriveTables
from roadscan.inventory.tiles.execute import Previous, Step, build_tile, counted
from roadscan.inventory.tiles.partition import Tile


def on_ray(parts: Iterable[tuple[Tile, DriveTables]], previous: Previous, step: Step) -> list[Built]:
    """Build the tiles as tasks of a core each.

    Raises:
        RoadscanError: Ray ended a task more often than it tries again.
    """
    connect()
    tiles: dict[Tile, list[ray.ObjectRef]] = {}
    for tile, part in parts:
        tiles.setdefault(tile, []).append(ray.put(part))
    task = ray.remote(num_cpus=1, max_retries=3)(_build)
    try:
        tasks = [task.remote(tile, tiles[tile], previous.near(tile)) for tile in sorted(tiles)]
        return counted(map(ray.get, tasks), len(tasks), step)
    except ray.exceptions.RayError as error:
        said = [line for line in str(error).splitlines() if line.strip()][-1]
        raise RoadscanError(f"the inventory stopped: {said}; nothing was published, run again") from error


def _build(tile: Tile, parts: list[ray.ObjectRef], previous: Previous) -> Built:
    return build_tile(tile, map(ray.get, parts), previous)  # one part after the other, so that one is in memory
