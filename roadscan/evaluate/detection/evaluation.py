"""Score one model file on a labelled dataset: everything that is said of a model, from one pass over the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

from roadscan import __version__
from roadscan.errors import ConfigError
from roadscan.evaluate.bootstrap import RESAMPLES
from roadscan.evaluate.detection.bootstrap import Intervals, intervals
from roadscan.evaluate.detection.matching import match
from roadscan.evaluate.detection.overlap import Kind
from roadscan.evaluate.detection.predict import measuring_detector, predict
from roadscan.evaluate.detection.results import ImageResult, Objects
from roadscan.evaluate.detection.scores import Scores, score
from roadscan.evaluate.detection.split import CACHE_DIR, Split, open_split
from roadscan.evaluate.detection.thresholds import Calibration, RecallThresholds, calibration, thresholds_for_recall
from roadscan.evaluate.jsonable import jsonable
from roadscan.model.bundle import Bundle, ModelCard, load
from roadscan.model.detector import Detector, Precision
from roadscan.model.slices import SliceConfig
from roadscan.progress import OnCount, OnProgress, counter, silent

NAMES_OF_KINDS: dict[Kind, str] = {"box": "boxes", "mask": "masks"}


@dataclass(frozen=True)
class Inference:
    """How a model is run over images.

    Attributes:
        device: torch device; None for the GPU where there is one.
        precision: full is float32, half is faster and changes scores a little.
        batch: images a forward pass.
        slices: besides the whole image, see it in overlapping slices; None: no.
    """

    device: str | None = None
    precision: Precision = "full"
    batch: int = 16
    slices: SliceConfig | None = None


INFERENCE = Inference()


@dataclass(frozen=True)
class Frozen:
    """A confidence that was chosen before, on other data.

    Attributes:
        confidence: lowest score that counts.
        source: val, chosen where F1 was greatest on the model's own validation data; card, what the model scans with.
    """

    confidence: float
    source: Literal["val", "card"]


@dataclass(frozen=True)
class Measured:
    """What was measured of a model's boxes, or of its masks.

    Attributes:
        scores: overall, by class, condition and occlusion; `Scores.frozen` is at the frozen confidence.
        intervals: over drives.
        frozen: where that confidence comes from.
        thresholds: confidences that give the wanted recall here.
        calibration: how far scores are from probabilities.
    """

    scores: Scores
    intervals: Intervals
    frozen: Frozen
    thresholds: RecallThresholds
    calibration: Calibration

    def to_dict(self) -> dict[str, Any]:
        """For JSON: NaN becomes None."""
        return {
            **self.scores.to_dict(),
            "frozen_from": asdict(self.frozen),
            "intervals": self.intervals.to_dict(),
            "thresholds": jsonable(asdict(self.thresholds)),
            "calibration": jsonable(asdict(self.calibration)),
        }


@dataclass(frozen=True)
class Evaluation:
    """One model on one split of a dataset.

    Attributes:
        model: address of its file, as given.
        sha256, card: of the file.
        split: the images, with the classes that were scored.
        unknown_to_data: classes of the model that the dataset does not have; their detections are left out.
        measured: by kind: ``box``, and ``mask`` where model and dataset both have masks.
        results: truth and detections of every image, by key.
        notes: what a reader should know, a sentence each.
        slices: how images were seen besides the whole.
    """

    model: str
    sha256: str
    card: ModelCard
    split: Split
    unknown_to_data: tuple[str, ...]
    measured: dict[Kind, Measured]
    results: tuple[ImageResult, ...]
    notes: tuple[str, ...]
    slices: SliceConfig | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the results."""
        model = {"file": self.model, "sha256": self.sha256}
        model |= {name: getattr(self.card, name) for name in ("task", "variant", "activation", "image_size_px")}
        return {
            "model": {**model, "classes_of_model_alone": list(self.unknown_to_data)},
            **self.split.to_dict(),
            "notes": list(self.notes),
            **{NAMES_OF_KINDS[kind]: one.to_dict() for kind, one in self.measured.items()},
            "code_version": __version__,
        }

    def confidences_yaml(self) -> str:
        """The score from which each class's boxes are found with the wanted recall, as a scan's config takes it.

        A class that does not reach the recall, or is not in the data, is left to the model's own. Where images were
        seen in slices, the scan has to see them so, too.
        """
        found = self.measured["box"].thresholds
        scores = {name: one.confidence for name, one in found.classes.items() if one.confidence}
        of_what = f"split {self.split.name} of {self.split.uri}, model {self.sha256[:12]}"
        head = f"# recall {found.target:g} on {of_what}\n"
        tree: dict[str, Any] = {"confidence": scores}
        if self.slices is not None:
            tree["slices"] = self.slices.model_dump(mode="json")
        return head + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def evaluate(
    model_uri: str,
    data_uri: str,
    *,
    split: str = "test",
    recall_target: float = 0.9,
    resamples: int = RESAMPLES,
    cache_dir: Path = CACHE_DIR,
    inference: Inference = INFERENCE,
    on_progress: OnProgress = silent,
) -> Evaluation:
    """Score a model file on a split of a labelled dataset.

    Where the classes differ, those with a name in common are scored.

    Args:
        model_uri: path, ``s3://`` address, or ``demo``.
        data_uri: the dataset, a folder or ``s3://`` address.
        split: where there is no test split, val is taken, and a note says so.
        recall_target: wanted recall, over 0 and up to 1, for `Measured.thresholds`.
        resamples: of the drives, for the intervals.
        cache_dir: where datasets from object storage are kept.
        inference: how models are run.
        on_progress: called after each image.

    Raises:
        ConfigError: the wanted recall is out of bounds, or there is no such device.
        DatasetError: the dataset cannot be read, or has no image in the split.
        ModelError: the model cannot be read, or has no class in common with the dataset.
    """
    if not 0 < recall_target <= 1:
        raise ConfigError(f"recall: got {recall_target:g}; expected a share above 0 and up to 1, such as 0.9")
    bundle = load(model_uri)
    images = open_split(data_uri, split, cache_dir)
    unknown = tuple(name for name in bundle.card.classes if name not in images.names)
    images = images.of_classes(bundle.card.classes, whose=model_uri)
    results = find(bundle, images, inference, counter(on_progress, "evaluate", "images"))
    return Evaluation(
        model=model_uri,
        sha256=bundle.sha256,
        card=bundle.card,
        split=images,
        unknown_to_data=unknown,
        measured={
            kind: measure(results, images.names, kind, frozen_confidence(bundle.card, kind), recall_target, resamples)
            for kind in kinds_of([bundle.card], images)
        },
        results=tuple(results),
        notes=notes_on([bundle.card], images, unknown, inference),
        slices=inference.slices,
    )


def find(
    bundle: Bundle,
    split: Split,
    inference: Inference = INFERENCE,
    on_image: OnCount | None = None,
) -> list[ImageResult]:
    """What a model finds in the images, beside their truth; by key.

    Args:
        bundle: the model.
        split: the images.
        inference: how models are run.
        on_image: called with (images done, images in all).

    Raises:
        ConfigError: there is no such device.
        DatasetError: an image cannot be decoded.
    """
    detector = _detector(bundle, inference)
    size = bundle.card.image_size_px
    results = []
    for result in predict(
        detector, split.root, split.images, split.names, image_size_px=size, batch=inference.batch,
        slices=inference.slices,
    ):  # fmt: skip
        results.append(result)
        if on_image is not None:
            on_image(len(results), len(split.images))
    return sorted(results, key=lambda result: result.key)


def measure(
    results: Sequence[ImageResult],
    names: Sequence[str],
    kind: Kind,
    frozen: Frozen,
    recall_target: float = 0.9,
    resamples: int = RESAMPLES,
) -> Measured:
    """All that is measured of detections."""
    matches = match(results, names, kind=kind)
    return Measured(
        scores=score(results, names, kind=kind, confidence=frozen.confidence, matches=matches),
        intervals=intervals([matches], resamples=resamples),
        frozen=frozen,
        thresholds=thresholds_for_recall(matches, recall_target),
        calibration=calibration(matches),
    )


def frozen_confidence(card: ModelCard, kind: Kind) -> Frozen:
    """The confidence that the card carries from validation, or else the one that the model scans with."""
    measured = card.metrics.get("val" if kind == "box" else "val masks")
    confidence = measured.get("confidence") if isinstance(measured, dict) else None
    if isinstance(confidence, int | float) and 0 <= confidence <= 1:
        return Frozen(float(confidence), "val")
    return Frozen(card.confidence, "card")


def kinds_of(cards: Sequence[ModelCard], split: Split) -> tuple[Kind, ...]:
    """Boxes, and masks where all models and the dataset have them."""
    with_masks = split.task == "segment" and all(card.task == "segment" for card in cards)
    return ("box", "mask") if with_masks else ("box",)


def notes_on(
    cards: Sequence[ModelCard], split: Split, unknown_to_data: Sequence[str], inference: Inference
) -> tuple[str, ...]:
    """What a reader of the scores should know, a sentence each.

    Args:
        cards: of the models.
        split: the images.
        unknown_to_data: classes of models that the dataset does not have.
        inference: how the models were run.
    """
    return (
        *split.notes,
        *_notes_on_classes(split, unknown_to_data),
        *_notes_on_tasks(cards, split),
        *_notes_on_inference(inference),
    )


def _notes_on_tasks(cards: Sequence[ModelCard], split: Split) -> list[str]:
    """Why masks are not scored, where there are some."""
    tasks = {card.task for card in cards}
    if split.task == "segment" and "detect" in tasks:
        return ["a model is for task detect and draws no masks, so boxes alone are scored"]
    if split.task == "detect" and "segment" in tasks:
        return ["the dataset is of boxes, so the models' masks are not scored"]
    return []


def _notes_on_classes(split: Split, unknown_to_data: Sequence[str]) -> list[str]:
    """Which classes are not scored."""
    notes = []
    if split.left_out:
        notes.append(f"not scored, as the dataset alone has them: {', '.join(split.left_out)}")
    if unknown_to_data:
        notes.append(f"not scored, as no label has them: {', '.join(unknown_to_data)}")
    return notes


def _notes_on_inference(inference: Inference) -> list[str]:
    """How images were seen, where that is not as whole ones alone."""
    if inference.slices is None:
        return []
    settings = ", ".join(f"{name} {value}" for name, value in inference.slices.model_dump(mode="json").items())
    return [f"each image was seen in slices besides the whole: {settings}"]


def most_confident(results: Sequence[ImageResult], confidence: float) -> tuple[ImageResult, ...]:
    """The results with only those detections whose score is at least the confidence, for pictures."""
    return tuple(replace(result, found=_at_least(result.found, confidence)) for result in results)


def _detector(bundle: Bundle, how: Inference) -> Detector:
    try:
        return measuring_detector(bundle, precision=how.precision, device=how.device)
    except (RuntimeError, AssertionError) as error:  # what torch raises of a device, by its kind
        if how.device is None:
            raise
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"device {how.device!r}: {reason}; expected cpu, or cuda where there is a GPU") from None


def _at_least(found: Objects, confidence: float) -> Objects:
    assert found.scores is not None
    rows = np.flatnonzero(found.scores >= confidence)
    masks = None if found.masks is None else tuple(found.masks[row] for row in rows)
    return Objects(found.boxes_xyxy[rows], found.classes[rows], found.scores[rows], masks)
