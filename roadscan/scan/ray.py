"""A scan on a Ray cluster: Ray Data carries shards to actors, which fetch, decode, detect and commit.

Pixels and detections never cross the object store: a shard's address goes in, one row of statistics comes out, and
the tables go from the actor straight to the warehouse.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import ray
import ray.data
from ray.util.annotations import RayDeprecationWarning

from roadscan.errors import RoadscanError
from roadscan.model.device import OVERRIDE
from roadscan.scan.config import ScanConfig
from roadscan.scan.ledger import Scanned, Shard
from roadscan.scan.placement import Placement
from roadscan.scan.worker import ShardWorker

LOG = logging.getLogger(__name__)
PATIENCE_S = 300  # until the first shard
ADVICE = "Failed to apply UDF transform"  # begins what Ray Data adds to an error's text: how to try again


def scan_on_cluster(
    config: ScanConfig, shards: Sequence[Shard], model_sha256: str, placement: Placement
) -> Iterator[Scanned]:
    """Each shard, as it is committed; Ray is connected.

    Args:
        config: the scan; its warehouse is absolute.
        shards: to be scanned.
        model_sha256: of the model that `ledger.keep_model` kept.
        placement: of the actors.

    Raises:
        RoadscanError: what an actor could not get over.
    """
    _quiet()
    # One row a block and one block a shard: a block is what Ray Data gives to an actor at a time.
    rows = ray.data.from_items([asdict(shard) for shard in shards], override_num_blocks=len(shards))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RayDeprecationWarning)  # of passing max_restarts, which has no successor yet
        results = rows.map_batches(
            ShardActor,
            fn_constructor_args=(config, model_sha256, placement, os.environ.get(OVERRIDE, "")),
            batch_size=1,  # Ray Data wants a number where actors have GPUs
            compute=ray.data.ActorPoolStrategy(
                size=placement.actors,
                max_concurrent_calls_per_actor=placement.shards_at_once,
                max_tasks_in_flight_per_actor=placement.shards_at_once,
                enable_true_multi_threading=True,  # else one at a time: the device would wait for rows and commits
            ),
            num_cpus=placement.cpus,
            num_gpus=placement.gpus,
            max_restarts=3,  # for ever by default, so a frame that kills the process would keep the actor busy
        )
    told = threading.Timer(PATIENCE_S, _tell_what_is_free)
    told.daemon = True
    told.start()
    try:
        for row in results.iter_rows():
            told.cancel()
            yield Scanned(**row)
    except ray.exceptions.RayError as error:
        raise _cause(error) from error
    finally:
        told.cancel()


def _tell_what_is_free() -> None:
    """Of actors that wait for room Ray Data says nothing, and waits for ever."""
    free = {name: count for name, count in ray.available_resources().items() if name in ("CPU", "GPU")}
    LOG.warning("no shard yet, after %d s; free in the cluster: %s", PATIENCE_S, free or "nothing")


def _quiet() -> None:
    """Have Ray Data speak when it is spoken to."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # otherwise an actor's own error is lost on the way here
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it prints tracebacks of errors that it raises as well


class ShardActor:
    """A `ShardWorker` as Ray Data calls it, from several threads at a time."""

    def __init__(self, config: ScanConfig, model_sha256: str, placement: Placement, override: str) -> None:
        os.environ[OVERRIDE] = override  # what is said where the scan was started holds on every machine
        self._worker = ShardWorker(config, model_sha256, placement)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Scan and commit the shard of a batch; one row of statistics."""
        (shard,) = (Shard(*values) for values in zip(*(batch[name].tolist() for name in Shard.__slots__), strict=True))
        return {name: [value] for name, value in asdict(self._worker.scan(shard)).items()}


def _cause(error: BaseException) -> RoadscanError:
    """The roadscan error inside Ray's, or one that says what Ray saw."""
    link: BaseException | None = error
    while link is not None:
        inner = getattr(
            link, "cause", None
        )  # of a RayTaskError, which takes on the type of its cause, but not its text
        if isinstance(link, RoadscanError) and inner is None:
            return type(link)(str(link).partition(ADVICE)[0].strip())
        link = inner or link.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    said = lines[-1] if lines else type(error).__name__
    return RoadscanError(f"the scan stopped: {said}; run again to go on from the last commit")
