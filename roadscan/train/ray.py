"""Training on a Ray cluster: Ray Train starts workers, replaces lost ones, and keeps their checkpoints.

Nothing is decided here that could be decided in the loop. Workers report to an actor on the driver's node; the driver
reads it, sends on progress, and copies the finished model to where it was asked for.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray.train.torch import TorchTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from roadscan.cluster import free
from roadscan.dataset.draft import refuse
from roadscan.dataset.fitness import unfit
from roadscan.dataset.shrunk import shrink
from roadscan.dataset.staging import stage
from roadscan.errors import AccessDenied, NotFound, RoadscanError, StorageError, TrainingError
from roadscan.progress import OnProgress, Progress, silent
from roadscan.scratch import Scratch
from roadscan.storage import arrow_filesystem, open_file, open_store
from roadscan.train.config import TrainConfig
from roadscan.train.dataloader import images_to_shrink
from roadscan.train.history import History, write_history
from roadscan.train.initial import Initial
from roadscan.train.loop import train
from roadscan.train.placement import Placement
from roadscan.train.process_group import CheckedTorchConfig, environment, worker_device
from roadscan.train.ranks import all_gather
from roadscan.train.reporter import Reporter
from roadscan.train.result import MODEL, TrainSummary, write_result
from roadscan.train.state import write_settings

POLL_S = 0.5
PATIENCE_S = 300  # without news, after which the driver says what it waits for
COLLECTIVE_S = 600  # after which a step that hangs in a collective ends its worker, to be replaced
RESIZE_S = 900  # between looks for room for more workers; to take it costs the epoch under way
logger = logging.getLogger(__name__)


def train_on_cluster(
    config: TrainConfig, placement: Placement, initial: Initial | ray.ObjectRef | None, on_progress: OnProgress = silent
) -> TrainSummary:
    """A checked run -> its summary, with the model file written to ``config.out``; Ray is connected.

    Args:
        config: the run, its addresses absolute.
        placement: of its workers.
        initial: its first weights, or a reference to them (to None, too) that several runs share.
        on_progress: called about once a second while it trains, from another thread: with the step of the epoch under
            way, and with the history when there are new epochs.

    Raises:
        RoadscanError: as `run_train`.
    """
    reporter = _start_reporter()
    reference = initial if isinstance(initial, ray.ObjectRef) else ray.put(initial)
    trainer = _trainer(config, placement, reference, reporter)
    failure = None
    with _polled(reporter, config.epochs, on_progress), _interruptible():
        try:
            trainer.fit()
        except ray.train.TrainingFailedError as error:
            failure = error
    user_error: RoadscanError | None = ray.get(reporter.failure.remote())
    if user_error is not None:
        raise user_error
    if failure is not None:
        last = ray.get(reporter.cause_of_restart.remote()) or failure
        raise TrainingError(
            f"workers failed more than max_failures={config.execution.max_failures} times; the run's checkpoints are "
            f"kept, and the same command goes on from them. The last failure: {last}"
        )
    store = open_store(config.runs).child(config.name)
    out, name = open_file(config.out)
    out.write(name, store.read(MODEL))
    return TrainSummary.read(store)


def _trainer(config: TrainConfig, placement: Placement, initial: ray.ObjectRef, reporter: Any) -> TorchTrainer:
    """Ray Train's trainer of a run, not started."""
    filesystem, path = arrow_filesystem(config.runs)
    return TorchTrainer(
        _run_worker,
        train_loop_config={
            "config": config.model_dump(mode="json"),
            "initial": initial,
            "cpus": placement.cpus,
            "reporter": reporter,
        },
        # Of a step alone: what takes one worker long is waited for elsewhere (`all_gather`).
        torch_config=CheckedTorchConfig(timeout_s=COLLECTIVE_S, reporter=reporter),
        scaling_config=ray.train.ScalingConfig(
            num_workers=placement.workers,
            use_gpu=placement.gpus > 0,
            resources_per_worker=_resources(placement),
            elastic_resize_monitor_interval_s=RESIZE_S,
        ),
        run_config=ray.train.RunConfig(
            name=config.name,
            storage_path=path,
            storage_filesystem=filesystem,
            failure_config=ray.train.FailureConfig(max_failures=config.execution.max_failures),
            callbacks=[_EndOfRun(reporter)],
            checkpoint_config=ray.train.CheckpointConfig(
                num_to_keep=config.keep_checkpoints, checkpoint_score_attribute="fitness"
            ),
            # Threads that spin while they wait for work take the cores that other processes need.
            worker_runtime_env={"env_vars": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", **environment()}},
        ),
    )


def _resources(placement: Placement) -> dict[str, float]:
    return {"CPU": placement.cpus, **({"GPU": placement.gpus} if placement.gpus else {})}


def _run_worker(spec: dict[str, Any]) -> None:
    """Train as one worker, from staging to the finished model; a user's mistake is reported, and not tried again."""
    reporter = spec["reporter"]
    if ray.get(reporter.failure.remote()) is not None:
        return
    ray.get(reporter.on_restart.remote(None))
    try:
        _train(TrainConfig.model_validate(spec["config"]), spec)
    except RoadscanError as error:
        if isinstance(error, StorageError) and not isinstance(error, AccessDenied | NotFound):
            ray.get(reporter.on_restart.remote(error))
            raise  # a store that is down may come back: Ray tries again
        ray.get(reporter.on_failure.remote(error))
        if ray.train.get_context().get_world_size() > 1:
            raise  # the others may be waiting for this one: Ray ends them, and `_EndOfRun` the run


def _train(config: TrainConfig, spec: dict[str, Any]) -> None:
    ranks = _RayRanks(spec["reporter"], spec["cpus"])
    torch.set_num_threads(spec["cpus"])
    all_gather(None)  # all are here; from now on one may take hours
    error: RoadscanError | None = None
    try:
        dataset = stage(config.data, Path(config.execution.cache_dir))
        refuse(unfit(dataset), config.data)
        shrunk = shrink(dataset.root, images_to_shrink(dataset, config.image_size_px), config.execution.cache_dir)
    except RoadscanError as error_:
        error = error_
    # All or none: a rank that went on alone would wait for ever for the others.
    for one in all_gather(error):
        if one is not None:
            raise one
    initial: Initial | None = ray.get(spec["initial"])
    store = open_store(config.runs).child(config.name)

    def on_epoch(history: History) -> None:
        write_settings(config.identity(), store)
        write_history(history, config, store)
        spec["reporter"].on_epoch.remote(history)

    state = train(config, dataset, initial, ranks, on_epoch, shrunk)
    if ranks.rank == 0:
        write_result(state, dataset, config, initial.origin if initial else "scratch", store, ranks.device)


class _EndOfRun(ray.train.UserCallback):  # type: ignore[misc]
    """Ends a run at a mistake that a worker has reported: workers that Ray started again would only meet it again."""

    def __init__(self, reporter: Any) -> None:
        self._reporter = reporter

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:  # noqa: ARG002
        if (error := ray.get(self._reporter.failure.remote())) is not None:
            raise error


class _RayRanks:
    """`Ranks` of a Ray Train worker."""

    def __init__(self, reporter: Any, cpus: int) -> None:
        context = ray.train.get_context()
        self.rank, self.world_size = context.get_world_rank(), context.get_world_size()
        self.device = worker_device()
        self.cpus = cpus
        self._reporter = reporter
        self._scratch = Scratch("resume")

    def latest(self) -> Path | None:
        checkpoint = ray.train.get_checkpoint()
        return Path(checkpoint.to_directory(self._scratch.path)) if checkpoint else None

    def report(self, metrics: dict[str, Any], checkpoint: Path | None) -> None:
        # It is uploaded beside the next epoch. Ray lets any number of them queue up; the run is to lose one at most.
        ray.train.get_all_reported_checkpoints()  # waits until Ray has taken down every report before this one
        ray.train.report(
            metrics,
            checkpoint=checkpoint and ray.train.Checkpoint.from_directory(checkpoint),
            checkpoint_upload_mode=ray.train.CheckpointUploadMode.ASYNC,
            delete_local_checkpoint_after_upload=True,
        )

    def on_progress(self, progress: Progress) -> None:
        self._reporter.on_progress.remote(progress)


def _start_reporter() -> Any:
    """The handle of a `Reporter` on the driver's node, which the run cannot outlive anyway."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Reporter).options(num_cpus=0, scheduling_strategy=here).remote()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C be one. Ray Train makes it an exit with code 0, and keeps its handler when it is done."""
    ours = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, ours)


@contextmanager
def _polled(reporter: Any, epochs: int, on_progress: OnProgress) -> Iterator[None]:
    """Send on what workers report while the block runs; warn where none has started for long."""
    done = threading.Event()

    def poll() -> None:
        seen, since, epochs_seen = None, time.monotonic(), 0
        while not done.wait(POLL_S):
            if len(history := ray.get(reporter.history.remote())) > epochs_seen:
                epochs_seen = len(history)
                on_progress(Progress("train", epochs_seen, epochs, "epochs", {"history": history}))
            progress = ray.get(reporter.progress.remote())
            if progress != seen:
                seen, since = progress, time.monotonic()
                on_progress(progress)
            elif seen is None and time.monotonic() - since > PATIENCE_S:
                since = time.monotonic()
                logger.warning("waiting for workers to start; free in the cluster: %s", free() or "nothing")

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
