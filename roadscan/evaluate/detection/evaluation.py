"""Score one model file on a labelled dataset: everything that is said of a model, from one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import yaml

from roadscan import __version__
from roadscan.errors import ConfigError
from roadscan.evaluate.bootstrap import RESAMPLES, Intervals
from roadscan.evaluate.detection.bootstrap import intervals
from roadscan.evaluate.detection.matching import match
from roadscan.evaluate.detection.overlap import Kind
from roadscan.evaluate.detection.predict import counted, measuring_detector, predict
from roadscan.evaluate.detection.results import ImageResult, Objects
from roadscan.evaluate.detection.scores import Scores, score
from roadscan.evaluate.detection.split import CACHE_DIR, Split, open_objects
from roadscan.evaluate.detection.thresholds import Calibration, RecallThresholds, calibration, thresholds_for_recall
from roadscan.evaluate.jsonable import jsonable
from roadscan.model.bundle import ModelCard
from roadscan.model.detector import Detector, Precision
from roadscan.model.exported import Model, open_model
from roadscan.model.image_input import check_image_size
from roadscan.model.slices import SliceConfig
from roadscan.progress import OnCount, OnProgress, counter, silent

T = TypeVar("T")
NAMES_OF_KINDS: dict[Kind, str] = {"box": "boxes", "mask": "masks"}


@dataclass(frozen=True)
class Inference:
    """How a model is run over images.

    Attributes:
        device: torch device; None for the GPU where there is one.
        precision: full is float32, half is faster and changes scores a little.
        batch: images a forward pass.
        image_size_px: longer side of the network's input, a multiple of 32; None for the model's own.
        slices: besides the whole image, see it in overlapping slices; None: no.

    Raises:
        ConfigError: the network does not take images of that size.
    """

    device: str | None = None
    precision: Precision = "full"
    batch: int = 16
    image_size_px: int | None = None
    slices: SliceConfig | None = None

    def __post_init__(self) -> None:
        if self.image_size_px is not None:
            check_image_size(self.image_size_px)


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
        inference: how the model was run.
    """

    model: str
    sha256: str
    card: ModelCard
    split: Split
    unknown_to_data: tuple[str, ...]
    measured: dict[Kind, Measured]
    results: tuple[ImageResult, ...]
    notes: tuple[str, ...]
    inference: Inference = INFERENCE

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the results."""
        return {
            "model": model_facts(self.model, self.sha256, self.card, self.unknown_to_data),
            **self.split.to_dict(),
            "notes": list(self.notes),
            **{NAMES_OF_KINDS[kind]: one.to_dict() for kind, one in self.measured.items()},
            "code_version": __version__,
        }

    def confidences_yaml(self) -> str:
        """The score from which each class's boxes are found with the wanted recall, as a scan's config takes it.

        A class that does not reach the recall, or is not in the data, is left to the model's own. The scan has to see
        images as they were seen here: in that size, in those slices.
        """
        found = self.measured["box"].thresholds
        scores = {name: one.confidence for name, one in found.classes.items() if one.confidence}
        of_what = f"split {self.split.name} of {self.split.uri}, model {self.sha256[:12]}"
        head = f"# recall {found.target:g} on {of_what}\n"
        tree: dict[str, Any] = {"confidence": scores}
        if self.inference.image_size_px is not None:
            tree["image_size_px"] = self.inference.image_size_px
        if self.inference.slices is not None:
            tree["slices"] = self.inference.slices.model_dump(mode="json")
        return head + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def model_facts(file: str, sha256: str, card: ModelCard, unknown_to_data: Sequence[str]) -> dict[str, Any]:
    """What an evaluation says of its model, for JSON."""
    facts = {name: getattr(card, name) for name in ("task", "variant", "activation", "image_size_px")}
    return {"file": file, "sha256": sha256, **facts, "classes_of_model_alone": list(unknown_to_data)}


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
    model = open_model(model_uri)
    images = open_objects(data_uri, split, cache_dir)
    unknown = tuple(name for name in model.card.classes if name not in images.names)
    images = images.of_classes(model.card.classes, whose=model_uri)
    results = find(model, images, inference, counter(on_progress, "evaluate", "images"))
    return Evaluation(
        model=model_uri,
        sha256=model.sha256,
        card=model.card,
        split=images,
        unknown_to_data=unknown,
        measured={
            kind: measure(results, images.names, kind, frozen_confidence(model.card, kind), recall_target, resamples)
            for kind in kinds_of([model.card], images)
        },
        results=tuple(results),
        notes=notes_on([model.card], images, unknown, inference),
        inference=inference,
    )


def find(
    model: Model,
    split: Split,
    inference: Inference = INFERENCE,
    on_image: OnCount | None = None,
) -> list[ImageResult]:
    """What a model finds in the images, beside their truth; by key.

    Args:
        model: the model.
        split: the images.
        inference: how models are run.
        on_image: called with (images done, images in all).

    Raises:
        ConfigError: there is no such device.
        DatasetError: an image cannot be decoded.
    """
    detector = _detector(model, inference)
    size = inference.image_size_px or model.card.image_size_px
    results = predict(
        detector, split.root, split.images, split.names, image_size_px=size, batch=inference.batch,
        slices=inference.slices,
    )  # fmt: skip
    return sorted(counted(results, len(split.images), on_image), key=lambda result: result.key)


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
    with_masks = split.task != "detect" and all(card.task == "segment" for card in cards)
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
        *notes_on_classes(split, unknown_to_data),
        *_notes_on_tasks(cards, split),
        *notes_on_inference(inference),
    )


def _notes_on_tasks(cards: Sequence[ModelCard], split: Split) -> list[str]:
    """Why masks are not scored, where there are some."""
    tasks = {card.task for card in cards}
    if split.task != "detect" and "detect" in tasks:
        return ["a model is for task detect and draws no masks, so boxes alone are scored"]
    if split.task == "detect" and "segment" in tasks:
        return ["the dataset is of boxes, so the models' masks are not scored"]
    return []


def notes_on_classes(split: Split, unknown_to_data: Sequence[str]) -> list[str]:
    """Which classes are not scored."""
    notes = []
    if split.left_out:
        notes.append(f"not scored, as the dataset alone has them: {', '.join(split.left_out)}")
    if unknown_to_data:
        notes.append(f"not scored, as no label has them: {', '.join(unknown_to_data)}")
    return notes


def notes_on_inference(inference: Inference) -> list[str]:
    """How images were seen, where that is not as whole ones in the model's own size."""
    notes = []
    if inference.image_size_px is not None:
        notes.append(f"images were seen with a longer side of {inference.image_size_px} px")
    if inference.slices is not None:
        settings = ", ".join(f"{name} {value}" for name, value in inference.slices.model_dump(mode="json").items())
        notes.append(f"each image was seen in slices besides the whole: {settings}")
    return notes


def most_confident(results: Sequence[ImageResult], confidence: float) -> tuple[ImageResult, ...]:
    """The results with only those detections whose score is at least the confidence, for pictures."""
    return tuple(replace(result, found=_at_least(result.found, confidence)) for result in results)


def _detector(model: Model, how: Inference) -> Detector:
    return on_device(lambda: measuring_detector(model, precision=how.precision, device=how.device), how)


def on_device(make: Callable[[], T], how: Inference) -> T:
    """What `make` gives, on the device that the user asked for.

    Raises:
        ConfigError: there is no such device.
    """
    try:
        return make()
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
