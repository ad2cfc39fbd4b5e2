"""What a class head predicts before it is trained, and how large a loss is expected to be there."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

#: Ultralytics' `Detect.bias_init` expects 5 objects on each of 3 feature maps, of 8400 anchors in an image of 640².
STOCK_OBJECTS, STOCK_ANCHORS = 5 * 3, 80**2 + 40**2 + 20**2
SOFT_TARGETS = 1000  # of positives, spread over 0..1


def stock_prior(n_classes: int) -> float:
    """The number of classes -> the probability of one at an anchor in Ultralytics' class head, mean of all anchors."""
    return STOCK_OBJECTS / STOCK_ANCHORS / n_classes


def expected_loss(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], prior: float, n_classes: int) -> float:
    """A loss -> its expected value for one anchor and class, where the head predicts the prior π everywhere.

    Targets are those of which the prior is right, E[y] = π: an anchor is positive with probability 2π, its soft target
    then anything in 0..1 (how well a box fits is not known before), and else a negative with target 0. So

        E[L] = 2π ∫ L(π, y) dy + (1 - 2π) L(π, 0)

    Cross-entropy is linear in y, and comes to -π log π - (1 - π) log(1 - π). For the focal loss without alpha the
    negatives fall by π^gamma, which leaves next to nothing of them, and the positives by nearly y^gamma:

        2π ∫ |y - π|^gamma (-y log π - (1 - y) log(1 - π)) dy + (1 - 2π) π^gamma (-log(1 - π))

    For a small prior cross-entropy is (gamma + 2) / 2 · (1 - 1 / log π) times that; for π = 0.01 it is 1.8 times at
    gamma 1 and 2.5 at gamma 2. Hard targets would give 1.2 for both; negatives alone π^-gamma, 10^4 at gamma 2, by
    which the positives would be multiplied, too. Before fresh weights have found any box all targets are near 0, and
    the focal loss is smaller than is expected here.

    Args:
        loss: elementwise, of logits and targets (k, n_classes).
        prior: in 0..0.5.
        n_classes: for which the loss may have different weights; the mean over them is taken.
    """
    soft = (torch.arange(SOFT_TARGETS, dtype=torch.float64) + 0.5) / SOFT_TARGETS
    targets = torch.cat([torch.zeros(1, dtype=torch.float64), soft])[:, None].expand(-1, n_classes)
    logits = torch.full_like(targets, math.log(prior / (1 - prior)))
    shares = torch.full_like(targets[:, 0], 2 * prior / SOFT_TARGETS)
    shares[0] = 1 - 2 * prior
    return float((loss(logits, targets).mean(1) * shares).sum())
