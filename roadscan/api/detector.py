"""A detector for single images: files or arrays in, boxes in each image's own pixels out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from roadscan.errors import ConfigError, RoadscanError
from roadscan.model import detector
from roadscan.model.backends.engine import Choice
from roadscan.model.bundle import DEMO
from roadscan.model.decode import Letterbox, Undecodable, image_size, plan_letterbox
from roadscan.model.exported import open_model
from roadscan.model.head import STRIDES_PX
from roadscan.model.image_detections import detect_images
from roadscan.model.image_input import ImageInput, check_image_size, prepare, prepare_pixels
from roadscan.model.slices import SliceConfig
from roadscan.storage import open_file

Image: TypeAlias = str | Path | npt.NDArray[Any]
BATCH = 16  # images that go through the network together
MAX_MEGAPIXELS = 64.0  # as a scan's own limit


@dataclass(frozen=True)
class Detections:
    """What was found in one image, highest score first.

    Attributes:
        boxes_xyxy: (n, 4) float32: left, top, right and bottom in pixels of the image.
        scores: (n,) float32, 0 to 1.
        classes: (n,) class names.
        image_hw: height and width of the image in pixels, upright.
        masks_rle: (n,) masks as COCO's compressed RLE of that size; None from a model that gives boxes alone.
    """

    boxes_xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: tuple[str, ...]
    image_hw: tuple[int, int]
    masks_rle: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.classes)


class Detector:
    """A model, loaded, that finds what a scan with it would find.

    Args:
        model: a model file or an exported one, a path or s3:// address; ``demo`` is the one shipped with roadscan.
        confidence: lowest score kept, 0 to 1; None for the model's own.
        iou: overlap at which the lower score is dropped, 0 to 1; None for the model's own.
        image_size_px: longer side of the network's input, a multiple of 32; None for the model's own.
        slices: besides the whole image, see it in overlapping slices, for objects that are small; None: no.
        device: cpu or cuda; None for the GPU where there is one.
        backend: what runs the network. auto is the fastest that is installed and agrees with PyTorch.

    Raises:
        ModelError: no model there, or the backend cannot be used with it.
        ConfigError: the network does not take images of that size.
        DeviceError: the process was given a GPU that PyTorch cannot use.
    """

    def __init__(
        self,
        model: str | Path = DEMO,
        *,
        confidence: float | None = None,
        iou: float | None = None,
        image_size_px: int | None = None,
        slices: SliceConfig | None = None,
        device: str | None = None,
        backend: Choice = "auto",
    ) -> None:
        opened = open_model(str(model))
        self._side_px = opened.card.image_size_px if image_size_px is None else check_image_size(image_size_px)
        self._slices = slices
        self._detector = detector.Detector(opened, device=device, confidence=confidence, iou=iou, backend=backend)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that the model knows."""
        return self._detector.classes

    @property
    def runs_on(self) -> str:
        """Device, backend and number format."""
        return self._detector.runs_on

    def detect(self, image: Image) -> Detections:
        """What is in one image.

        Args:
            image: an image file, at a path or s3:// address; or an array (h, w, 3) of uint8, blue first, as OpenCV
                reads images. Of a Pillow image that is ``np.asarray(image.convert("RGB"))[..., ::-1]``.

        Raises:
            RoadscanError: the file is no usable image.
            ConfigError: the array has another shape or type.
            StorageError: the file cannot be read.
        """
        return next(self.detect_all([image]))

    def detect_all(self, images: Iterable[Image]) -> Iterator[Detections]:
        """What is in each of many images, in their order; they are read as the answers are taken.

        Args:
            images: as for `detect`. Neighbours of one size go through the network together.

        Raises:
            RoadscanError, ConfigError, StorageError: as `detect`.
        """
        for _, alike in groupby(map(self._load, images), key=lambda loaded: loaded.letterbox.input_hw):
            while batch := list(islice(alike, BATCH)):
                for image, found in zip(batch, detect_images(self._detector, batch, batch=BATCH), strict=True):
                    size = image.letterbox.image_hw
                    yield Detections(found.boxes_xyxy, found.scores, found.classes, size, found.masks_rle)

    def _load(self, image: Image) -> ImageInput:
        if isinstance(image, np.ndarray):
            return prepare_pixels(image, self._letterbox(_checked(image).shape[:2]), self._slices)
        store, name = open_file(str(image))
        data = store.read(name)
        try:
            return prepare(data, self._letterbox(image_size(data, MAX_MEGAPIXELS)), self._slices)
        except Undecodable as error:
            raise RoadscanError(
                f"image {image}: {error}; expected a JPEG, or another image that OpenCV reads"
            ) from None

    def _letterbox(self, image_hw: Sequence[int]) -> Letterbox:
        return plan_letterbox((image_hw[0], image_hw[1]), self._side_px, max(STRIDES_PX))


def _checked(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ConfigError(
            f"image: got an array {image.shape} of {image.dtype}; expected (h, w, 3) of uint8, blue first"
        )
    return image
