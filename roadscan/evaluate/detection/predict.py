"""What a model finds in labelled images, beside their truth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from roadscan.dataset.records import LabelledImage
from roadscan.dataset.shrunk import Pixels, Shrunk
from roadscan.disk import read_regular
from roadscan.errors import DatasetError
from roadscan.evaluate.detection.grid_masks import Rle, crop_logits, draw_outlines
from roadscan.evaluate.detection.results import ImageResult, Objects
from roadscan.model.decode import PADDING_GREY, Letterbox, Undecodable, plan_letterbox
from roadscan.model.detector import Detections, Detector, Precision
from roadscan.model.exported import Model
from roadscan.model.image_detections import ImageDetections, detect_images
from roadscan.model.image_input import ImageInput, prepare
from roadscan.model.masks import empty_mask
from roadscan.model.slices import SliceConfig
from roadscan.model.yolo import STRIDE_PX
from roadscan.progress import OnCount
from roadscan.storage import MAX_IMAGE_BYTES

# As average precision is measured everywhere: nearly all boxes, also those that overlap, also a box's second class.
CONFIDENCE, IOU = 0.001, 0.7
MASKS_PER_IMAGE = 100  # the rest, whose scores are lowest, count as detections with an empty mask

MaskSize: TypeAlias = Literal["image", "grid"]
T = TypeVar("T")
U = TypeVar("U")


def measuring_detector(model: Model, *, precision: Precision = "full", device: str | None = None) -> Detector:
    """A detector that gives every box that average precision asks for."""
    return Detector(model, device=device, confidence=CONFIDENCE, iou=IOU, precision=precision, every_class=True)


def predict(
    detector: Detector,
    root: Path,
    images: Sequence[LabelledImage],
    names: Sequence[str],
    *,
    image_size_px: int,
    batch: int = 16,
    mask_size: MaskSize = "image",
    shrunk: Shrunk | None = None,
    truths: dict[str, Objects] | None = None,
    threads: int = 1,
    slices: SliceConfig | None = None,
) -> Iterator[ImageResult]:
    """Run a detector over labelled images.

    Args:
        detector: usually from `measuring_detector`.
        root: folder that the images' keys are below.
        images: read from there; images of one shape share a batch, so the order of the results is not theirs.
        names: the dataset's classes; what the model calls otherwise is left out.
        image_size_px: longer side of the network's input.
        batch: images a forward pass.
        mask_size: masks are compared in the original's pixels, or on the network's own grid (`grid_masks`), which costs
            a hundredth of it for large images; its areas are cells, so scores by size of object mean nothing there.
        shrunk: small copies, which are used where there are some; the pixels are the same.
        truths: truth by key from an earlier call on these images with this size; what is missing is added.
        threads: load the next batch while one is computed.
        slices: how images are seen, besides the whole; not with masks on the grid, nor with small copies.

    Raises:
        DatasetError: an image cannot be decoded.
    """
    assert slices is None or mask_size == "image", "slices have no grid in common"
    truths = {} if truths is None else truths
    shrunk = shrunk or Shrunk()
    batches = batches_of_a_shape(images, image_size_px, batch)
    asked = [(image, letterbox) for letterbox, chosen in batches for image in chosen]

    def load(one: tuple[LabelledImage, Letterbox]) -> ImageInput:
        image, letterbox = one
        return load_input(root, image.key, letterbox, shrunk, slices)

    loaded = map_ahead(load, asked, threads, 2 * batch)
    for letterbox, chosen in batches:
        inputs = list(islice(loaded, len(chosen)))
        if mask_size == "grid":
            seen = detector.infer(np.stack([one.pixels for one in inputs]))
            found = (_on_the_grid(one, letterbox, names) for one in seen)
        else:
            in_images = detect_images(detector, inputs, batch=batch, most_masks=MASKS_PER_IMAGE)
            found = (_in_the_image(one, letterbox.image_hw, names) for one in in_images)
        for image, objects in zip(chosen, found, strict=True):
            if image.key not in truths:
                truths[image.key] = _truth(image, letterbox, mask_size)
            yield ImageResult(image.key, truths[image.key], objects, image.drive_id, image.conditions)


def batches_of_a_shape(
    images: Sequence[LabelledImage], image_size_px: int, batch: int
) -> list[tuple[Letterbox, list[LabelledImage]]]:
    """Labelled images -> those that lie alike in the network's input, at most `batch` at a time, and how they do."""
    by_shape: dict[Letterbox, list[LabelledImage]] = defaultdict(list)
    for image in images:
        by_shape[plan_letterbox((image.height_px, image.width_px), image_size_px, STRIDE_PX)].append(image)
    return [
        (letterbox, alike[start : start + batch])
        for letterbox, alike in by_shape.items()
        for start in range(0, len(alike), batch)
    ]


def counted(results: Iterable[T], total: int, on_image: OnCount | None) -> list[T]:
    """The results of images, and each told as it comes: (images done, images in all)."""
    found = []
    for result in results:
        found.append(result)
        if on_image is not None:
            on_image(len(found), total)
    return found


def map_ahead(function: Callable[[T], U], items: Iterable[T], threads: int, ahead: int) -> Iterator[U]:
    """Like `map`, in threads that are at most so many items ahead."""
    rest = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(function, item) for item in islice(rest, ahead)]
        while waiting:
            result = waiting.pop(0).result()
            waiting += [pool.submit(function, item) for item in islice(rest, 1)]
            yield result


def load_input(
    root: Path, key: str, letterbox: Letterbox, shrunk: Shrunk, slices: SliceConfig | None = None
) -> ImageInput:
    """An image of a dataset -> the network's inputs, from its small copy where there is one and no slices are wanted.

    Raises:
        DatasetError: it cannot be decoded.
    """
    small = None if slices else shrunk.read(key, letterbox.inner_hw)
    if small is not None:
        return ImageInput(letterbox, _place(small, letterbox))
    try:
        return prepare(read_regular(root / key, MAX_IMAGE_BYTES), letterbox, slices)
    except (OSError, Undecodable) as error:
        raise DatasetError(f"{root / key}: {error}; see 'roadscan dataset check'") from None


def _place(small: Pixels, letterbox: Letterbox) -> Pixels:
    """The network's input of an image that has its size there already."""
    pixels = np.full((*letterbox.input_hw, 3), PADDING_GREY, np.uint8)
    height, width = letterbox.inner_hw
    pixels[letterbox.top : letterbox.top + height, letterbox.left : letterbox.left + width] = small
    return pixels


def true_objects(image: LabelledImage) -> Objects:
    """A labelled image -> its objects, with masks of the original's pixels where it has outlines."""
    if image.outlines is None:
        return Objects(image.boxes_xyxy, image.classes, occlusions=image.occlusions)
    size = image.height_px, image.width_px
    masks = tuple(
        coco.merge(coco.frPyObjects([part.astype(np.float64).ravel().tolist() for part in parts], *size))
        for parts in image.outlines
    )
    return Objects(image.boxes_xyxy, image.classes, masks=masks, occlusions=image.occlusions)


def _truth(image: LabelledImage, letterbox: Letterbox, mask_size: MaskSize) -> Objects:
    if image.outlines is None or mask_size == "image":
        return true_objects(image)
    masks = draw_outlines(image.outlines, letterbox)
    return Objects(image.boxes_xyxy, image.classes, masks=masks, occlusions=image.occlusions)


def _on_the_grid(found: Detections, letterbox: Letterbox, names: Sequence[str]) -> Objects:
    known, classes = _known(found.classes, names)
    masks = None
    if found.masks is not None:
        drawn = known[:MASKS_PER_IMAGE]
        own, size = crop_logits(found.masks[drawn], found.boxes_xyxy[drawn]), found.masks.shape[1:]
        masks = (*own, *[_rle(size, empty_mask(size))] * (len(known) - len(drawn)))
    return Objects(letterbox.to_image(found.boxes_xyxy)[known], classes, found.scores[known], masks)


def _in_the_image(found: ImageDetections, image_hw: tuple[int, int], names: Sequence[str]) -> Objects:
    known, classes = _known(found.classes, names)
    masks = None if found.masks_rle is None else tuple(_rle(image_hw, found.masks_rle[i]) for i in known)
    return Objects(found.boxes_xyxy[known], classes, found.scores[known], masks)


def _known(classes: Sequence[str], names: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Class names of detections -> indices of those whose class the dataset has, and the indices of their classes."""
    known = np.array([i for i, name in enumerate(classes) if name in names], np.int64)
    return known, np.array([names.index(classes[i]) for i in known], np.int64)


def _rle(size_hw: Sequence[int], counts: str) -> Rle:
    return {"size": list(size_hw), "counts": counts.encode()}
