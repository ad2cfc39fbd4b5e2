"""What a model finds in labelled images, beside their truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

from roadscan.dataset.records import LabelledImage
from roadscan.errors import DatasetError
from roadscan.evaluate.detection.results import ImageResult, Objects
from roadscan.model.bundle import Bundle
from roadscan.model.decode import Letterbox, Undecodable, decode, plan_letterbox
from roadscan.model.detector import Detections, Detector, Precision
from roadscan.model.masks import empty_mask, encode_masks
from roadscan.model.yolo import STRIDE_PX

# As average precision is measured everywhere: nearly all boxes, also those that overlap, also a box's second class.
CONFIDENCE, IOU = 0.001, 0.7
MASKS_PER_IMAGE = 100  # the rest, whose scores are lowest, count as detections with an empty mask


def measuring_detector(bundle: Bundle, *, precision: Precision = "full", device: str | None = None) -> Detector:
    """A detector that gives every box that average precision asks for."""
    return Detector(bundle, device=device, confidence=CONFIDENCE, iou=IOU, precision=precision, every_class=True)


def predict(
    detector: Detector,
    root: Path,
    images: Sequence[LabelledImage],
    names: Sequence[str],
    *,
    image_size_px: int,
    batch: int = 16,
) -> Iterator[ImageResult]:
    """Run a detector over labelled images.

    Args:
        detector: usually from `measuring_detector`.
        root: folder that the images' keys are below.
        images: read from there; images of one shape share a batch, so the order of the results is not theirs.
        names: the dataset's classes; what the model calls otherwise is left out.
        image_size_px: longer side of the network's input.
        batch: images a forward pass.

    Raises:
        DatasetError: an image cannot be decoded.
    """
    by_shape: dict[Letterbox, list[LabelledImage]] = defaultdict(list)
    for image in images:
        by_shape[plan_letterbox((image.height_px, image.width_px), image_size_px, STRIDE_PX)].append(image)
    for letterbox, alike in by_shape.items():
        for start in range(0, len(alike), batch):
            chosen = alike[start : start + batch]
            pixels = np.stack([_pixels(root / image.key, letterbox) for image in chosen])
            for image, found in zip(chosen, detector.infer(pixels), strict=True):
                yield ImageResult(
                    image.key, _truth(image), _found(found, letterbox, names), image.drive_id, image.condition
                )


def _pixels(path: Path, letterbox: Letterbox) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    try:
        return decode(path.read_bytes(), letterbox)
    except (OSError, Undecodable) as error:
        raise DatasetError(f"{path}: {error}; see 'roadscan dataset check'") from None


def _truth(image: LabelledImage) -> Objects:
    masks = None
    if image.outlines is not None:
        size = image.height_px, image.width_px
        masks = tuple(
            coco.merge(coco.frPyObjects([part.astype(np.float64).ravel().tolist() for part in parts], *size))
            for parts in image.outlines
        )
    return Objects(image.boxes_xyxy, image.classes, masks=masks)


def _found(found: Detections, letterbox: Letterbox, names: Sequence[str]) -> Objects:
    known = np.array([i for i, name in enumerate(found.classes) if name in names], np.int64)
    boxes = letterbox.to_image(found.boxes_xyxy)[known]
    masks = None
    if found.masks is not None:
        drawn = known[:MASKS_PER_IMAGE]
        counts = encode_masks(found.masks[drawn], boxes[: len(drawn)], letterbox)
        nothing = empty_mask(letterbox.image_hw)
        padded = [*counts, *[nothing] * (len(known) - len(drawn))]
        masks = tuple({"size": list(letterbox.image_hw), "counts": (c or nothing).encode()} for c in padded)
    classes = np.array([names.index(found.classes[i]) for i in known], np.int64)
    return Objects(boxes, classes, found.scores[known], masks)
