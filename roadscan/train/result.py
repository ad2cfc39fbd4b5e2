"""The results of a run: the model file with its card, what it finds in val and test, pictures, and a summary."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from roadscan import __version__
from roadscan.dataset.records import Dataset, Task
from roadscan.evaluate.detection.evaluation import most_confident
from roadscan.evaluate.detection.found import found_bytes
from roadscan.evaluate.detection.matching import Matches, match
from roadscan.evaluate.detection.overlap import Kind
from roadscan.evaluate.detection.predict import measuring_detector, predict
from roadscan.evaluate.detection.results import ImageResult
from roadscan.evaluate.detection.scores import Scores, score
from roadscan.evaluate.detection.thresholds import calibration, thresholds_for_recall
from roadscan.evaluate.jsonable import jsonable
from roadscan.evaluate.semantic.scores import METRICS as PIXEL_METRICS
from roadscan.model.bundle import Bundle, ModelCard, StateDict, pack
from roadscan.model.calibration import calibration_from_dataset
from roadscan.model.device import device_name
from roadscan.storage import Store, read_record, sha256_hex
from roadscan.train.config import TrainConfig
from roadscan.train.pixel_result import write_pixel_result
from roadscan.train.state import State

MODEL = "model.zip"
SUMMARY = "summary.json"
COLUMNS = ("map50", "map50_95", "precision", "recall", "f1", "confidence")
KINDS: dict[Task, tuple[Kind, ...]] = {"detect": ("box",), "segment": ("box", "mask")}
RECALL = 0.9  # for which the card says the confidence of each class


@dataclass(frozen=True)
class TrainSummary:
    """What a run came to.

    Attributes:
        run: address of its folder.
        epochs: done; `best_epoch` is the one whose weights are the model.
        model_sha256: of the model file.
        metrics: by split, of the model file itself in float32: `COLUMNS`, or those of pixels.
        device: that the first worker computed on, such as ``cuda: NVIDIA L4``; empty in older summaries.
        backend: nccl or gloo.
    """

    run: str
    epochs: int
    best_epoch: int
    model_sha256: str
    metrics: dict[str, dict[str, float]]
    device: str = ""
    backend: str = ""

    @staticmethod
    def read(store: Store) -> TrainSummary:
        """A run's folder -> its summary."""
        return read_record(store, SUMMARY, TrainSummary)


def found_name(split: str) -> str:
    """A split -> the name of the file with what the finished model finds there."""
    return f"{split}-found.parquet"


def write_result(
    state: State, dataset: Dataset, config: TrainConfig, origin: str, store: Store, device: torch.device
) -> TrainSummary:
    """A finished run's state -> its summary; measures the best weights as they will be used, and writes all results.

    Args:
        state: of the finished run.
        dataset: staged; splits val and, where there is one, test are measured.
        config: of the run.
        origin: of its first weights, in words.
        store: the run's folder.
        device: to measure on.
    """
    from roadscan.report.training import curves  # matplotlib, which a run needs at its end, and in one process

    weights: StateDict = {n: t.half().float() if t.is_floating_point() else t for n, t in state.best.items()}
    card = _card(state, dataset, config, origin)
    metrics: dict[str, Any] = {}
    for split in ("val", "test"):
        if not dataset.splits.get(split):
            continue
        if dataset.task == "semantic":
            metrics[split] = write_pixel_result(Bundle(card, weights, ""), dataset, split, store, device)
            continue
        found = _predictions(Bundle(card, weights, ""), dataset, split, device)
        store.write(found_name(split), found_bytes(found, dataset.names, state.identity["dataset"]))
        for kind in KINDS[dataset.task]:
            matches = match(found, dataset.names, kind=kind)
            scores = score(found, dataset.names, kind=kind, matches=matches)
            name = split if kind == "box" else f"{split} masks"
            metrics[name] = _metrics(scores)
            if split == "val":
                metrics[name] |= _operating_points(matches)
            _draw(scores, found, dataset, store, name.replace(" ", "-"), kind)
    store.write("curves.png", curves(state.history))
    calibration = calibration_from_dataset(dataset, "val", config.image_size_px)
    data = pack(card.model_copy(update={"metrics": metrics}), weights, calibration)
    names = PIXEL_METRICS if dataset.task == "semantic" else COLUMNS
    columns = {split: {name: one[name] for name in names} for split, one in metrics.items()}
    backend = dist.get_backend() if dist.is_initialized() else ""
    facts = (sha256_hex(data), columns, device_name(str(device)), backend)
    summary = TrainSummary(store.uri, state.epoch, state.best_epoch, *facts)
    store.write(MODEL, data)
    store.write(SUMMARY, json.dumps(jsonable(asdict(summary)), indent=1, allow_nan=False).encode())
    return summary


def _draw(scores: Scores, found: list[ImageResult], dataset: Dataset, store: Store, name: str, kind: Kind) -> None:
    """Write the pictures: precision against recall, the confusion matrix, some images with truth and detections."""
    from roadscan.report.predictions import samples
    from roadscan.report.training import confusion, precision_recall

    store.write(f"{name}-precision-recall.png", precision_recall(scores))
    store.write(f"{name}-confusion.png", confusion(scores))
    kept = most_confident(found, scores.confidence)
    store.write(f"{name}-samples.png", samples(dataset.root, {"detected": kept}, dataset.names, kind=kind))


def _card(state: State, dataset: Dataset, config: TrainConfig, origin: str) -> ModelCard:
    images = ", ".join(f"{len(images)} {split}" for split, images in dataset.splits.items())
    return ModelCard(
        task=dataset.task,
        variant=config.variant,
        activation=config.activation,
        classes=dataset.names,
        image_size_px=config.image_size_px,
        initialised_from=origin,
        trained_on=f"{config.trained_on or config.data}; images: {images}; digest {state.identity['dataset'][:16]}",
        training={**state.identity, "best_epoch": state.best_epoch, "epochs_done": state.epoch},
        limits=config.limits,
        code_version=__version__,
    )


def _predictions(bundle: Bundle, dataset: Dataset, split: str, device: torch.device) -> list[ImageResult]:
    detector = measuring_detector(bundle, device=str(device))
    size = bundle.card.image_size_px
    found = predict(detector, Path(dataset.root), dataset.splits[split], dataset.names, image_size_px=size)
    return sorted(found, key=lambda result: result.key)


def _metrics(scores: Scores) -> dict[str, Any]:
    """The published columns, and each class; rounded, for the card."""
    values = (scores.map50, scores.map50_95, scores.precision, scores.recall, scores.f1_of_means, scores.confidence)
    return {
        "images": scores.images,
        "instances": scores.instances,
        **{name: round(float(value), 4) for name, value in zip(COLUMNS, values, strict=True)},
        "per_class": {
            one.name: {"ap50": round(one.ap50, 4), "ap50_95": round(one.ap50_95, 4), "instances": one.instances}
            for one in scores.classes
            if one.instances
        },
    }


def _operating_points(matches: Matches) -> dict[str, Any]:
    """Matches -> what a user chooses a confidence by: confidences for a recall, and the scores' calibration error."""
    thresholds = thresholds_for_recall(matches, RECALL)
    return {
        f"confidence_for_recall_{RECALL:g}": {
            name: one.confidence for name, one in {"all": thresholds.overall, **thresholds.classes}.items()
        },
        "calibration_error": round(calibration(matches).error, 4),
    }
