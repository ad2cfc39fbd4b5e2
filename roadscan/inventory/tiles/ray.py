"""The shell of Ray around the register: its tiles are built side by side on a cluster.

The driver reads the drives one after the other and hands their parts to Ray's object store, which writes to disk what
it cannot hold; a task builds one tile. A task that dies with its worker or its node is run again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import ray

from roadscan.cluster import connect, last_line
from roadscan.errors import RoadscanError
from roadscan.inventory.tiles.execute import BuiltTile, DrivePart, Previous, Step, build_tile, counted, failed_tile
from roadscan.inventory.tiles.partition import Tile


def on_ray(parts: Iterable[tuple[Tile, DrivePart]], previous: Previous, step: Step) -> Iterator[BuiltTile]:
    """Build the tiles as tasks of a core each.

    Raises:
        RoadscanError: a tile cannot be built, or Ray ended its task more often than it tries again.
    """
    connect()
    tiles: dict[Tile, list[tuple[int, ray.ObjectRef]]] = {}
    for tile, part in parts:
        tiles.setdefault(tile, []).append((part.order, ray.put(part)))
    task = ray.remote(num_cpus=1, max_retries=3)(_build)
    try:
        tasks = {}
        for tile in sorted(tiles):
            inputs = [reference for _, reference in sorted(tiles[tile], key=lambda part: part[0])]
            tasks[tile] = task.remote(tile, inputs, previous.near(tile))
        yield from counted(_results(tasks, previous), len(tasks), step)
    except ray.exceptions.RayError as error:
        raise RoadscanError(f"the inventory stopped: {last_line(error)}; nothing was published, run again") from error


def _results(tasks: dict[Tile, ray.ObjectRef], previous: Previous) -> Iterator[BuiltTile]:
    """The tiles in their order."""
    for tile, task in tasks.items():
        try:
            yield ray.get(task)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, RoadscanError):
                raise error.cause from error
            raise failed_tile(tile, last_line(error), previous.config) from error
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
            raise failed_tile(tile, last_line(error), previous.config) from error


def _build(tile: Tile, parts: list[ray.ObjectRef], previous: Previous) -> BuiltTile:
    return build_tile(tile, map(ray.get, parts), previous)  # one part after the other, so that one is in memory
