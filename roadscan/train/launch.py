"""The shell around training: Ray Train starts workers, replaces lost ones, and keeps their checkpoints.

Nothing is decided here that could be decided in the loop. The driver checks what can be checked before anything starts,
shows progress, and copies the finished model to where it was asked for.
"""

from __future__ import annotations

import logging
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray.train.torch import TorchTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from roadscan.cluster import connect, grows, nodes
from roadscan.dataset.shrunk import shrink
from roadscan.dataset.staging import stage
from roadscan.errors import AccessDenied, NotFound, RoadscanError, StorageError, TrainingError
from roadscan.storage import arrow_filesystem, open_file, open_store
from roadscan.train.backend import CheckedTorchConfig, environment, worker_device
from roadscan.train.check import check_training
from roadscan.train.config import TrainConfig
from roadscan.train.feed import small_copies
from roadscan.train.history import History, write_history
from roadscan.train.initial import Initial, check_splits
from roadscan.train.loop import train
from roadscan.train.placement import Placement, place
from roadscan.train.ranks import Progress, everyone
from roadscan.train.result import MODEL, Summary, write_result

POLL_S = 0.5
PATIENCE_S = 300  # without news, after which the driver says what it waits for
COLLECTIVE_S = 600  # after which a step that hangs in a collective ends its worker, to be replaced
RESIZE_S = 900  # between looks for room for more workers; to take it costs the epoch under way
logger = logging.getLogger(__name__)

OnProgress = Callable[[Progress], None]
OnHistory = Callable[[History], None]


def run_training(
    config: TrainConfig, on_progress: OnProgress | None = None, on_history: OnHistory | None = None
) -> Summary:
    """Train on the Ray cluster, from the run's newest checkpoint if there is one, and write the model file.

    Args:
        config: the run.
        on_progress: called about once a second while it trains.
        on_history: called with the history when there are new epochs; as `on_progress`, from another thread.

    Raises:
        ConfigError: the cluster has no room for the workers, or the run was started with other settings.
        DeviceError: a worker holds a GPU that it cannot compute on.
        DatasetError, ModelError, StorageError: as their names say.
        TrainingError: workers were lost more often than `max_failures`, or the loss is not finite any more.
    """
    checked = check_training(config)
    connect()
    placement = place(checked.config, nodes(), grows=grows())
    return run_placed(checked.config, placement, ray.put(checked.initial), on_progress, on_history)


def run_placed(
    config: TrainConfig,
    placement: Placement,
    initial: Any,
    on_progress: OnProgress | None = None,
    on_history: OnHistory | None = None,
) -> Summary:
    """`run_training`, of a run that has been checked, its addresses absolute.

    Args:
        config: the run.
        placement: of its workers.
        initial: reference to its first `Initial` weights, or to None.
        on_progress: as for `run_training`.
        on_history: as for `run_training`.

    Raises:
        RoadscanError: as `run_training`.
    """
    filesystem, path = arrow_filesystem(config.runs)
    watch = _watch()
    trainer = TorchTrainer(
        _work,
        train_loop_config={
            "config": config.model_dump(mode="json"),
            "initial": initial,
            "cpus": placement.cpus,
            "watch": watch,
        },
        # Of a step alone: what takes one worker long is waited for elsewhere (`everyone`).
        torch_config=CheckedTorchConfig(timeout_s=COLLECTIVE_S, watch=watch),
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
            checkpoint_config=ray.train.CheckpointConfig(
                num_to_keep=config.keep_checkpoints, checkpoint_score_attribute="fitness"
            ),
            # Threads that spin while they wait for work take the cores that other processes need.
            worker_runtime_env={"env_vars": {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", **environment()}},
        ),
    )
    failure = None
    with _shown(watch, on_progress, on_history), _interruptible():
        try:
            trainer.fit()
        except ray.train.TrainingFailedError as error:
            failure = error
    told: RoadscanError | None = ray.get(watch.failure.remote())
    if told is not None:
        raise told
    if failure is not None:
        last = ray.get(watch.setback.remote()) or failure
        raise TrainingError(
            f"workers failed more than max_failures={config.execution.max_failures} times; the run's checkpoints are "
            f"kept, and the same command goes on from them. The last failure: {last}"
        )
    store = open_store(config.runs).child(config.name)
    out, name = open_file(config.out)
    out.write(name, store.read(MODEL))
    return Summary.read(store)


def _resources(placement: Placement) -> dict[str, float]:
    return {"CPU": placement.cpus, **({"GPU": placement.gpus} if placement.gpus else {})}


def _work(spec: dict[str, Any]) -> None:
    """One worker, from staging to the finished model. A user's mistake is told to the driver, and not tried again."""
    watch = spec["watch"]
    if ray.get(watch.failure.remote()) is not None:
        return
    ray.get(watch.set_back.remote(None))
    try:
        _train(TrainConfig.model_validate(spec["config"]), spec)
    except RoadscanError as error:
        if isinstance(error, StorageError) and not isinstance(error, AccessDenied | NotFound):
            ray.get(watch.set_back.remote(error))
            raise  # a store that is down may come back: Ray tries again
        ray.get(watch.fail.remote(error))
        if ray.train.get_context().get_world_size() > 1:
            raise  # the others may be waiting for this one; Ray ends them, and when it tries again all return above


def _train(config: TrainConfig, spec: dict[str, Any]) -> None:
    ranks = _RayRanks(spec["watch"], spec["cpus"])
    torch.set_num_threads(spec["cpus"])
    everyone(None)  # all are here; from now on one may take hours
    error: RoadscanError | None = None
    try:
        dataset = stage(config.data, Path(config.execution.cache_dir))
        check_splits(dataset, config.data)
        shrunk = shrink(dataset.root, small_copies(dataset, config.image_size_px), config.execution.cache_dir)
    except RoadscanError as error_:
        error = error_
    # All or none: a rank that went on alone would wait for ever for the others.
    for one in everyone(error):
        if one is not None:
            raise one
    initial: Initial | None = ray.get(spec["initial"])
    store = open_store(config.runs).child(config.name)

    def on_epoch(history: History) -> None:
        write_history(history, config, store)
        spec["watch"].tell.remote(history)

    state = train(config, dataset, initial, ranks, on_epoch, shrunk)
    if ranks.rank == 0:
        write_result(state, dataset, config, initial.origin if initial else "scratch", store, ranks.device)


class _RayRanks:
    """`Ranks` of a Ray Train worker."""

    def __init__(self, watch: Any, cpus: int) -> None:
        context = ray.train.get_context()
        self.rank, self.world_size = context.get_world_rank(), context.get_world_size()
        self.device = worker_device()
        self.cpus = cpus
        self._watch = watch
        self._folder = tempfile.TemporaryDirectory(prefix="roadscan-resume-")

    def latest(self) -> Path | None:
        checkpoint = ray.train.get_checkpoint()
        return Path(checkpoint.to_directory(self._folder.name)) if checkpoint else None

    def report(self, metrics: dict[str, Any], checkpoint: Path | None) -> None:
        # It is uploaded beside the next epoch. Ray lets any number of them queue up; the run is to lose one at most.
        ray.train.get_all_reported_checkpoints()  # waits until Ray has taken down every report before this one
        ray.train.report(
            metrics,
            checkpoint=checkpoint and ray.train.Checkpoint.from_directory(checkpoint),
            checkpoint_upload_mode=ray.train.CheckpointUploadMode.ASYNC,
            delete_local_checkpoint_after_upload=True,
        )

    def progress(self, progress: Progress) -> None:
        self._watch.show.remote(progress)


class _Watch:
    """What workers tell the driver: the newest progress and history, the user's first mistake, and the last setback."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._history: History = []
        self._failure: RoadscanError | None = None
        self._setback: RoadscanError | None = None

    def show(self, progress: Progress) -> None:
        self._progress = progress

    def progress(self) -> Progress | None:
        return self._progress

    def tell(self, history: History) -> None:
        self._history = history

    def history(self) -> History:
        return self._history

    def fail(self, error: RoadscanError) -> None:
        self._failure = self._failure or error

    def failure(self) -> RoadscanError | None:
        return self._failure

    def set_back(self, error: RoadscanError | None) -> None:
        self._setback = error

    def setback(self) -> RoadscanError | None:
        return self._setback


def _watch() -> Any:
    """On the driver's node, which the run cannot outlive anyway."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(_Watch).options(num_cpus=0, scheduling_strategy=here).remote()


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
def _shown(watch: Any, on_progress: OnProgress | None, on_history: OnHistory | None) -> Iterator[None]:
    """Hand progress and history on while the block runs."""
    done = threading.Event()

    def poll() -> None:
        seen, since, epochs = None, time.monotonic(), 0
        while not done.wait(POLL_S):
            if on_history and len(history := ray.get(watch.history.remote())) > epochs:
                epochs = len(history)
                on_history(history)
            progress = ray.get(watch.progress.remote())
            if progress != seen:
                seen, since = progress, time.monotonic()
                if on_progress:
                    on_progress(progress)
            elif seen is None and time.monotonic() - since > PATIENCE_S:
                since = time.monotonic()
                free = {name: n for name, n in ray.available_resources().items() if name in ("CPU", "GPU")}
                logger.warning("waiting for workers to start; free in the cluster: %s", free or "nothing")

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
