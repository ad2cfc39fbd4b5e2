"""Several models on the same images: the published columns of each, and how sure a difference is.

A candidate is one model, trained once or several times with other seeds. Its scores are means over these runs. Two
kinds of chance are told apart: which drives are in the data (intervals), and the seed of the training (± between runs).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from roadscan import __version__
from roadscan.errors import ConfigError
from roadscan.evaluate.bootstrap import RESAMPLES, Deltas, Intervals
from roadscan.evaluate.detection.bootstrap import intervals, paired_deltas
from roadscan.evaluate.detection.evaluation import (
    INFERENCE,
    NAMES_OF_KINDS,
    Inference,
    find,
    kinds_of,
    most_confident,
    notes_on,
)
from roadscan.evaluate.detection.matching import Matches, match
from roadscan.evaluate.detection.operating_point import best_point
from roadscan.evaluate.detection.overlap import Kind
from roadscan.evaluate.detection.results import ImageResult
from roadscan.evaluate.detection.split import CACHE_DIR, Split, open_objects
from roadscan.model.bundle import ModelCard
from roadscan.model.exported import open_model
from roadscan.progress import OnCount, OnProgress, counter, silent

R = TypeVar("R")  # all runs of one model


@dataclass(frozen=True)
class Candidate:
    """A model to compare: its name, and the files of its runs, which differ in the seed alone."""

    name: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A candidate's scores of one kind.

    Attributes:
        name: of the candidate.
        intervals: its scores, means over its runs.
        deltas: to the baseline, on the same resamples; None for the baseline itself.
    """

    name: str
    intervals: Intervals
    deltas: Deltas | None


@dataclass(frozen=True)
class Comparison:
    """Several models on one split of a dataset.

    Attributes:
        candidates: the first is the baseline.
        sha256: of the model files, by address.
        cards: likewise.
        split: the images, with the classes that were scored.
        rows: by kind: ``box``, and ``mask`` where all have masks; in the order of the candidates.
        results: truth and most confident detections of each candidate's first run, by its name, for pictures.
        notes: what a reader should know, a sentence each.
    """

    candidates: tuple[Candidate, ...]
    sha256: dict[str, str]
    cards: dict[str, ModelCard]
    split: Split
    rows: dict[Kind, tuple[Row, ...]]
    results: dict[str, tuple[ImageResult, ...]]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON, without the results."""
        return {
            **self.split.to_dict(),
            "baseline": self.candidates[0].name,
            "models": files_dict(self.candidates, self.sha256),
            "notes": list(self.notes),
            **{NAMES_OF_KINDS[kind]: {row.name: row_dict(row) for row in rows} for kind, rows in self.rows.items()},
            "code_version": __version__,
        }


def read_candidates(arguments: Sequence[str]) -> tuple[Candidate, ...]:
    """Candidates as they are written on the command line.

    Args:
        arguments: ``NAME=a.zip,b.zip`` each, where the files are runs of one model, or a file, whose stem is the name.

    Raises:
        ConfigError: there are fewer than two, a name or file is empty or is there twice.

    >>> read_candidates(["bce=a.zip,b.zip", "s3://models/day=7/gfl.zip"])[1]
    Candidate(name='gfl', files=('s3://models/day=7/gfl.zip',))
    """
    candidates = []
    for argument in arguments:
        before, equals, after = argument.partition("=")
        named = bool(equals) and "/" not in before  # else it is the "=" of a path
        name, files = (before, tuple(after.split(","))) if named else (PurePosixPath(argument).stem, (argument,))
        if not name or not all(files):
            raise ConfigError(f"model {argument!r}: expected NAME=FILE, NAME=FILE,FILE… or a file")
        candidates.append(Candidate(name, files))
    if len(candidates) < 2:
        raise ConfigError(f"models: got {len(candidates)}; expected at least two to compare")
    for what, values in (
        ("name", [one.name for one in candidates]),
        ("file", [file for one in candidates for file in one.files]),
    ):
        twice = [value for value, number in Counter(values).items() if number > 1]
        if twice:
            raise ConfigError(
                f"models: {what} {twice[0]!r} is there twice; write NAME=FILE with names and files of its own"
            )
    return tuple(candidates)


def compare(
    candidates: Sequence[Candidate],
    data_uri: str,
    *,
    split: str = "test",
    resamples: int = RESAMPLES,
    cache_dir: Path = CACHE_DIR,
    inference: Inference = INFERENCE,
    on_progress: OnProgress = silent,
) -> Comparison:
    """Score models on the same split of a labelled dataset.

    Classes that all models and the dataset have are scored; masks, if all of them have masks.

    Args:
        candidates: from `read_candidates`; the first is the baseline.
        data_uri: the dataset, a folder or ``s3://`` address.
        split: where there is no test split, val is taken, and a note says so.
        resamples: of the drives, for the intervals.
        cache_dir: where datasets from object storage are kept.
        inference: how models are run.
        on_progress: called after each image, over all model files.

    Raises:
        ConfigError: the runs of a candidate are not of one network, or are the same file.
        DatasetError: the dataset cannot be read, or has no image in the split.
        ModelError: a model cannot be read, or has no class in common with the dataset.
    """
    cards, digests = read_cards(candidates)
    images = open_objects(data_uri, split, cache_dir)
    unknown = unknown_to(cards.values(), images.names)
    for file, card in cards.items():
        images = images.of_classes(card.classes, whose=file)
    kinds = kinds_of([*cards.values()], images)
    matches: dict[Kind, dict[str, list[Matches]]] = {kind: {one.name: [] for one in candidates} for kind in kinds}
    shown: dict[str, tuple[ImageResult, ...]] = {}
    for number, (name, file) in enumerate((one.name, file) for one in candidates for file in one.files):
        results = find(open_model(file), images, inference, of_all_files(on_progress, number, len(cards)))
        for kind in kinds:
            matches[kind][name].append(match(results, images.names, kind=kind))
        if name not in shown:
            shown[name] = most_confident(results, float(best_point(matches[kinds[0]][name][0]).confidence[0]))
    return Comparison(
        candidates=tuple(candidates),
        sha256=digests,
        cards=cards,
        split=images,
        rows={kind: compare_matches(matches[kind], resamples=resamples) for kind in kinds},
        results=shown,
        notes=notes_on([*cards.values()], images, unknown, inference),
    )


def compare_matches(runs: Mapping[str, Sequence[Matches]], *, resamples: int = RESAMPLES) -> tuple[Row, ...]:
    """Score models whose detections are matched already.

    Args:
        runs: by the model's name, one `Matches` a training run, all on the same images; the first is the baseline.
        resamples: of the drives.

    Raises:
        ConfigError: the runs are of different images, truth, drives, classes or kinds.
    """
    return rows_of(
        runs,
        lambda own: intervals(own, resamples=resamples),
        lambda baseline, own: paired_deltas(baseline, own, resamples=resamples),
    )


def rows_of(
    runs: Mapping[str, R], scored: Callable[[R], Intervals], compared: Callable[[R, R], Deltas]
) -> tuple[Row, ...]:
    """Runs by the model's name, the baseline's first -> the row of each.

    Args:
        runs: all runs of each model.
        scored: the scores of a model's runs.
        compared: the differences of a baseline's runs and a model's.
    """
    baseline = next(iter(runs))
    return tuple(
        Row(name, scored(own), None if name == baseline else compared(runs[baseline], own))
        for name, own in runs.items()
    )


def read_cards(candidates: Sequence[Candidate]) -> tuple[dict[str, ModelCard], dict[str, str]]:
    """Cards and digests of all files, so that what is wrong with one is said before hours of inference."""
    cards: dict[str, ModelCard] = {}
    digests: dict[str, str] = {}
    for one in candidates:
        for file in one.files:
            model = open_model(file)
            cards[file], digests[file] = model.card, model.sha256
        first = one.files[0]
        for other in one.files[1:]:
            for field in ("task", "variant", "activation", "classes", "image_size_px"):
                got, expected = getattr(cards[other], field), getattr(cards[first], field)
                if got != expected:
                    raise ConfigError(
                        f"model {one.name}: {other} has {field} {got}, {first} has {expected}; files after one name "
                        "must differ in their seed alone; give the other model a name of its own"
                    )
        if len({digests[file] for file in one.files}) < len(one.files):
            raise ConfigError(f"model {one.name}: two of its files are the same model; expected runs of other seeds")
    return cards, digests


def unknown_to(cards: Collection[ModelCard], names: Collection[str]) -> list[str]:
    """Classes that some model has and the dataset has not."""
    return [name for name in dict.fromkeys(n for card in cards for n in card.classes) if name not in names]


def of_all_files(on_progress: OnProgress, number: int, files: int) -> OnCount:
    """A callback for the counts of one of several files, each with as many images."""
    count = counter(on_progress, "compare", "images")
    return lambda done, total: count(number * total + done, files * total)


def files_dict(candidates: Sequence[Candidate], sha256: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
    """The files of each candidate, for JSON."""
    return {one.name: [{"file": file, "sha256": sha256[file]} for file in one.files] for one in candidates}


def row_dict(row: Row) -> dict[str, Any]:
    """A candidate's scores, for JSON."""
    return {**row.intervals.to_dict(), "to_baseline": row.deltas.to_dict() if row.deltas else None}
