"""What a run starts from: a dataset that can be trained on, the shape of its input, and its first weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import nn

from roadscan.dataset.census import objects_by_class
from roadscan.dataset.label_maps import BACKGROUND, pixels_by_class
from roadscan.dataset.records import Dataset, LabelledImage
from roadscan.disk import read_regular
from roadscan.errors import ConfigError, ModelError
from roadscan.model import yolo
from roadscan.model.bundle import StateDict, load, read_bytes
from roadscan.model.decode import decode, plan_letterbox
from roadscan.model.losses import LossConfig
from roadscan.storage import MAX_IMAGE_BYTES, sha256_hex
from roadscan.train.config import TrainConfig

SAMPLE = 64  # images on which the activations of weights with folded BatchNorm are measured


def input_shape(images: Sequence[LabelledImage], config: TrainConfig) -> tuple[int, int]:
    """A split's images -> height and width of the training input: a square, or the smallest that holds every image."""
    side = config.image_size_px
    if config.aspect == "square":
        return side, side
    sizes = {(image.height_px, image.width_px) for image in images}
    shapes = np.array([plan_letterbox(size, side, yolo.STRIDE_PX).input_hw for size in sizes])
    height, width = shapes.max(0)
    return int(height), int(width)


def loss_on(dataset: Dataset, config: TrainConfig) -> LossConfig:
    """The loss of a run on its dataset: with the figures in place that follow from what the training split shows.

    Raises:
        ConfigError: as `LossConfig.on`.
    """
    if dataset.task != "semantic":
        return config.loss.on(objects_by_class(dataset, "train"))
    wants_counts = isinstance(config.loss.alpha, str)  # for which every label map is drawn or read
    names = (*dataset.names, BACKGROUND)
    return config.loss.on(pixels_by_class(dataset, "train") if wants_counts else dict.fromkeys(names, 0))


class Initial(NamedTuple):
    """Weights to start from, and where they come from in words."""

    weights: StateDict
    origin: str


def read_initial(uri: str) -> Initial:
    """An address -> the weights there, to start from.

    Args:
        uri: a model file, ``demo``, or a state dict in ``.safetensors``; a path or ``s3://`` address.

    Raises:
        ModelError: no such file, or none that can be read.
    """
    if uri.endswith(".safetensors"):
        try:
            data = read_bytes(uri)
            return Initial(safetensors.torch.load(data), f"{uri.rpartition('/')[2]}, sha256 {sha256_hex(data)[:12]}")
        except safetensors.SafetensorError as error:
            raise ModelError(f"initial {uri}: not a .safetensors file ({error})") from None
    bundle = load(uri)
    return Initial(bundle.weights, f"{uri.rpartition('/')[2]}, sha256 {bundle.sha256[:12]}")


def initialise(
    network: nn.Module, initial: StateDict | None, root: Path, images: Sequence[LabelledImage], config: TrainConfig
) -> None:
    """Give a fresh network its first weights: the class head's prior, and those given that fit (`yolo.adapt`).

    Raises:
        ConfigError, ModelError: as `check_initial`.
    """
    if config.loss.prior is not None:
        yolo.set_prior(network, config.loss.prior)
    if initial is not None:
        check_initial(network, initial, config)
        yolo.adapt(network, initial, _batches(root, images, config))


def check_initial(network: nn.Module, initial: StateDict, config: TrainConfig) -> None:
    """Refuse first weights that do not fit the network or the settings.

    Raises:
        ConfigError: there is a prior for a new class head, and theirs is kept.
        ModelError: they are another network's.
    """
    if yolo.keeps_class_head(network, initial) and config.loss.prior is not None:
        raise ConfigError(
            f"loss.prior: got {config.loss.prior:g}, but initial has as many classes as the dataset, so its trained "
            "class head is kept; leave loss.prior or initial out"
        )


def _batches(root: Path, images: Sequence[LabelledImage], config: TrainConfig) -> Iterator[torch.Tensor]:
    """Training images, spread over the dataset, as the network sees them."""
    for at in np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).astype(int):
        image = images[at]
        letterbox = plan_letterbox((image.height_px, image.width_px), config.image_size_px, yolo.STRIDE_PX)
        pixels = decode(read_regular(root / image.key, MAX_IMAGE_BYTES), letterbox)
        yield torch.from_numpy(pixels[None, ..., ::-1].copy()).permute(0, 3, 1, 2).float() / 255
