"""The semantic head: YOLOv8's feature maps decoded to the class of every pixel, and its loss.

Ultralytics has a semantic head of its own for YOLO26. It scores classes on the finest feature map, an eighth of the
input, and interpolates, which is cheap; a pole of 3 pixels is lost there. This one goes up to every pixel by transposed
convolutions, with the backbone's map at a quarter of the input for sharp borders. Its loss is cross-entropy plus Dice;
this one is the published focal loss, which is cross-entropy at gamma 0, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from ultralytics.nn.modules import Conv, ConvTranspose
from ultralytics.utils.torch_utils import initialize_weights

from roadscan.dataset.label_maps import VOID_VALUE
from roadscan.model.losses import LossConfig
from roadscan.model.semantic_loss import alpha_by_class, semantic_focal_loss

#: Layers of YOLOv8 that the head sees: the backbone's map at stride 4, and the neck's at 8, 16 and 32.
LAYERS = (2, 15, 18, 21)
LEAST_CHANNELS = 16  # at half of the input's size, where a channel is dear


class SemanticHead(nn.Module):
    """Feature maps at strides 4, 8, 16 and 32 -> class logits of every pixel of the input.

    From the coarsest map on: a transposed convolution doubles the size, the next map is added, a convolution mixes
    both; the last transposed convolution, whose windows of 4 overlap, gives the logits.

    Args:
        n_outputs: classes, with the background.
        channels: of the maps, by stride.

    Source: Long et al. 2015, arXiv:1411.4038, section 4.2 (a network that is convolutional throughout, its scores
    upsampled by transposed convolutions and summed with finer layers'); here features are summed, and scored once.
    """

    def __init__(self, n_outputs: int, channels: Sequence[int]) -> None:
        super().__init__()
        widths = [max(channels[0] // 2, LEAST_CHANNELS), *channels]
        steps = [(widths[place + 1], widths[place]) for place in reversed(range(len(channels)))]
        self.up = nn.ModuleList(ConvTranspose(coarse, fine) for coarse, fine in steps)
        self.mix = nn.ModuleList(Conv(fine, fine, 3) for _, fine in steps)
        self.logits = nn.ConvTranspose2d(widths[0], n_outputs, 4, 2, 1)
        initialize_weights(self)

    def forward(self, maps: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """(b, channels, h / stride, w / stride) of each stride -> ``logits`` (b, outputs, h, w)."""
        *finer, x = maps
        for up, mix in zip(self.up, self.mix, strict=True):
            x = up(x)
            x = mix(x + finer.pop() if finer else x)
        return {"logits": self.logits(x)}


def with_semantic_head(network: Any, n_classes: int) -> None:
    """Give a YOLOv8 detection network a semantic head in place of its own; backbone and neck keep their names."""
    stock = network.model[-1]
    channels = [layer.cv2.conv.out_channels for layer in (network.model[at] for at in LAYERS)]
    head: Any = SemanticHead(n_classes + 1, channels)
    head.i, head.f, head.type = stock.i, list(LAYERS), "roadscan.SemanticHead"  # by which ultralytics runs it
    head.np = sum(one.numel() for one in head.parameters())
    network.model[-1] = head
    network.save = sorted({*network.save, *LAYERS})


class SemanticCriterion:
    """The training loss of a semantic network: the mean over the pixels that are not void, a rank's own or all ranks'.

    Weights alpha are no part of what it is divided by, as in the focal loss's paper; PyTorch's own weighted
    cross-entropy is divided by their sum.

    Args:
        classes: of the dataset, without the background.
        config: the loss, with the figures of its dataset in place (`LossConfig.on`).
    """

    loss_names = ("pixel_loss",)

    def __init__(self, classes: tuple[str, ...], config: LossConfig) -> None:
        self._alpha = alpha_by_class(config, classes)
        self._gamma = 0.0 if config.kind == "bce" else config.gamma
        self._shared = config.normaliser == "global" and dist.is_initialized() and dist.get_world_size() > 1

    def __call__(
        self, raw: dict[str, torch.Tensor], batch: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The network's training output and a batch -> the loss times the number of images, and the mean for display.

        Args:
            raw: ``logits`` (b, classes + 1, h, w).
            batch: ``semantic_mask`` (b, h, w) uint8.
        """
        targets = batch["semantic_mask"].long()
        losses = semantic_focal_loss(raw["logits"], targets, gamma=self._gamma, alpha=self._alpha)
        pixels = (targets != VOID_VALUE).sum()
        sizes = torch.stack([pixels.clamp(min=1), torch.full_like(pixels, len(targets))]).float()
        if self._shared:
            dist.all_reduce(sizes)
            sizes /= dist.get_world_size()
        mean = losses.sum() / sizes[0]
        return mean * sizes[1], {"pixel_loss": mean.detach()}
