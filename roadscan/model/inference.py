"""Inference: a batch of pixels in, detections out, on any engine, from any number of threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from roadscan.model.backends.engine import Engine, Pixels
from roadscan.model.head import require_finite
from roadscan.model.nms import suppress

T = TypeVar("T")

PART = 4  # images a lane takes at once: fewer leave a core idle at the end, more leave its cache


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


class Lanes:
    """The threads in which images go through an engine.

    On a CPU every core has its own images from pixels to what is made of them, in threads that all callers share, so
    there are never more than cores; a batch of one image is computed by all cores together, as far as the engine can.
    On a GPU the caller's thread does the work, and what limits the device's use is up to the engine.
    """

    def __init__(self, engine: Engine) -> None:
        self._count = engine.lanes
        self._threads = _single_core_threads(engine.lanes) if engine.lanes else None
        self._alone = threading.Lock()

    def map(self, work: Callable[[Pixels], list[T]], images_bhwc: Pixels) -> list[T]:
        """Work on parts of a batch -> what it gives for each image; safe to call from several threads at once.

        Args:
            work: a part of the batch -> one result an image.
            images_bhwc: (b, h, w, 3).
        """
        if self._threads is None:
            return work(images_bhwc)
        if len(images_bhwc) == 1:
            with self._alone:
                return work(images_bhwc)
        size = min(PART, -(-len(images_bhwc) // self._count))
        parts = [images_bhwc[start : start + size] for start in range(0, len(images_bhwc), size)]
        return [found for part in self._threads.map(work, parts) for found in part]


class Inference:
    """An engine with thresholds, in its `Lanes`.

    Args:
        engine: what runs the network.
        classes: names, in the order of the network's outputs.
        confidence: lowest score kept, of each class.
        iou: overlap at which non-maximum suppression drops the lower score.
        every_class: a box counts for each of its classes above the confidence, as average precision is measured; else
            for its best class alone.
    """

    def __init__(
        self,
        engine: Engine,
        classes: tuple[str, ...],
        confidence: float | Sequence[float],
        iou: float,
        *,
        every_class: bool = False,
    ) -> None:
        self.engine, self.classes, self.every_class = engine, classes, every_class
        lowest = [confidence] if isinstance(confidence, float | int) else list(confidence)
        self.confidence, self.iou = min(lowest), iou
        self._lowest = torch.tensor(lowest) if len(set(lowest)) > 1 else None
        self._lanes = Lanes(engine)

    def infer(self, images_bhwc: Pixels) -> list[Detections]:
        """Images -> detections of each; safe to call from several threads at once.

        Args:
            images_bhwc: (b, h, w, 3) uint8 BGR; h and w multiples of 32.
        """
        return self._lanes.map(self._detect, images_bhwc)

    @torch.inference_mode()
    def _detect(self, images_bhwc: Pixels) -> list[Detections]:
        n_classes = len(self.classes)
        with self.engine.stream():
            raw = self.engine.forward(images_bhwc)
            require_finite(raw)
            boxes = raw.candidates(images_bhwc.shape[1:3], n_classes, self.confidence)
            found = suppress(boxes, n_classes, self.confidence, self.iou, every_class=self.every_class)
            if self._lowest is not None:
                lowest = self._lowest.to(boxes.device)
                found = [rows[rows[:, 4] > lowest[rows[:, 5].long()]] for rows in found]
            planes = [None] * len(found) if raw.prototypes is None else raw.prototypes
            return [self._detections(rows, plane) for rows, plane in zip(found, planes, strict=True)]

    def _detections(self, rows: torch.Tensor, prototypes: torch.Tensor | None) -> Detections:
        masks = None
        if prototypes is not None:
            masks = torch.einsum("nc,cij->nij", rows[:, 6:], prototypes).cpu().numpy()
        boxes = rows[:, :6].cpu().numpy()
        names = tuple(self.classes[int(index)] for index in boxes[:, 5])
        return Detections(boxes[:, :4], boxes[:, 4], names, masks)


def _single_core_threads(count: int) -> ThreadPoolExecutor:
    """A pool of `count` threads that compute on one core each."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="detect")
    together = threading.Barrier(count)
    own = torch.get_num_threads()

    def alone(_: int) -> None:
        torch.get_num_threads()  # a thread's first question sets its number to the process's, also after it was set
        torch.set_num_threads(1)
        together.wait()  # so that each thread does this once

    list(pool.map(alone, range(count)))
    torch.set_num_threads(own)  # the last number set is also that of threads to come
    return pool
