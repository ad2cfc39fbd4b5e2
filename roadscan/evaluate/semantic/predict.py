"""What a semantic model finds in labelled images, held against their truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from roadscan.dataset.label_maps import LabelMap, label_map
from roadscan.dataset.records import LabelledImage
from roadscan.dataset.shrunk import Shrunk
from roadscan.evaluate.detection.predict import batches_of_a_shape, load_input, map_ahead
from roadscan.evaluate.semantic.results import PixelResult, boundary_f1_of, confusion_of
from roadscan.model.decode import Letterbox
from roadscan.model.image_input import ImageInput
from roadscan.model.segmenter import Segmenter, in_image, in_input

BATCH = 16
MapSize: TypeAlias = Literal["image", "input"]


class Compared(NamedTuple):
    """A labelled image, its true classes and those found; label maps of the dataset's classes."""

    image: LabelledImage
    truth: LabelMap
    found: LabelMap


def label_maps(
    segmenter: Segmenter,
    root: Path,
    images: Sequence[LabelledImage],
    names: Sequence[str],
    *,
    image_size_px: int,
    batch: int = BATCH,
    size: MapSize = "image",
    shrunk: Shrunk | None = None,
    threads: int = 1,
) -> Iterator[Compared]:
    """The label maps of images, true and found.

    Args:
        segmenter: the model.
        root: folder that the images' keys are below.
        images: read from there; images of one shape share a batch, so the order of the results is not theirs.
        names: the dataset's classes; pixels that the model calls otherwise count as background.
        image_size_px: longer side of the network's input.
        batch: images a forward pass.
        size: maps are compared in the original's pixels, or in those of the network's input, which costs less.
        shrunk: small copies, which are used where there are some; the pixels are the same.
        threads: load the next batch while one is computed.

    Raises:
        DatasetError: an image or a label map cannot be decoded.
    """
    batches = batches_of_a_shape(images, image_size_px, batch)
    meaning = classes_in(names, segmenter.classes)

    def load(one: tuple[LabelledImage, Letterbox]) -> tuple[LabelledImage, ImageInput, LabelMap]:
        image, letterbox = one
        shown = letterbox.inner_hw if size == "input" else None
        truth = label_map(image, root, len(names), shown)
        return image, load_input(root, image.key, letterbox, shrunk or Shrunk()), truth

    asked = [(image, letterbox) for letterbox, chosen in batches for image in chosen]
    loaded = map_ahead(load, asked, threads, 2 * batch)
    place = in_input if size == "input" else in_image
    for letterbox, chosen in batches:
        part = list(islice(loaded, len(chosen)))
        found = segmenter.infer(np.stack([one.pixels for _, one, _ in part]))
        for (image, _, truth), probabilities in zip(part, found, strict=True):
            yield Compared(image, truth, meaning[place(probabilities, letterbox).classes])


def results_of(found: Iterable[Compared], names: Sequence[str]) -> Iterator[PixelResult]:
    """Label maps of images, true and found -> what all scores of each are made of.

    Args:
        found: from `label_maps`.
        names: the dataset's classes.
    """
    for image, truth, ours in found:
        yield PixelResult(
            image.key,
            confusion_of(truth, ours, len(names)),
            boundary_f1_of(truth, ours, len(names)),
            image.drive_id,
            image.conditions,
        )


def classes_in(names: Sequence[str], of_model: Sequence[str]) -> npt.NDArray[np.uint8]:
    """(classes of the model + 1,) indices of them in a dataset; of those that it does not have the background's."""
    return np.array([names.index(name) if name in names else len(names) for name in (*of_model, None)], np.uint8)
