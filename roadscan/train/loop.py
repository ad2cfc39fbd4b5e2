"""The training loop of one rank: epochs of steps, validation, a checkpoint after each.

Every rank computes its part of the same batch; gradients and BatchNorm statistics are averaged before each step, so
weights and their average are the same bits everywhere. What is random comes from (seed, epoch, place) alone, so a run
that is stopped and goes on gives what it would have given: on CPUs to the last bit, on GPUs as far as their kernels are
deterministic, which is asked for.

Shape suffixes: b images, c channels, h and w input pixels. A batch is all ranks'; a rank computes its part of it in
`accumulate` micro-batches.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from roadscan.dataset.records import Dataset
from roadscan.dataset.shrunk import Shrunk
from roadscan.dataset.staging import dataset_digest
from roadscan.errors import DatasetError, RoadscanError, TrainingError
from roadscan.evaluate.detection.results import Objects
from roadscan.model import yolo
from roadscan.model.losses import LossConfig
from roadscan.progress import Progress
from roadscan.scratch import scratch_of_process
from roadscan.train.config import TrainConfig
from roadscan.train.dataloader import bytes_of_image, make_loader
from roadscan.train.initial import Initial, initialise, input_shape, loss_on
from roadscan.train.precision import trains_in_bfloat16
from roadscan.train.ranks import Ranks, all_gather, broadcast
from roadscan.train.repeat_factor import image_factors
from roadscan.train.schedule import RankBatchSampler, learning_rate
from roadscan.train.state import Ema, State
from roadscan.train.validate import validate

SKIPPED_STEPS = 20  # in a row without a finite gradient, after which a run has diverged
PROGRESS_S = 1.0


def train(
    config: TrainConfig,
    dataset: Dataset,
    initial: Initial | None,
    ranks: Ranks,
    on_epoch: Callable[[list[dict[str, Any]]], None] = lambda _: None,
    shrunk: Shrunk | None = None,
) -> State:
    """A run's config and dataset -> its state after the last epoch; resumes from the newest checkpoint.

    Args:
        config: the run.
        dataset: staged, with splits train and val.
        initial: weights to start from; None for scratch.
        ranks: this process among the others.
        on_epoch: called by rank 0 with the history after each epoch, before its checkpoint.
        shrunk: small copies of the images; None reads the originals, for the same bits.

    Raises:
        ConfigError: the checkpoint is of other settings, the device has no bfloat16, or the node too little shared
            memory.
        DatasetError: an image cannot be decoded, or the ranks have different datasets.
        TrainingError: the loss is not finite any more.
    """
    loop = _TrainLoop(config, dataset, initial, ranks, shrunk or Shrunk())
    while loop.state.epoch < config.epochs and not loop.has_stalled():
        loop.train_epoch()
        loop.validate()
        if ranks.rank == 0:
            on_epoch(loop.state.history)
        loop.save()
    return loop.state


class _TrainLoop:
    """One process's part of a run: its network, its loader, and the run's state between epochs."""

    def __init__(
        self, config: TrainConfig, dataset: Dataset, initial: Initial | None, ranks: Ranks, shrunk: Shrunk
    ) -> None:
        ask_for_determinism(ranks.device)
        self.config, self.dataset, self.ranks, self.shrunk = config, dataset, ranks, shrunk
        images, names = dataset.splits["train"], dataset.names
        input_hw = input_shape(images, config)
        torch.manual_seed(config.seed)
        network = yolo.build(dataset.task, config.variant, len(names), config.activation)
        initialise(network, initial and initial.weights, Path(dataset.root), images, config)
        network = network.to(ranks.device).to(memory_format=torch.channels_last).train()
        if config.batch_norm == "sync" and ranks.world_size > 1:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self.parallel = _parallel(network, ranks)
        loss = loss_on(dataset, config)
        self.criterion = yolo.criterion(network, names, loss)
        half = trains_in_bfloat16(config.precision, ranks.device)
        self.autocast = torch.autocast(ranks.device.type, torch.bfloat16, enabled=half)
        identity = {
            **config.identity(),
            "dataset": _same_on_all_ranks(dataset_digest(dataset), config.data),
            "initial": initial.origin if initial else "scratch",
            **_found(config.loss, loss),
        }
        self.state = State(network, _optimiser(network, config), Ema(network, config.ema_decay), identity)
        if (checkpoint := ranks.latest()) is not None:
            self.state.load(checkpoint)
        factors = image_factors(images, names, config.repeat_threshold)
        self.batches = RankBatchSampler(
            factors, config.batch, config.accumulate, config.seed, ranks.rank, ranks.world_size
        )
        pixels = yolo.TrainingImages(
            Path(dataset.root), images, task=dataset.task, n_classes=len(names), config=config.augment,
            input_hw=input_hw, image_size_px=config.image_size_px, seed=config.seed, shrunk=shrunk,
            mosaic_epochs=config.epochs - config.augment.close_mosaic,
        )  # fmt: skip
        micro_batch = math.ceil(config.batch / ranks.world_size / config.accumulate)
        self.loader = make_loader(
            pixels, self.batches, stated=config.execution.loader_workers, cpus=ranks.cpus,
            batch_bytes=micro_batch * bytes_of_image(dataset.task, input_hw), pin=ranks.device.type == "cuda",
        )  # fmt: skip
        self.truths: dict[str, Objects] = {}
        self.skipped = 0  # steps in a row without a finite gradient

    def train_epoch(self) -> None:
        """Take all steps of the next epoch, and add its row to the history."""
        state, config = self.state, self.config
        self.batches.epoch = state.epoch
        steps = self.batches.steps
        torch.manual_seed(config.seed + state.epoch)
        _set_training(state.network, frozen=config.batch_norm == "frozen")
        micro_batches, shown, ends = iter(self.loader), 0.0, [time.monotonic()]
        totals, counted = torch.zeros(len(self.criterion.loss_names), device=self.ranks.device), 0
        for step in range(steps):
            rate = learning_rate(state.epoch * steps + step, config.optimiser, steps, config.epochs)
            for group in state.optimiser.param_groups:
                group["lr"] = rate
            items = self._step(micro_batches)
            if items is not None:
                totals, counted = totals + items, counted + 1
            ends.append(time.monotonic())
            if self.ranks.rank == 0 and ends[-1] - shown > PROGRESS_S:
                shown = ends[-1]
                self._send_progress(step + 1, steps, totals / max(counted, 1))
        mean = _mean_over_ranks(totals / max(counted, 1))
        losses = dict(zip(self.criterion.loss_names, (round(v, 6) for v in mean.tolist()), strict=True))
        times = {"seconds": round(ends[-1] - ends[0], 1), "step_seconds": round(median(np.diff(ends)), 4)}
        size = {"images": self.batches.images, "workers": self.ranks.world_size, "cpus_per_worker": self.ranks.cpus}
        skipped = {"skipped_steps": steps - counted}
        state.epoch += 1
        state.history.append(broadcast({"epoch": state.epoch, "lr": rate, **size, **skipped, **times, **losses}))

    def _step(self, micro_batches: Iterator[dict[str, torch.Tensor]]) -> torch.Tensor | None:
        """This rank's part of a batch -> the mean of each loss over its images, once stepped; None if skipped."""
        state, config, device = self.state, self.config, self.ranks.device
        state.optimiser.zero_grad()
        statistics = [buffer.clone() for buffer in _batch_norm_statistics(state.network)]
        total = torch.zeros(len(self.criterion.loss_names), device=device)
        for number in range(config.accumulate):
            batch = {name: tensor.to(device, non_blocking=True) for name, tensor in _next_batch(micro_batches).items()}
            pixels_bchw = batch.pop("img").to(torch.float32, memory_format=torch.channels_last).div_(255)
            with self._gradient_sync(is_last=number == config.accumulate - 1):
                with self.autocast:
                    raw = self.parallel(pixels_bchw)
                loss, items = self.criterion(yolo.to_float32(raw), batch)
                sum_over_ranks = loss.sum() * self.ranks.world_size  # of which gradients are averaged
                sum_over_ranks.backward()  # type: ignore[no-untyped-call]
            total += torch.stack([*items.values()]) / config.accumulate
        norm = nn.utils.clip_grad_norm_(state.network.parameters(), config.optimiser.clip_norm)
        if not self._is_finite(norm):
            torch._foreach_copy_(_batch_norm_statistics(state.network), statistics)
            return None
        state.optimiser.step()
        if config.batch_norm == "local":
            _average_batch_norm(state.network, self.ranks.world_size)
        state.ema.update()
        return total

    def _is_finite(self, norm: torch.Tensor) -> bool:
        """The norm of the averaged gradient -> whether the step can be taken; every rank says the same.

        Raises:
            TrainingError: too many steps in a row could not.
        """
        finite = bool(norm.isfinite())
        self.skipped = 0 if finite else self.skipped + 1
        if self.skipped >= SKIPPED_STEPS:
            raise TrainingError(
                f"diverged in epoch {self.state.epoch + 1}: no finite gradient in {SKIPPED_STEPS} steps; "
                f"lower optimiser.lr (got {self.config.optimiser.lr:g}) or set precision=full"
            )
        return finite

    def _gradient_sync(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Average gradients over ranks once a step, with its last micro-batch."""
        if is_last or not isinstance(self.parallel, DistributedDataParallel):
            return nullcontext()
        return self.parallel.no_sync()

    def _send_progress(self, step: int, steps: int, items: torch.Tensor) -> None:
        losses = dict(zip(self.criterion.loss_names, items.tolist(), strict=True))
        facts = {"step": step, "steps": steps, "losses": losses}
        self.ranks.on_progress(Progress("train", self.state.epoch, self.config.epochs, "epochs", facts))

    def validate(self) -> None:
        """Score the averaged weights on the validation split, where it is due; keep the best so far."""
        state, config = self.state, self.config
        if state.epoch % config.validate_every and state.epoch != config.epochs:
            return
        metrics = validate(state.ema.weights, self.dataset, config, self.ranks, self.shrunk, self.truths)
        state.history[-1] |= metrics
        earlier = [row["fitness"] for row in state.history[:-1] if "fitness" in row]
        if metrics["fitness"] > max(earlier, default=-1.0):
            state.best_epoch = state.epoch
            state.best = {name: tensor.cpu().clone() for name, tensor in state.ema.weights.items()}

    def save(self) -> None:
        """Report the epoch, with a checkpoint."""
        checkpoint = None
        if self.ranks.rank == 0:
            checkpoint = Path(tempfile.mkdtemp(dir=scratch_of_process("train").path))
            self.state.save(checkpoint)
        row = self.state.history[-1]
        self.ranks.report({**row, "fitness": row.get("fitness", -1.0)}, checkpoint)

    def has_stalled(self) -> bool:
        """Whether the validation that was just made is the last of too many without a better one."""
        state = self.state
        validated = bool(state.history) and "fitness" in state.history[-1]
        return validated and state.epoch - state.best_epoch >= self.config.patience


def _found(given: LossConfig, used: LossConfig) -> dict[str, Any]:
    """What of the loss was found on the dataset, for the model card: the fields in which the one used differs."""
    before, after = given.model_dump(mode="json"), used.model_dump(mode="json")
    found = {field: value for field, value in after.items() if value != before[field]}
    return {"loss_on_dataset": found} if found else {}


def _next_batch(batches: Iterator[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The next batch; an error of a loader process without the traceback that torch puts before its message."""
    try:
        return next(batches)
    except RoadscanError as error:
        raise type(error)(str(error).rpartition(f"{type(error).__name__}: ")[2].strip()) from None


def _same_on_all_ranks(digest: str, uri: str) -> str:
    """This rank's digest of its dataset -> the same, if every rank has it.

    Raises:
        DatasetError: they are not the same.
    """
    if len(set(all_gather(digest))) > 1:
        raise DatasetError(f"data {uri}: nodes have different contents under this address; expected one shared dataset")
    return digest


def ask_for_determinism(device: torch.device) -> None:
    """Have a GPU compute the same bits twice, as far as torch can; it warns of an operation that cannot.

    The price is cuDNN's search for the fastest convolutions, which may choose another one each time. CPUs need nothing.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)  # with it, cuDNN's convolutions
        # Nothing here reads memory that it did not write.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _parallel(network: nn.Module, ranks: Ranks) -> nn.Module:
    if ranks.world_size == 1:
        return network
    devices = [ranks.device] if ranks.device.type == "cuda" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch 2.13 renames the option; 2.6 has no other name for it
        # Statistics are averaged over ranks after each step, which says more than taking rank 0's.
        return DistributedDataParallel(network, device_ids=devices, broadcast_buffers=False)


def _optimiser(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW, with weight decay on convolution weights alone."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.optimiser.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.optimiser.lr, betas=(config.optimiser.beta1, 0.999))


def _set_training(network: nn.Module, *, frozen: bool) -> None:
    network.train()
    if frozen:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def _batch_norm_statistics(network: nn.Module) -> list[torch.Tensor]:
    """BatchNorm's running means and variances."""
    return [buffer for buffer in network.buffers() if buffer.is_floating_point()]


@torch.no_grad()
def _average_batch_norm(network: nn.Module, world_size: int) -> None:
    """Make BatchNorm's running statistics those of all ranks' images."""
    if world_size > 1:
        buffers = _batch_norm_statistics(network)
        flat = _mean_over_ranks(torch.cat([buffer.flatten() for buffer in buffers]))
        for buffer, mean in zip(buffers, torch.split(flat, [b.numel() for b in buffers]), strict=True):
            buffer.copy_(mean.view_as(buffer))


def _mean_over_ranks(tensor: torch.Tensor) -> torch.Tensor:
    if dist.is_initialized() and dist.get_world_size() > 1:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
        tensor /= dist.get_world_size()
    return tensor
