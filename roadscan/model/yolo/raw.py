"""The network as other programs run it: from pixels to the head's raw output, or, exported, to boxes and scores."""

from __future__ import annotations

from typing import Any, cast

import torch
from ultralytics.utils.tal import dist2bbox, make_anchors

from roadscan.model.bundle import Bundle
from roadscan.model.head import BINS, STRIDES_PX
from roadscan.model.yolo.network import restore


class RawNetwork(torch.nn.Module):
    """A model's network between uint8 pixels and the raw output of its head; boxes are decoded elsewhere, in float32.

    It computes in the type of its weights: ``.bfloat16()`` casts them once.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self._semantic = bundle.card.task == "semantic"
        self.network = _restored(bundle) if self._semantic else _with_raw_head(bundle)
        self.eval()

    def forward(self, images_bhwc: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run.

        Args:
            images_bhwc: (b, h, w, 3) uint8 BGR; h and w multiples of 32.

        Returns:
            (b, 64 + classes + coefficients, anchors) float32; and of a segmentation model the prototypes
            (b, 32, h / 4, w / 4) float32. Of a semantic model class logits with the background's, (b, classes + 1,
            h, w) float32.
        """
        dtype = next(self.network.parameters()).dtype
        pixels = (images_bhwc.permute(0, 3, 1, 2).flip(1).to(torch.float32) / 255).to(dtype)
        if self._semantic:
            return (self.network(pixels)["logits"].float(),)
        raw = cast("dict[str, torch.Tensor]", self.network(pixels)[1])
        parts = [raw[name] for name in ("boxes", "scores", "mask_coefficient") if name in raw]
        head = torch.cat(parts, 1).float()
        return (head, raw["proto"].float()) if "proto" in raw else (head,)


class ExportedNetwork(torch.nn.Module):
    """A model's network as Ultralytics exports one: what reads its exports reads this."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self.network = _with_raw_head(bundle)
        # Constants by their definition, and as `decode_head` has them; weights that were compressed may hold others.
        bins = torch.arange(BINS, dtype=torch.float32).view(1, -1, 1, 1)
        self.network.model[-1].dfl.conv.weight.copy_(bins)  # type: ignore[index, union-attr]
        self.eval()

    def forward(self, images_bchw: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Run.

        Args:
            images_bchw: (b, 3, h, w) float32 RGB in 0..1; h and w multiples of 32.

        Returns:
            (b, 4 + classes + coefficients, anchors) float32: xywh boxes in input pixels, class scores in 0..1, mask
            coefficients; and of a segmentation model, beside that, the prototypes (b, 32, h / 4, w / 4) float32.
        """
        raw = cast("dict[str, Any]", self.network(images_bchw)[1])
        head: Any = self.network.model[-1]  # type: ignore[index]
        anchors, strides = (one.transpose(0, 1) for one in make_anchors(raw["feats"], STRIDES_PX, 0.5))
        boxes = dist2bbox(head.dfl(raw["boxes"]), anchors.unsqueeze(0), xywh=True, dim=1) * strides
        parts = [boxes, raw["scores"].sigmoid()]
        if "proto" not in raw:
            return torch.cat(parts, 1)
        return torch.cat([*parts, raw["mask_coefficient"]], 1), raw["proto"]


def _restored(bundle: Bundle) -> torch.nn.Module:
    card = bundle.card
    return restore(card.task, card.variant, len(card.classes), bundle.weights, card.activation)


def _with_raw_head(bundle: Bundle) -> torch.nn.Module:
    """A model's network, whose head gives what it computes as it is, beside a result that nobody uses."""
    network = _restored(bundle)
    head: Any = network.model[-1]  # type: ignore[index]
    head._inference = _raw_boxes
    return network


def _raw_boxes(raw: dict[str, Any]) -> torch.Tensor:
    """In place of the stock decoding, which keeps the grid of the last input's size."""
    return cast(torch.Tensor, raw["boxes"])
