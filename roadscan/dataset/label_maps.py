"""Label maps: arrays of an image's size whose pixels are classes, drawn from outlines or read from a file.

A pixel is the index of its class, the number of classes for the background, or `VOID_VALUE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from roadscan.dataset.files import in_threads
from roadscan.dataset.records import (
    BACKGROUND_PIXELS,
    VOID_PIXELS,
    Dataset,
    LabelledImage,
    LabelMapFile,
    Outline,
    Palette,
)
from roadscan.disk import read_regular
from roadscan.errors import DatasetError, Malformed, StorageError
from roadscan.nodes import usable_cores
from roadscan.parsing import open_image
from roadscan.storage import MAX_IMAGE_BYTES

LabelMap: TypeAlias = npt.NDArray[np.uint8]  # (h, w)
Shape: TypeAlias = tuple[int, int]  # height, width

BACKGROUND = "background"  # what no class covers; the last of a network's outputs
VOID = "void"  # what is neither learnt nor scored
VOID_VALUE = 255
MOST_CLASSES = VOID_VALUE - 1  # beside the background


class BadLabelMap(Exception):
    """A label map that cannot be used; the message says what was got and what was expected."""


def check_pixel_classes(names: Sequence[str], where: str) -> None:
    """Refuse classes that pixels cannot have.

    Raises:
        DatasetError: they are more than a label map can tell, or one has a name that is not for classes.
    """
    taken = [name for name in names if name in (BACKGROUND, VOID)]
    if taken:
        raise DatasetError(
            f"{where}: the class {taken[0]!r} is what pixels without a class are called; leave it out with "
            f"'classes: {{ignore: [{taken[0]}]}}', or give it another name"
        )
    if len(names) > MOST_CLASSES:
        raise DatasetError(f"{where}: {len(names)} classes; of task semantic expected at most {MOST_CLASSES}")


def label_map(image: LabelledImage, root: str | Path, n_classes: int, size_hw: Shape | None = None) -> LabelMap:
    """A labelled image -> the class of each pixel, (h, w) uint8.

    Where outlines overlap, the later one lies on top. Scaled down, a pixel has the class at its centre.

    Args:
        image: with outlines, or a label map.
        root: folder that keys are below.
        n_classes: of the dataset; this number is the background.
        size_hw: of the result; None for the image's own.

    Raises:
        DatasetError: its label map cannot be used.
    """
    size_hw = size_hw or (image.height_px, image.width_px)
    if image.label_map is None:
        return _drawn(image, n_classes, size_hw)
    path = Path(root) / image.label_map.key
    try:
        found = read_label_map(read_regular(path, MAX_IMAGE_BYTES), image, image.label_map, n_classes)
    except (StorageError, BadLabelMap) as error:
        raise DatasetError(f"{path}: {error}; see 'roadscan dataset check'") from None
    return found if found.shape == size_hw else _resized(found, size_hw)


def read_label_map(data: bytes, image: LabelledImage, file: LabelMapFile, n_classes: int) -> LabelMap:
    """A label map's file -> the class of each pixel, (h, w) uint8.

    Raises:
        BadLabelMap: it is no image, of another size than its image, of another kind than its palette, or has values
            that the palette does not.
    """
    values = _values(data, file.palette)
    expected = image.height_px, image.width_px
    if values.shape != expected:
        got = f"{values.shape[1]}x{values.shape[0]}"
        raise BadLabelMap(f"the label map is {got} px, its image {expected[1]}x{expected[0]} px")
    keys = np.array(sorted(file.palette.meaning), np.int64)
    meant = np.array([_pixel_of(file.palette.meaning[key], n_classes) for key in keys.tolist()], np.uint8)
    place = np.searchsorted(keys, values).clip(max=len(keys) - 1)
    strange = keys[place] != values
    if strange.any():
        value = int(values[strange][0])
        raise BadLabelMap(
            f"{np.count_nonzero(values == value)} pixels are {_shown(value, file.palette)}, which the dataset's "
            f"label_maps does not name; add it there, as {VOID} if such pixels are to be left out"
        )
    found: LabelMap = meant[place]
    return found


def _pixel_of(meaning: int, n_classes: int) -> int:
    """What a palette says of a value -> the pixel of a label map."""
    return {BACKGROUND_PIXELS: n_classes, VOID_PIXELS: VOID_VALUE}.get(meaning, meaning)


def pixels_by_class(dataset: Dataset, split: str) -> dict[str, int]:
    """A dataset -> how many pixels of a split are of each class, in the order of the classes, then of the background.

    Raises:
        DatasetError: a label map cannot be used.
    """
    n_classes = len(dataset.names)

    def count(image: LabelledImage) -> npt.NDArray[np.int64]:
        return count_pixels(label_map(image, dataset.root, n_classes), n_classes)

    counts = np.sum(in_threads(count, dataset.splits[split], usable_cores()), axis=0)
    return dict(zip((*dataset.names, BACKGROUND), counts.tolist(), strict=True))


def count_pixels(found: LabelMap, n_classes: int) -> npt.NDArray[np.int64]:
    """A label map -> (classes + 1,) numbers of pixels of each class and the background; void ones are not counted."""
    return np.bincount(found.ravel(), minlength=VOID_VALUE + 1)[: n_classes + 1]


def _drawn(image: LabelledImage, n_classes: int, size_hw: Shape) -> LabelMap:
    assert image.outlines is not None, "a semantic dataset has outlines or label maps"
    drawn = np.full(size_hw, n_classes, np.uint8)
    scale = np.array([size_hw[1] / image.width_px, size_hw[0] / image.height_px])
    for number, parts in zip(image.classes.tolist(), image.outlines, strict=True):
        for part in parts:
            _fill(drawn, part * scale, number)
    return drawn


def _fill(drawn: LabelMap, outline: Outline | npt.NDArray[np.float64], value: int) -> None:
    """Set the pixels that COCO's rasteriser finds inside an outline, by looking at the part around it alone."""
    left, top = np.floor(outline.min(0)).astype(int)
    right, bottom = np.minimum(np.ceil(outline.max(0)).astype(int), drawn.shape[::-1])
    if right <= left or bottom <= top:
        return
    inner = (outline - (left, top)).astype(np.float64).ravel().tolist()
    mask = coco.decode(coco.frPyObjects([inner], int(bottom - top), int(right - left)))[..., 0]
    drawn[top:bottom, left:right][mask > 0] = value


def _resized(found: LabelMap, size_hw: Shape) -> LabelMap:
    """The nearest pixel of each."""
    return np.asarray(cv2.resize(found, size_hw[::-1], interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)


def _values(data: bytes, palette: Palette) -> npt.NDArray[np.int64]:
    """The pixels of a label map's file as a palette counts them, (h, w)."""
    try:
        with open_image(data) as image:
            if palette.of_colours:
                red, green, blue = np.moveaxis(np.asarray(image.convert("RGB"), np.int64), 2, 0)
                colours: npt.NDArray[np.int64] = red << 16 | green << 8 | blue
                return colours
            pixels = np.asarray(image)
    except Malformed as error:
        raise BadLabelMap(f"the label map cannot be decoded ({error})") from None
    if pixels.ndim != 2:
        raise BadLabelMap("the label map has colours, and the dataset's label_maps numbers; give colours there")
    return pixels.astype(np.int64)


def _shown(value: int, palette: Palette) -> str:
    """A value as it is written in a dataset's YAML file."""
    return str([value >> 16, value >> 8 & 255, value & 255]) if palette.of_colours else str(value)
