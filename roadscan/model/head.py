"""From the raw output of YOLOv8's head to boxes: in float32, whatever computed the network.

Pixels need it: bfloat16 has 8 bits, so at pixel 600 a box would move in steps of 4. Of the thousands of anchors of an
image a handful are above the confidence; these alone are decoded.

Shape suffixes: b images, c channels, a anchors, n candidates of the whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import torch

from roadscan.errors import ModelError

STRIDES_PX = (8, 16, 32)  # of the three feature maps, in the order of the anchors
BINS = 16  # of the distribution over distances to a box's side, in strides
SIDES = 4 * BINS
#: The second look, `suppress`, is the one that decides; this one must not lose a score to rounding.
LOGIT_SLACK = 1e-3


class Raw(NamedTuple):
    """What a network gives.

    Attributes:
        head_bca: (b, 64 + classes + coefficients, anchors) float32: logits of the distances to the four sides, class
            logits, and of a segmentation model the mask coefficients. Of a semantic model its logits of every pixel,
            the background's last: (b, classes + 1, h, w).
        prototypes: (b, 32, h / 4, w / 4) of a segmentation model, else None.
    """

    head_bca: torch.Tensor
    prototypes: torch.Tensor | None = None

    def candidates(self, input_hw: tuple[int, int], n_classes: int, confidence: float) -> torch.Tensor:
        """What may be above a confidence, as `suppress` takes it; see `decode_head`."""
        return decode_head(self.head_bca, input_hw, n_classes, confidence)


def require_finite(outputs: Iterable[torch.Tensor | None]) -> None:
    """Refuse what a network gives where it is no finite number: NaN is above no confidence, so nothing would be found.

    Raises:
        ModelError: it is not.
    """
    ends = [end for tensor in outputs if tensor is not None for end in torch.aminmax(tensor)]
    if not bool(torch.stack(ends).isfinite().all()):  # of all at once: the device is waited for once
        raise ModelError(
            "the network's outputs are NaN or infinite, so it would find nothing; expected finite numbers: look at "
            "the model with 'roadscan doctor --model', and where precision is half set precision=full"
        )


class Decoded(NamedTuple):
    """What an exported network gives, which has decoded its head itself.

    Attributes:
        boxes_bca: (b, 4 + classes + coefficients, anchors) float32: xywh boxes in input pixels, class scores, and of a
            segmentation model the mask coefficients.
        prototypes: as of `Raw`.
    """

    boxes_bca: torch.Tensor
    prototypes: torch.Tensor | None = None

    def candidates(self, input_hw: tuple[int, int], n_classes: int, confidence: float) -> torch.Tensor:  # noqa: ARG002
        """All anchors, as `suppress` takes them."""
        return self.boxes_bca


def decode_head(head_bca: torch.Tensor, input_hw: tuple[int, int], n_classes: int, confidence: float) -> torch.Tensor:
    """Boxes and scores of the anchors that may be above a confidence.

    Args:
        head_bca: of `Raw`.
        input_hw: the network's input, in pixels.
        n_classes: number of class scores.
        confidence: lowest score that is wanted.

    Returns:
        (b, 4 + classes + coefficients, candidates) float32, xywh boxes in input pixels, as `suppress` takes them; in
        the order of the anchors, padded with zeros.

    Source: distribution focal loss, Li et al. 2020, "Generalized Focal Loss", eq. 3-4: a distance is the mean of its
    distribution.
    """
    scores = head_bca[:, SIDES : SIDES + n_classes].amax(1)
    image, anchor = (scores > math.log(confidence / (1 - confidence)) - LOGIT_SLACK).nonzero(as_tuple=True)
    rows = head_bca[image, :, anchor]  # (n, c)
    bins = torch.arange(BINS, dtype=torch.float32, device=rows.device)
    distances = (rows[:, :SIDES].view(-1, 4, BINS).softmax(2) * bins).sum(2)
    centres, strides = _anchors(input_hw, rows.device)
    low, high = centres[anchor] - distances[:, :2], centres[anchor] + distances[:, 2:]
    boxes = torch.cat(((low + high) / 2, high - low), 1) * strides[anchor, None]
    logits, coefficients = rows[:, SIDES : SIDES + n_classes], rows[:, SIDES + n_classes :]
    return _padded(torch.cat((boxes, logits.sigmoid(), coefficients), 1), image, len(head_bca))


def _padded(rows: torch.Tensor, image: torch.Tensor, images: int) -> torch.Tensor:
    """Rows (n, c) of several images, sorted by image, as (images, c, most of one image)."""
    counts = torch.bincount(image, minlength=images)
    position = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[image]
    padded = rows.new_zeros(images, int(counts.max()), rows.shape[1])
    padded[image, position] = rows
    return padded.transpose(1, 2)


@lru_cache(maxsize=32)
def _anchors(input_hw: tuple[int, int], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres (anchors, 2), xy in cells of their own feature map, and strides (anchors,) in pixels."""
    centres, strides = [], []
    with torch.inference_mode(False):  # kept for callers outside of inference mode, too
        for stride in STRIDES_PX:
            h, w = input_hw[0] // stride, input_hw[1] // stride
            y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
            centres.append(torch.stack((x, y), -1).view(-1, 2))
            strides.append(torch.full((h * w,), float(stride)))
        return torch.cat(centres).to(device), torch.cat(strides).to(device)
