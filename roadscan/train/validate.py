"""Validation of a run's weights, its images shared out over the ranks."""

from __future__ import annotations

import math
from pathlib import Path

from roadscan.dataset.records import Dataset
from roadscan.dataset.shrunk import Shrunk
from roadscan.evaluate.detection.predict import measuring_detector, predict
from roadscan.evaluate.detection.results import ImageResult, Objects
from roadscan.evaluate.detection.scores import score
from roadscan.evaluate.semantic.predict import label_maps, results_of
from roadscan.evaluate.semantic.results import PixelResult
from roadscan.evaluate.semantic.scores import METRICS as PIXEL_METRICS
from roadscan.evaluate.semantic.scores import score as score_pixels
from roadscan.model.backends.engine import Precision
from roadscan.model.bundle import Bundle, ModelCard, StateDict
from roadscan.model.segmenter import Segmenter
from roadscan.train.config import TrainConfig
from roadscan.train.precision import trains_in_bfloat16
from roadscan.train.ranks import Ranks, all_gather, broadcast


def validate(
    weights: StateDict, dataset: Dataset, config: TrainConfig, ranks: Ranks, shrunk: Shrunk, truths: dict[str, Objects]
) -> dict[str, float]:
    """Weights -> their scores on the validation split, the same on every rank.

    Masks are compared on the network's own grid, a quarter of its input, as Ultralytics' validator does: what chooses
    between epochs need not be drawn in eight megapixels. The finished model is measured in the originals' pixels, so
    the masks' figures on its card are others.

    Args:
        weights: of the network, with BatchNorm.
        dataset: staged.
        config: of the run.
        ranks: this process among the others.
        shrunk: small copies of the images.
        truths: what is true in this rank's images, kept from one validation to the next; empty for the first.

    Returns:
        ``map50``, ``map50_95``, ``precision``, ``recall``, ``f1`` of boxes, ``mask_map50`` and ``mask_map50_95`` in
        segmentation, and ``fitness``: mAP50-95 of masks, or else of boxes. Of a semantic dataset, compared in the
        pixels of the network's input, ``miou``, ``miou_with_background``, ``pixel_accuracy``, ``boundary_f1``, and
        ``fitness``: mIoU.
    """
    card = ModelCard(
        task=dataset.task,
        variant=config.variant,
        activation=config.activation,
        classes=dataset.names,
        image_size_px=config.image_size_px,
    )
    bundle, device = Bundle(card, weights, ""), str(ranks.device)
    precision: Precision = "half" if trains_in_bfloat16(config.precision, ranks.device) else "full"
    root, own = Path(dataset.root), dataset.splits["val"][ranks.rank :: ranks.world_size]
    metrics: dict[str, float] | None
    if dataset.task == "semantic":
        maps = label_maps(
            Segmenter(bundle, precision=precision, device=device), root, own, dataset.names,
            image_size_px=config.image_size_px, size="input", shrunk=shrunk, threads=ranks.cpus,
        )  # fmt: skip
        gathered_pixels = [result for part in all_gather(list(results_of(maps, dataset.names))) for result in part]
        metrics = pixel_metrics_of(gathered_pixels, dataset) if ranks.rank == 0 else None
    else:
        found = predict(
            measuring_detector(bundle, precision=precision, device=device), root, own, dataset.names,
            image_size_px=config.image_size_px, mask_size="grid", shrunk=shrunk, truths=truths, threads=ranks.cpus,
        )  # fmt: skip
        gathered = [result for part in all_gather(list(found)) for result in part]
        metrics = metrics_of(gathered, dataset) if ranks.rank == 0 else None
    everywhere: dict[str, float] = broadcast(metrics)
    return everywhere


def metrics_of(results: list[ImageResult], dataset: Dataset) -> dict[str, float]:
    """The scores of all images, to six digits; by name, as `validate` says."""
    results = sorted(results, key=lambda result: result.key)
    boxes = score(results, dataset.names)
    metrics = {
        "map50": boxes.map50,
        "map50_95": boxes.map50_95,
        "precision": boxes.precision,
        "recall": boxes.recall,
        "f1": boxes.f1_of_means,
        "fitness": boxes.map50_95,
    }
    if dataset.task == "segment":
        masks = score(results, dataset.names, kind="mask")
        metrics |= {"mask_map50": masks.map50, "mask_map50_95": masks.map50_95, "fitness": masks.map50_95}
    return {name: round(float(value), 6) for name, value in metrics.items()}


def pixel_metrics_of(results: list[PixelResult], dataset: Dataset) -> dict[str, float]:
    """The scores of all images' pixels, to six digits; by name, as `validate` says."""
    scores = score_pixels(sorted(results, key=lambda result: result.key), dataset.names)
    metrics = {name: round(float(getattr(scores, name)), 6) for name in PIXEL_METRICS}
    return metrics | {"fitness": 0.0 if math.isnan(metrics["miou"]) else metrics["miou"]}
