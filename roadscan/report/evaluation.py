"""The pictures of an evaluation and of a comparison, by file name."""

from __future__ import annotations

from pathlib import Path

from roadscan.evaluate.detection.compare import Comparison
from roadscan.evaluate.detection.evaluation import Evaluation, most_confident
from roadscan.report.predictions import samples
from roadscan.report.training import confusion, precision_recall


def evaluation_pictures(made: Evaluation) -> dict[str, bytes]:
    """Precision against recall, confusion, and images, of boxes and of masks."""
    pictures = {}
    for kind, one in made.measured.items():
        end = ".png" if kind == "box" else "-masks.png"
        shown = {Path(made.model).stem: most_confident(made.results, one.frozen.confidence)}
        pictures["precision-recall" + end] = precision_recall(one.scores)
        pictures["confusion" + end] = confusion(one.scores)
        pictures["samples" + end] = samples(made.split.root, shown, made.split.names, kind=kind)
    return pictures


def comparison_pictures(made: Comparison) -> dict[str, bytes]:
    """The same images with what each model found, of boxes and of masks."""
    return {
        "samples.png" if kind == "box" else "samples-masks.png": samples(
            made.split.root, made.results, made.split.names, kind=kind
        )
        for kind in made.rows
    }
