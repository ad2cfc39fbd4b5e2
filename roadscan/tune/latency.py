"""How long a network takes for one image, on the machine that this runs on."""

from __future__ import annotations

from statistics import median
from time import perf_counter

import numpy as np
import torch

from roadscan.dataset.records import Task
from roadscan.model import yolo
from roadscan.model.bundle import Activation, Bundle, ModelCard, Variant
from roadscan.model.detector import Detector
from roadscan.model.device import this_device
from roadscan.model.segmenter import Segmenter

WARM_UP, MEASURED = 3, 15


def measure_latency(
    task: Task, variant: Variant, activation: Activation, image_size_px: int, cpus: int, *, holds_gpu: bool
) -> float:
    """A network -> milliseconds from one square image in memory to what it finds there, the median of 15.

    It is measured on the GPU, if this process holds one. The weights are random: the time does not depend on them, but
    for what few detections they give.

    Raises:
        DeviceError: the GPU cannot be used.
    """
    torch.set_num_threads(cpus)
    card = ModelCard(task=task, variant=variant, activation=activation, classes=("a",), image_size_px=image_size_px)
    weights = yolo.build(task, variant, len(card.classes), activation).state_dict()
    found = Segmenter if task == "semantic" else Detector
    network = found(Bundle(card, weights, ""), device=this_device(holds_gpu))
    image = np.random.default_rng(0).integers(0, 256, (1, image_size_px, image_size_px, 3), np.uint8)
    seconds = []
    for _ in range(WARM_UP + MEASURED):
        start = perf_counter()
        network.infer(image)
        seconds.append(perf_counter() - start)
    return round(1000 * median(seconds[WARM_UP:]), 3)
