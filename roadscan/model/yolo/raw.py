"""The network as every backend runs it: pixels as they come from a decoder in, the head's raw output out."""

from __future__ import annotations

from typing import Any, cast

import torch

from roadscan.model.bundle import Bundle
from roadscan.model.yolo.network import restore


class RawNetwork(torch.nn.Module):
    """A model's network between uint8 pixels and the raw output of its head; boxes are decoded elsewhere, in float32.

    It computes in the type of its weights: ``.bfloat16()`` casts them once.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        card = bundle.card
        self.network = restore(card.task, card.variant, len(card.classes), bundle.weights, card.activation)
        self._semantic = card.task == "semantic"
        if not self._semantic:
            head: Any = self.network.model[-1]  # type: ignore[index]
            head._inference = _raw_boxes
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


def _raw_boxes(raw: dict[str, Any]) -> torch.Tensor:
    """In place of the stock decoding, whose result `RawNetwork` would not use."""
    return cast(torch.Tensor, raw["boxes"])
