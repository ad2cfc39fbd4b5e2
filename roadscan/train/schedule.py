"""The schedule of a run: the learning rate of each step, the order of images, and each rank's part of a batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from torch.utils.data import Sampler

from roadscan.model.yolo import Item
from roadscan.train.config import OptimiserConfig
from roadscan.train.repeat_factor import Factors, drawn_images


def learning_rate(step: int, config: OptimiserConfig, steps_per_epoch: int, epochs: int) -> float:
    """A step, counted from 0 over the whole run -> its learning rate.

    Linear growth over the warm-up (at most all but the last epoch), times a cosine or line from 1 to the final share.
    """
    total = steps_per_epoch * epochs
    warmup = min(config.warmup_epochs, max(epochs - 1, 0)) * steps_per_epoch
    done = min(step / total, 1.0)
    left = (1 + math.cos(math.pi * done)) / 2 if config.schedule == "cosine" else 1 - done
    growth = min((step + 1) / warmup, 1.0) if warmup else 1.0
    return config.lr * growth * (config.final_lr + (1 - config.final_lr) * left)


def steps_per_epoch(images: int, batch: int) -> int:
    """Images in the split -> optimiser steps an epoch; the last batch is filled up from the epoch's beginning."""
    return math.ceil(images / batch)


def epoch_order(factors: Factors, batch: int, seed: int, epoch: int) -> list[Item]:
    """How often each image is to be seen -> all items of an epoch in order, `steps_per_epoch` times `batch` of them."""
    order = np.random.default_rng((seed, epoch)).permutation(drawn_images(factors, seed, epoch))
    filled = np.resize(order, steps_per_epoch(len(order), batch) * batch)
    return [Item(epoch, place, int(index)) for place, index in enumerate(filled)]


class RankBatchSampler(Sampler[list[Item]]):
    """The micro-batches of one rank, as a PyTorch batch sampler.

    A batch is the same for any number of ranks; a rank takes a run of neighbours of it, in `accumulate` micro-batches.

    Args:
        factors: how often each image is to be seen an epoch, on average, see `repeat_factor`.
        batch: images a step, of all ranks.
        accumulate: micro-batches of a rank's part of it.
        seed: of the run.
        rank, world_size: this process among the others.

    Attributes:
        epoch: the epoch that the next iteration is of.
    """

    def __init__(self, factors: Factors, batch: int, accumulate: int, seed: int, rank: int, world_size: int) -> None:
        self._factors, self._batch, self._accumulate = factors, batch, accumulate
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self.epoch = 0

    def __len__(self) -> int:
        return self.steps * self._accumulate

    @property
    def images(self) -> int:
        """How many the epoch has, repeated ones counted as often as they are seen."""
        return len(drawn_images(self._factors, self._seed, self.epoch))

    @property
    def steps(self) -> int:
        """Optimiser steps of the epoch."""
        return steps_per_epoch(self.images, self._batch)

    def __iter__(self) -> Iterator[list[Item]]:
        items = epoch_order(self._factors, self._batch, self._seed, self.epoch)
        for start in range(0, len(items), self._batch):
            share = _chunks(items[start : start + self._batch], self._world_size)[self._rank]
            yield from _chunks(share, self._accumulate)


def _chunks(items: list[Item], parts: int) -> list[list[Item]]:
    """Items -> as many lists of neighbours, their lengths equal or one apart."""
    bounds = [len(items) * i // parts for i in range(parts + 1)]
    return [items[start:stop] for start, stop in pairwise(bounds)]
