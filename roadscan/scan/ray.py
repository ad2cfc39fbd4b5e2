"""A scan on a Ray cluster: Ray Data carries shards to actors, which fetch, decode, detect and commit.

    decode_on actors       shards ─► actors: fetch, decode, detect, commit ─► statistics
    decode_on all_nodes    shards ─► tasks: fetch, decode ─► pixels ─► actors: detect, commit ─► statistics

By default neither pixels nor detections cross the object store: a shard's address goes in, one row of statistics comes
out, and the tables go from the actor straight to the warehouse. Where tasks decode, a shard's pixels cross it once, at
the size of the network's input; Ray Data starts no task whose pixels would have no room, and what a lost node held is
decoded again.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray.util.annotations import RayDeprecationWarning
from ray.util.metrics import Counter

from roadscan.cluster import free, last_line, offers
from roadscan.errors import RoadscanError, in_words
from roadscan.model.device import OVERRIDE
from roadscan.scan.attempts import attempt
from roadscan.scan.config import ScanConfig
from roadscan.scan.decoded import decode_shard, most_bytes, pack, unpack
from roadscan.scan.ledger import Scanned, Shard
from roadscan.scan.loading import LoaderSettings
from roadscan.scan.placement import Placement, advice_on_store
from roadscan.scan.plan import ScanPlan
from roadscan.storage import open_store

LOG = logging.getLogger(__name__)
PATIENCE_S = 300  # until the first shard
ADVICE = "Failed to apply UDF transform"  # begins what Ray Data adds to an error's text: how to try again
#: Of a process that died: for ever by default, so one that cannot start would keep the cluster busy. Each shard may
#: need some: `attempts` bounds those.
RESTARTS = 100
#: Counters, which Ray exports as ray_roadscan_scan_frames_total and the like, by field of `Scanned`.
LIVE = {"frames": "Frames that are scanned and committed.", "detections": "Detections in them."}


@dataclass(frozen=True, slots=True)
class Decoding:
    """How tasks decode.

    Attributes:
        settings: of their `Loader`.
        warehouse: whose shards they decode.
        scan_id: of this run.
    """

    settings: LoaderSettings
    warehouse: str
    scan_id: str


def scan_on_cluster(config: ScanConfig, plan: ScanPlan, placement: Placement, scan_id: str) -> Iterator[Scanned]:
    """Each shard, as it is committed; Ray is connected.

    Args:
        config: the scan; its warehouse is absolute.
        plan: what is to do; `ledger.keep_model` has kept its model.
        placement: of the actors, and of the tasks that decode for them.
        scan_id: of this run.

    Raises:
        RoadscanError: what an actor or a task could not get over.
    """
    from roadscan.scan.shard import loader_settings  # imports PyTorch, which a decoding task does without

    quiet()
    decoding = None
    if placement.decoders:
        settings = loader_settings(config, plan.model.card, config.fetch_threads or placement.threads)
        _tell_of_large_shards(config, plan, settings)
        decoding = Decoding(settings, config.warehouse, scan_id)
    arguments = (config, plan.model.sha256, placement, scan_id, os.environ.get(OVERRIDE, ""))
    results = through_stages(plan.todo, ShardActor, arguments, placement, decoding)
    told = threading.Timer(PATIENCE_S, _tell_what_is_free)
    told.daemon = True
    told.start()
    try:
        for row in results.iter_rows():
            told.cancel()
            _count(row)
            yield Scanned(**row)
    except ray.exceptions.RayError as error:
        raise _cause(error) from error
    finally:
        told.cancel()


def _count(row: dict[str, Any]) -> None:
    """Have Ray's metrics of this node count what a shard gave, so that Prometheus sees a scan under way."""
    for name, meaning in LIVE.items():
        if row[name]:
            Counter(f"roadscan_scan_{name}", meaning).inc(row[name])


def through_stages(
    shards: Sequence[Shard], actor: type, arguments: tuple[Any, ...], placement: Placement,
    decoding: Decoding | None,
) -> ray.data.Dataset:  # fmt: skip
    """What actors make of shards, lazily: one row a shard.

    Args:
        shards: one row a block and one block a shard: a block is what Ray Data gives to a task or an actor at a time.
        actor: class of the actors: called with a table of one shard, and its pixels where it is decoded.
        arguments: of its constructor.
        placement: of actors and tasks.
        decoding: how tasks decode; None where actors do.
    """
    rows = ray.data.from_items([asdict(shard) for shard in shards], override_num_blocks=len(shards))
    with warnings.catch_warnings():
        # Of how often a process that died is started again, for which there is no other argument yet.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        if decoding is not None:
            rows = _through_decoders(rows, placement, decoding)
        return rows.map_batches(
            actor,
            fn_constructor_args=arguments,
            batch_size=1,  # Ray Data wants a number where actors have GPUs
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(
                size=placement.actors,
                max_concurrent_calls_per_actor=placement.shards_at_once,
                # With pixels one more than it works on, so that they are there when they are wanted.
                max_tasks_in_flight_per_actor=placement.shards_at_once + (decoding is not None),
                enable_true_multi_threading=True,  # else one at a time: the device would wait for rows and commits
            ),
            num_cpus=placement.cpus,
            num_gpus=placement.gpus,
            max_restarts=RESTARTS,
        )


def _through_decoders(rows: ray.data.Dataset, placement: Placement, decoding: Decoding) -> ray.data.Dataset:
    """A stage of tasks; never fused with the actors', as those ask for GPUs and these do not."""
    return rows.map_batches(
        _decode,
        fn_args=(decoding,),
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.TaskPoolStrategy(size=placement.decoders),
        num_cpus=placement.cpus_a_decoder,
        max_retries=RESTARTS,
    )


def _decode(batch: pa.Table, decoding: Decoding) -> pa.Table:
    """The shard of a batch, its pixels, the node that this task runs on, and what is wrong with it."""
    shard, error = _shard(batch), ""
    try:
        with attempt(open_store(decoding.warehouse), shard, decoding.scan_id, "decode") as number:
            table = decode_shard(shard, decoding.settings, apart=number > 1)
    except Exception as wrong:  # noqa: BLE001 - of this shard alone
        table, error = pack([]), f"{shard}: {in_words(wrong)}"
    for name in batch.column_names:
        table = table.append_column(name, batch[name])
    return table.append_column("decoded_on", [[ray.util.get_node_ip_address()]]).append_column("error", [[error]])


def _shard(batch: pa.Table) -> Shard:
    (fields,) = batch.select(Shard.__slots__).to_pylist()
    return Shard(**fields)


def _tell_of_large_shards(config: ScanConfig, plan: ScanPlan, decoding: LoaderSettings) -> None:
    """Say so before the object stores overflow."""
    drives = {drive.uri: drive for drive in plan.drives.values()}
    sizes = [
        most_bytes(shard.stop - shard.start, drives[shard.drive_uri].cameras.values(), decoding["side_px"],
                   decoding["stride_px"], decoding["slices"], decoding["faces"])
        for shard in plan.todo
    ]  # fmt: skip
    stores = [offer.get("object_store_memory", 0.0) for offer in offers() if offer.get("CPU")]
    if advice := advice_on_store(max(sizes), min(stores), config.shard_frames):
        LOG.warning("%s", advice)


def _tell_what_is_free() -> None:
    """Of actors that wait for room Ray Data says nothing, and waits for ever."""
    LOG.warning("no shard yet, after %d s; free in the cluster: %s", PATIENCE_S, free() or "nothing")


def quiet() -> None:
    """Have Ray Data speak when it is spoken to."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True  # otherwise an actor's own error is lost on the way here
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # it prints tracebacks of errors that it raises as well


class ShardActor:
    """A `ShardWorker` as Ray Data calls it, from several threads at a time.

    Attributes:
        worker: does the work.
    """

    def __init__(
        self, config: ScanConfig, model_sha256: str, placement: Placement, scan_id: str, override: str
    ) -> None:
        from roadscan.scan.worker import ShardWorker  # imports PyTorch, which a decoding task does without

        os.environ[OVERRIDE] = override  # what is said where the scan was started holds on every machine
        self.worker = ShardWorker(config, model_sha256, placement, scan_id)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Scan and commit the shard of a batch; one row of statistics."""
        if "decoded_on" not in batch.column_names:
            return pa.Table.from_pylist([asdict(self.worker.scan(_shard(batch)))])
        shard, error = _shard(batch), batch["error"][0].as_py()
        done = Scanned(shard.run_key, 0, 0, "", "", error=error) if error else self.worker.scan(shard, unpack(batch))
        return pa.Table.from_pylist([asdict(replace(done, decoded_on=batch["decoded_on"][0].as_py()))])


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
    return RoadscanError(f"the scan stopped: {last_line(error)}; run again to go on from the last commit")
