"""The data loader of a worker: which images are kept small, and how many processes load them."""

from __future__ import annotations

import logging
import math
import shutil
import sys
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from roadscan.dataset.records import Dataset, Task
from roadscan.dataset.shrunk import ShrinkTarget
from roadscan.errors import ConfigError
from roadscan.model import yolo
from roadscan.model.decode import plan_letterbox
from roadscan.nodes import usable_cores
from roadscan.train.schedule import RankBatchSampler

MOST_PROCESSES = 16  # a worker: with a few milliseconds an image, enough for any network on any card
BATCHES_AHEAD = 2  # that each process has ready
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where torch hands batches over
logger = logging.getLogger(__name__)


def images_to_shrink(dataset: Dataset, image_size_px: int) -> list[ShrinkTarget]:
    """A dataset -> its images of train and val that are larger than the network's input, each with the size wanted."""
    wanted = []
    for image in dataset.splits["train"]:
        size = image.height_px, image.width_px
        wanted.append(ShrinkTarget(image.key, size, yolo.scaled_hw(size, image_size_px)))
    for image in dataset.splits["val"]:
        size = image.height_px, image.width_px
        wanted.append(ShrinkTarget(image.key, size, plan_letterbox(size, image_size_px, yolo.STRIDE_PX).inner_hw))
    return [one for one in wanted if max(one.image_hw) > image_size_px]


def bytes_of_image(task: Task, input_hw: tuple[int, int]) -> int:
    """What an image and its labels take of a batch: colours, and masks on their coarser grid, or each pixel's class."""
    labels = 1 if task == "semantic" else 1 / yolo.MASK_RATIO**2
    return math.ceil(math.prod(input_hw) * (3 + labels))


def loader_processes(stated: int | None, cpus: int, batch_bytes: int, shared_bytes: int) -> int:
    """A worker's share of a node -> how many processes load images for it.

    Args:
        stated: by the config, or None for one a CPU but the one that trains.
        cpus: of the worker.
        batch_bytes: one batch of the worker.
        shared_bytes: what it may take of the node's shared memory, through which batches come; where that is full, the
            operating system ends the process.

    Raises:
        ConfigError: the stated number does not fit into the shared memory.
    """
    # What each process has ready, and one batch that is being taken.
    fitting = max((shared_bytes // batch_bytes - 1) // BATCHES_AHEAD, 0)
    if stated is None:
        return min(cpus - 1, MOST_PROCESSES, fitting)
    if stated > fitting:
        raise ConfigError(
            f"execution.loader_workers: got {stated}, of whose batches of {batch_bytes / 1e6:.0f} MB {fitting} "
            f"processes' fit into {SHARED_MEMORY}, where this worker's share is {shared_bytes / 1e6:.0f} MB; lower it, "
            "or give the container more shared memory (--shm-size, or an emptyDir with medium: Memory)"
        )
    return stated


def make_loader(
    images: yolo.TrainingImages,
    batches: RankBatchSampler,
    *,
    stated: int | None,
    cpus: int,
    batch_bytes: int,
    pin: bool,
) -> DataLoader[Any]:
    """The loader of a worker; batches are the same bits by however many processes.

    Args:
        images: of the split.
        batches: of this rank.
        stated: processes, by the config.
        cpus: of the worker.
        batch_bytes: one batch of the worker.
        pin: for copies to a GPU beside its work.

    Raises:
        ConfigError: as `loader_processes`.
    """
    processes = loader_processes(stated, cpus, batch_bytes, _shared_bytes(cpus))
    if stated is None and processes < min(cpus - 1, MOST_PROCESSES):
        logger.warning(
            "%s is small: %d processes load images, where %d CPUs could; give the container more (--shm-size, or an "
            "emptyDir with medium: Memory)", SHARED_MEMORY, processes, cpus,
        )  # fmt: skip
    return DataLoader(
        images, batch_sampler=batches, collate_fn=yolo.collate, num_workers=processes, pin_memory=pin,
        persistent_workers=processes > 0, prefetch_factor=BATCHES_AHEAD if processes else None,
    )  # fmt: skip


def _shared_bytes(cpus: int) -> int:
    """A worker's cores -> its share of the node's shared memory, in bytes."""
    try:
        return shutil.disk_usage(SHARED_MEMORY).free * min(cpus, usable_cores()) // usable_cores()
    except OSError:  # no such folder: torch finds another way
        return sys.maxsize
