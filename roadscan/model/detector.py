"""Inference: batches of letterboxed pixels in, boxes, scores, classes and masks out.

Shape suffixes: b images, h and w input pixels, n detections of one image, p prototype pixels (input / 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from roadscan.model import yolo
from roadscan.model.bundle import Bundle
from roadscan.model.device import name_of
from roadscan.model.nms import suppress

Precision: TypeAlias = Literal["full", "half"]
HALF = {"cuda": torch.float16, "cpu": torch.bfloat16}


@dataclass(frozen=True)
class Detections:
    """What was found in one image, highest score first.

    Attributes:
        boxes_xyxy: (n, 4) float32, pixels of the network's input.
        scores: (n,) float32.
        classes: (n,) class names.
        masks: (n, h/4, w/4) float32 mask logits (positive inside), or None for a detection model.
    """

    boxes_xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: tuple[str, ...]
    masks: npt.NDArray[np.float32] | None = None


class Detector:
    """A model on a device.

    Args:
        bundle: the model.
        device: torch device; None for the GPU where there is one.
        confidence, iou: override the card's thresholds.
        precision: full is float32. half is float16 on a GPU and bfloat16 on a CPU, where it is twice as fast if the CPU
            has instructions for it (AVX512-BF16); detections at the threshold come and go.
        every_class: a box counts for each of its classes above the confidence, as average precision is measured; else
            for its best class alone.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str | None = None,
        confidence: float | None = None,
        iou: float | None = None,
        precision: Precision = "full",
        every_class: bool = False,
    ) -> None:
        card = bundle.card
        self.classes = card.classes
        self.every_class = every_class
        self.confidence, self.iou = confidence or card.confidence, iou or card.iou
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.runs_on = name_of(str(self.device))
        self.autocast = torch.autocast(self.device.type, HALF.get(self.device.type), enabled=precision == "half")
        network = yolo.restore(card.task, card.variant, len(card.classes), bundle.weights, card.activation)
        self._network = network.to(self.device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def infer(self, images_bhwc: npt.NDArray[np.uint8]) -> list[Detections]:
        """Detect.

        Args:
            images_bhwc: (b, h, w, 3) uint8 BGR; h and w multiples of 32.
        """
        pixels = torch.from_numpy(images_bhwc).to(self.device).permute(0, 3, 1, 2).flip(1)
        pixels = pixels.to(torch.float32, memory_format=torch.channels_last).div_(255)
        with self.autocast:
            predictions, prototypes = yolo.split_output(self._network(pixels))
        found = suppress(
            predictions.float(), len(self.classes), self.confidence, self.iou, every_class=self.every_class
        )
        return [self._detections(rows, None if prototypes is None else prototypes[i]) for i, rows in enumerate(found)]

    def _detections(self, rows: torch.Tensor, prototypes: torch.Tensor | None) -> Detections:
        masks = None
        if prototypes is not None:
            masks = torch.einsum("nc,cij->nij", rows[:, 6:], prototypes.float()).cpu().numpy()
        boxes = rows[:, :6].cpu().numpy()
        names = tuple(self.classes[int(index)] for index in boxes[:, 5])
        return Detections(boxes[:, :4], boxes[:, 4], names, masks)
