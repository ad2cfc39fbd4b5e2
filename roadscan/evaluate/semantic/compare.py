"""Several semantic models on the same images: the scores of each, and how sure a difference is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadscan import __version__
from roadscan.errors import ConfigError
from roadscan.evaluate.bootstrap import RESAMPLES
from roadscan.evaluate.detection.compare import (
    Candidate,
    Row,
    files_dict,
    of_all_files,
    read_cards,
    row_dict,
    rows_of,
    unknown_to,
)
from roadscan.evaluate.detection.evaluation import INFERENCE, Inference
from roadscan.evaluate.detection.split import CACHE_DIR, Split
from roadscan.evaluate.semantic.bootstrap import Run, intervals, paired_deltas
from roadscan.evaluate.semantic.evaluation import find, notes_on, open_pixels
from roadscan.model.bundle import ModelCard, load
from roadscan.progress import OnProgress, silent


@dataclass(frozen=True)
class PixelComparison:
    """Several semantic models on one split of a dataset.

    Attributes:
        candidates: the first is the baseline.
        sha256: of the model files, by address.
        cards: likewise.
        split: the images, with the classes that were scored.
        rows: in the order of the candidates.
        runs: results of each candidate's first run, by its name.
        notes: what a reader should know, a sentence each.
        inference: how models were run.
    """

    candidates: tuple[Candidate, ...]
    sha256: dict[str, str]
    cards: dict[str, ModelCard]
    split: Split
    rows: tuple[Row, ...]
    runs: dict[str, Run]
    notes: tuple[str, ...]
    inference: Inference = INFERENCE

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the results."""
        return {
            **self.split.to_dict(),
            "baseline": self.candidates[0].name,
            "models": files_dict(self.candidates, self.sha256),
            "notes": list(self.notes),
            "pixels": {row.name: row_dict(row) for row in self.rows},
            "code_version": __version__,
        }


def compare(
    candidates: Sequence[Candidate],
    data_uri: str,
    *,
    split: str = "test",
    resamples: int = RESAMPLES,
    cache_dir: Path = CACHE_DIR,
    inference: Inference = INFERENCE,
    on_progress: OnProgress = silent,
) -> PixelComparison:
    """Score semantic models on the same split of a labelled dataset, of the classes that all of them have.

    Args:
        candidates: from `read_candidates`; the first is the baseline.
        data_uri: the dataset, a folder or ``s3://`` address.
        split: where there is no test split, val is taken, and a note says so.
        resamples: of the drives.
        cache_dir: where datasets from object storage are kept.
        inference: how models are run.
        on_progress: called after each image, over all model files.

    Raises:
        ConfigError: a model is of another task, the runs of a candidate are not of one network, or are the same file.
        DatasetError: the dataset cannot be read, is of boxes, or has no image in the split.
        ModelError: a model cannot be read, or has no class in common with the dataset.
    """
    cards, digests = read_cards(candidates)
    others = [f"{file} ({card.task})" for file, card in cards.items() if card.task != "semantic"]
    if others:
        raise ConfigError(f"models: {others[0]} gives objects, and others the classes of pixels; compare models of one")
    images = open_pixels(data_uri, split, cache_dir)
    unknown = unknown_to(cards.values(), images.names)
    for file, card in cards.items():
        images = images.of_classes(card.classes, whose=file)
    runs: dict[str, list[Run]] = {one.name: [] for one in candidates}
    for number, (name, file) in enumerate((one.name, file) for one in candidates for file in one.files):
        counted = of_all_files(on_progress, number, len(cards))
        runs[name].append(find(load(file), images, inference, counted))
    rows = rows_of(
        runs,
        lambda own: intervals(own, images.names, resamples=resamples),
        lambda baseline, own: paired_deltas(baseline, own, images.names, resamples=resamples),
    )
    first = {name: own[0] for name, own in runs.items()}
    notes = notes_on(images, unknown, inference)
    return PixelComparison(tuple(candidates), digests, cards, images, rows, first, notes, inference)
