"""A semantic model ready to run: batches of letterboxed pixels in, the class of every pixel of the images out.

Shape suffixes: k classes with the background, h and w pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
import numpy.typing as npt
import torch

from roadscan.errors import ModelError
from roadscan.model.backends.engine import Pixels, Precision
from roadscan.model.backends.pytorch import TorchEngine
from roadscan.model.decode import Letterbox
from roadscan.model.device import this_device
from roadscan.model.exported import Exported, Model
from roadscan.model.head import require_finite
from roadscan.model.image_input import ImageInput
from roadscan.model.inference import Lanes


@dataclass(frozen=True)
class ClassMap:
    """The class of every pixel of an image.

    Attributes:
        classes: (h, w) uint8, indices of the model's classes, and their number for the background.
        scores: (h, w) float32, the probability of that class.
    """

    classes: npt.NDArray[np.uint8]
    scores: npt.NDArray[np.float32]


class Segmenter:
    """A semantic model on a device, run by PyTorch.

    Args:
        model: a model file's; semantic ones are not exported.
        device: torch device; None for the GPU where there is one, see `roadscan.model.device`.
        precision: as for `Detector`.
        threads: cores to use on a CPU; None for as many as PyTorch would.

    Raises:
        ModelError: the model is not semantic.
        DeviceError: the process was given a GPU that PyTorch cannot use.
    """

    def __init__(
        self, model: Model, *, device: str | None = None, precision: Precision = "full", threads: int | None = None
    ) -> None:
        if model.card.task != "semantic" or isinstance(model, Exported):
            raise ModelError(f"the model is for task {model.card.task}; expected a model file for semantic")
        self.classes = model.card.classes
        on = device or this_device(None)
        self._engine = TorchEngine(model, on, precision, threads or torch.get_num_threads())
        self._lanes = Lanes(self._engine)

    @property
    def runs_on(self) -> str:
        """Device, backend and number format, for summaries."""
        return self._engine.runs_on

    def infer(self, images_bhwc: Pixels) -> list[npt.NDArray[np.float32]]:
        """Images -> of each the probability of every class in every pixel, (k, h, w) float32.

        Args:
            images_bhwc: (b, h, w, 3) uint8 BGR; h and w multiples of 32.
        """
        return self._lanes.map(self._probabilities, images_bhwc)

    @torch.inference_mode()
    def _probabilities(self, images_bhwc: Pixels) -> list[npt.NDArray[np.float32]]:
        with self._engine.stream():
            logits = self._engine.forward(images_bhwc).head_bca
            require_finite([logits])
            return [*logits.softmax(1).cpu().numpy()]


def segment_images(segmenter: Segmenter, images: Sequence[ImageInput], *, batch: int) -> Iterator[ClassMap]:
    """Images -> the class of every pixel of each, in their order.

    Args:
        segmenter: the model.
        images: of one size in the network; without slices.
        batch: images a forward pass.
    """
    rest = iter(images)
    while part := list(islice(rest, batch)):
        for image, found in zip(part, segmenter.infer(np.stack([one.pixels for one in part])), strict=True):
            yield in_image(found, image.letterbox)


def in_input(probabilities_khw: npt.NDArray[np.float32], letterbox: Letterbox) -> ClassMap:
    """Probabilities -> the most probable classes in the part of the network's input that shows the image."""
    shown = _shown(probabilities_khw, letterbox)
    return ClassMap(shown.argmax(0).astype(np.uint8), shown.max(0))


def in_image(probabilities_khw: npt.NDArray[np.float32], letterbox: Letterbox) -> ClassMap:
    """Probabilities in the network's input -> the most probable classes in the image's own pixels.

    Probabilities are interpolated, so borders are not made of the input's pixels. One class after another, as all of
    them in eight megapixels would fill the memory.
    """
    shown, size_wh = _shown(probabilities_khw, letterbox), letterbox.image_hw[::-1]
    classes, scores = np.zeros(letterbox.image_hw, np.uint8), np.full(letterbox.image_hw, -1, np.float32)
    for number, plane in enumerate(shown):
        whole = cv2.resize(plane, size_wh, interpolation=cv2.INTER_LINEAR)
        classes[whole > scores] = number
        np.maximum(scores, whole, out=scores)
    return ClassMap(classes, scores)


def _shown(probabilities_khw: npt.NDArray[np.float32], letterbox: Letterbox) -> npt.NDArray[np.float32]:
    height, width = letterbox.inner_hw
    return probabilities_khw[:, letterbox.top : letterbox.top + height, letterbox.left : letterbox.left + width]
