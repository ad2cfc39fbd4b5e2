"""A model ready to detect: batches of letterboxed pixels in, boxes, scores, classes and masks out."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from roadscan.errors import ModelError
from roadscan.model.backends.choose import choose_engine
from roadscan.model.backends.engine import Backend, Choice, Precision
from roadscan.model.device import this_device
from roadscan.model.exported import Exported, Model
from roadscan.model.inference import Detections, Inference

__all__ = ["Backend", "Choice", "Detections", "Detector", "Precision"]


class Detector(Inference):
    """A model on a device.

    Args:
        model: the model.
        device: torch device; None for the GPU where there is one, see `roadscan.model.device`.
        confidence, iou: override the card's thresholds; confidence for all classes, or by class name.
        precision: full is float32. half is float16 on a GPU and bfloat16 on a CPU, where it is twice as fast if the CPU
            has instructions for it (AVX512-BF16); detections at the threshold come and go.
        every_class: a box counts for each of its classes above the confidence, as average precision is measured; else
            for its best class alone.
        backend: what runs the network. auto takes the fastest that is installed and finds on the model's calibration
            images what PyTorch finds in float32. None for PyTorch, or what an exported model was exported to.
        threads: cores to use on a CPU; None for as many as PyTorch would.

    Raises:
        ModelError: the model is semantic, or the backend is not installed, cannot run there, or does not agree with
            PyTorch.
        DeviceError: the process was given a GPU that PyTorch cannot use.
    """

    def __init__(
        self,
        model: Model,
        *,
        device: str | None = None,
        confidence: float | Mapping[str, float] | None = None,
        iou: float | None = None,
        precision: Precision = "full",
        every_class: bool = False,
        backend: Choice | None = None,
        threads: int | None = None,
    ) -> None:
        card = model.card
        if card.task == "semantic":
            raise ModelError(
                "the model is for task semantic, so it gives the class of every pixel and no boxes; expected a model "
                "for detect or segment"
            )
        wanted = backend or ("auto" if isinstance(model, Exported) else "torch")
        engine = choose_engine(
            wanted, model, device or this_device(None), precision, threads or torch.get_num_threads()
        )
        lowest = card.confidences(confidence)
        super().__init__(engine, card.classes, lowest, iou or card.iou, every_class=every_class)

    @property
    def backend(self) -> Backend:
        """The backend in use."""
        return self.engine.backend

    @property
    def runs_on(self) -> str:
        """Device, backend and number format, for summaries; and why not another backend, where auto refused one."""
        return self.engine.runs_on
