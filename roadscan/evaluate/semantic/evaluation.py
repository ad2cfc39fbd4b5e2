"""Score one semantic model file on a labelled dataset."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadscan import __version__
from roadscan.errors import ConfigError, DatasetError
from roadscan.evaluate.bootstrap import RESAMPLES, Intervals
from roadscan.evaluate.detection.evaluation import (
    INFERENCE,
    Inference,
    model_facts,
    notes_on_classes,
    notes_on_inference,
    on_device,
)
from roadscan.evaluate.detection.predict import counted
from roadscan.evaluate.detection.split import CACHE_DIR, Split, open_split
from roadscan.evaluate.semantic.bootstrap import intervals
from roadscan.evaluate.semantic.predict import Compared, label_maps, results_of
from roadscan.evaluate.semantic.results import PixelResult
from roadscan.evaluate.semantic.scores import PixelScores, score
from roadscan.model.bundle import Bundle, ModelCard, load
from roadscan.model.segmenter import Segmenter
from roadscan.progress import OnCount, OnProgress, counter, silent


@dataclass(frozen=True)
class PixelEvaluation:
    """One semantic model on one split of a dataset.

    Attributes:
        model: address of its file, as given.
        sha256, card: of the file.
        split: the images, with the classes that were scored.
        unknown_to_data: classes of the model that the dataset does not have; their pixels count as background.
        scores: overall, by class and by condition.
        intervals: over drives.
        results: of every image, by key.
        notes: what a reader should know, a sentence each.
        inference: how the model was run.
    """

    model: str
    sha256: str
    card: ModelCard
    split: Split
    unknown_to_data: tuple[str, ...]
    scores: PixelScores
    intervals: Intervals
    results: tuple[PixelResult, ...]
    notes: tuple[str, ...]
    inference: Inference = INFERENCE

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the results."""
        return {
            "model": model_facts(self.model, self.sha256, self.card, self.unknown_to_data),
            **self.split.to_dict(),
            "notes": list(self.notes),
            "pixels": {**self.scores.to_dict(), "intervals": self.intervals.to_dict()},
            "code_version": __version__,
        }


def evaluate(
    model_uri: str,
    data_uri: str,
    *,
    split: str = "test",
    resamples: int = RESAMPLES,
    cache_dir: Path = CACHE_DIR,
    inference: Inference = INFERENCE,
    on_progress: OnProgress = silent,
) -> PixelEvaluation:
    """Score a semantic model file on a split of a dataset of outlines or label maps.

    Where the classes differ, those with a name in common are scored; the others are background.

    Args:
        model_uri: path or ``s3://`` address.
        data_uri: the dataset, a folder or ``s3://`` address.
        split: where there is no test split, val is taken, and a note says so.
        resamples: of the drives, for the intervals.
        cache_dir: where datasets from object storage are kept.
        inference: how models are run.
        on_progress: called after each image.

    Raises:
        ConfigError: slices are wanted, or there is no such device.
        DatasetError: the dataset cannot be read, is of boxes, or has no image in the split.
        ModelError: the model cannot be read, is not semantic, or has no class in common with the dataset.
    """
    bundle = load(model_uri, task="semantic")
    images = open_pixels(data_uri, split, cache_dir)
    unknown = tuple(name for name in bundle.card.classes if name not in images.names)
    images = images.of_classes(bundle.card.classes, whose=model_uri)
    results = find(bundle, images, inference, counter(on_progress, "evaluate", "images"))
    return PixelEvaluation(
        model=model_uri,
        sha256=bundle.sha256,
        card=bundle.card,
        split=images,
        unknown_to_data=unknown,
        scores=score(results, images.names),
        intervals=intervals([results], images.names, resamples=resamples),
        results=results,
        notes=notes_on(images, unknown, inference),
        inference=inference,
    )


def open_pixels(data_uri: str, split: str, cache_dir: Path) -> Split:
    """A dataset's address -> the images of a split, whose pixels have classes.

    Raises:
        DatasetError: as `open_split`, or the dataset is of boxes.
    """
    images = open_split(data_uri, split, cache_dir)
    if images.task == "detect":
        raise DatasetError(
            f"{data_uri}: labelled with boxes; a semantic model needs outlines or label maps to score it"
        )
    return images


def notes_on(split: Split, unknown_to_data: Collection[str], inference: Inference) -> tuple[str, ...]:
    """What a reader of the scores should know, a sentence each."""
    return *split.notes, *notes_on_classes(split, [*unknown_to_data]), *notes_on_inference(inference)


def show(bundle: Bundle, split: Split, keys: Collection[str], inference: Inference = INFERENCE) -> tuple[Compared, ...]:
    """The label maps of some images, true and found, by key: for pictures.

    Args:
        bundle: the model.
        split: the images.
        keys: of those that are wanted.
        inference: how models are run.
    """
    wanted = [image for image in split.images if image.key in keys]
    size = inference.image_size_px or bundle.card.image_size_px
    found = label_maps(_segmenter(bundle, inference), split.root, wanted, split.names, image_size_px=size)
    return tuple(sorted(found, key=lambda one: one.image.key))


def find(
    bundle: Bundle, split: Split, inference: Inference = INFERENCE, on_image: OnCount | None = None
) -> tuple[PixelResult, ...]:
    """What a semantic model's pixels come to in the images, by key.

    Args:
        bundle: the model.
        split: the images.
        inference: how models are run.
        on_image: called with (images done, images in all).

    Raises:
        ConfigError: slices are wanted, or there is no such device.
        DatasetError: an image or a label map cannot be decoded.
    """
    if inference.slices is not None:
        raise ConfigError("slices: got some, and a semantic model sees whole images alone; leave them out")
    found = label_maps(
        _segmenter(bundle, inference), split.root, split.images, split.names,
        image_size_px=inference.image_size_px or bundle.card.image_size_px, batch=inference.batch,
    )  # fmt: skip
    results = counted(results_of(found, split.names), len(split.images), on_image)
    return tuple(sorted(results, key=lambda result: result.key))


def _segmenter(bundle: Bundle, how: Inference) -> Segmenter:
    return on_device(lambda: Segmenter(bundle, precision=how.precision, device=how.device), how)
