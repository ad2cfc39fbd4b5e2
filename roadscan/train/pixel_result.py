"""What a finished semantic model comes to on a split: scores for its card, and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from roadscan.dataset.records import Dataset
from roadscan.evaluate.jsonable import jsonable
from roadscan.evaluate.semantic.predict import label_maps, results_of
from roadscan.evaluate.semantic.scores import METRICS, PixelScores, score
from roadscan.model.bundle import Bundle
from roadscan.model.segmenter import Segmenter
from roadscan.storage import Store


def write_pixel_result(
    bundle: Bundle, dataset: Dataset, split: str, store: Store, device: torch.device
) -> dict[str, Any]:
    """Measure a model on a split and write the pictures -> the scores as its card has them.

    Args:
        bundle: the model.
        dataset: staged.
        split: of it, with images.
        store: the run's folder.
        device: to measure on.
    """
    from roadscan.report.pixels import choose_images, samples  # matplotlib, as in `write_result`
    from roadscan.report.training import pixel_confusion

    root, images, size = Path(dataset.root), dataset.splits[split], bundle.card.image_size_px
    segmenter = Segmenter(bundle, device=str(device))
    found = label_maps(segmenter, root, images, dataset.names, image_size_px=size)
    results = sorted(results_of(found, dataset.names), key=lambda result: result.key)
    scores = score(results, dataset.names)
    keys = choose_images(results)
    shown = label_maps(segmenter, root, [one for one in images if one.key in keys], dataset.names, image_size_px=size)
    store.write(f"{split}-confusion.png", pixel_confusion(scores.confusion, dataset.names))
    store.write(f"{split}-samples.png", samples(root, {"found": [*shown]}, dataset.names))
    return _metrics(scores)


def _metrics(scores: PixelScores) -> dict[str, Any]:
    """Rounded, for the card; without classes that have no truth."""
    metrics: dict[str, Any] = jsonable(
        {
            "images": scores.images,
            "pixels": scores.pixels,
            **{name: round(getattr(scores, name), 4) for name in METRICS},
            "per_class": {
                one.name: {"iou": round(one.iou, 4), "boundary_f1": round(one.boundary_f1, 4), "pixels": one.pixels}
                for one in scores.classes
                if one.pixels
            },
        }
    )
    return metrics
