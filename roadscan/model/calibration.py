"""Calibration images: some inputs of a model, kept in its file, on which every backend has to agree with PyTorch.

They are the images with most to find, since an empty road proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from roadscan.dataset.records import Dataset
from roadscan.disk import read_regular
from roadscan.errors import ModelError, StorageError
from roadscan.model.bundle import Bundle
from roadscan.model.decode import Pixels, Undecodable, decode, image_size, plan_letterbox
from roadscan.model.detector import Detector
from roadscan.model.head import STRIDES_PX
from roadscan.storage import MAX_IMAGE_BYTES

IMAGES = 8
LOOKED_AT = 64  # of a folder, evenly spread: neighbours on a drive are alike
MEGAPIXELS = 100.0
SUFFIXES = (".jpg", ".jpeg", ".png")
JPEG_QUALITY = 95


def calibration_from_folder(bundle: Bundle, folder: Path) -> tuple[bytes, ...]:
    """Calibration images for a model from any images of what it is for.

    Of up to 64 images, evenly spread over the folder and those below it in the order of their names, the 8 in which the
    model finds most.

    Raises:
        ModelError: there are no images there, one cannot be decoded, or the model finds nothing in any.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ModelError(f"calibration images {folder}: expected files with {', '.join(SUFFIXES)} in it, got none")
    spread = [paths[int(i)] for i in np.linspace(0, len(paths) - 1, min(LOOKED_AT, len(paths)))]
    inputs = [network_input(path, bundle.card.image_size_px) for path in spread]
    detector = Detector(bundle, backend="torch")
    counts = [len(detector.infer(pixels[None])[0].scores) for pixels in inputs]
    if not any(counts):
        raise ModelError(
            f"calibration images {folder}: the model finds nothing in any of {len(inputs)}; expected images of what it "
            f"is for ({', '.join(bundle.card.classes)})"
        )
    return tuple(encode(inputs[index]) for index in busiest(counts))


def calibration_from_dataset(dataset: Dataset, split: str, image_size_px: int) -> tuple[bytes, ...]:
    """Calibration images from labelled ones: the 8 of a split with most objects.

    Raises:
        ModelError: one cannot be decoded.
    """
    images = dataset.splits[split]
    chosen = [images[index] for index in busiest([len(image.classes) for image in images])]
    return tuple(encode(network_input(Path(dataset.root) / image.key, image_size_px)) for image in chosen)


def busiest(counts: Sequence[int]) -> list[int]:
    """Which images to keep, in their order: the `IMAGES` with most objects, the first ones of equals.

    >>> busiest([0, 3, 1, 3, 0, 1, 1, 1, 1, 1, 1])
    [1, 2, 3, 5, 6, 7, 8, 9]
    """
    return sorted(sorted(range(len(counts)), key=lambda index: (-counts[index], index))[:IMAGES])


def network_input(path: Path, image_size_px: int) -> Pixels:
    """An image file as the network's input.

    Raises:
        ModelError: it cannot be decoded.
    """
    try:
        data = read_regular(path, MAX_IMAGE_BYTES)
        letterbox = plan_letterbox(image_size(data, MEGAPIXELS), image_size_px, max(STRIDES_PX))
        return decode(data, letterbox)
    except (StorageError, Undecodable) as error:
        raise ModelError(f"calibration image {path}: {error}") from None


def encode(pixels: Pixels) -> bytes:
    """An input of the network as a JPEG."""
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1])
