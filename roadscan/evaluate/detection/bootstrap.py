"""How far a score would move on other drives: confidence intervals, and differences of two models.

The bootstrap draws drives with replacement, as many as there are; frames of one drive show the same assets and are no
independent sample. A drive that is drawn twice counts twice, as a weight of its images, so nothing is matched again and
nothing is deduplicated. A resample of images that are loaded by key, each once, gives intervals that are some 22% too
narrow (those of a mean by the factor 1/√(e − 1) = 0.76; in a simulation 0.78 for mAP). Every score is made anew under
each weighting, the choice of the one confidence too.

Intervals are percentiles of the resampled scores. In a simulation with large differences between drives, intervals of
level 95% held the true mAP50 in 88% of 200 trials with 8 drives, in 90% with 15 and in 94% with 40; those that resample
frames instead in 66%, 74% and 76%. So say how many drives there were. The intervals hold the chance in the choice of
drives alone: that of training is `Interval.between_runs`. A part of the images or objects (`parts`) that is of one
drive has no interval, since every resample of it is the same.

Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 16; for whole clusters: Field and
Welsh, Bootstrapping clustered data, 2007 (https://doi.org/10.1111/j.1467-9868.2007.00593.x).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats
from roadscan.errors import ConfigError
from roadscan.evaluate.bootstrap import LEVEL, RESAMPLES, Deltas, Intervals, deltas_of, draws, intervals_of
from roadscan.evaluate.detection.average_precision import average_precision, mean_over_classes
from roadscan.evaluate.detection.matching import Matches
from roadscan.evaluate.detection.operating_point import CONFIDENCES, Point, confidence_curves, points_at
from roadscan.evaluate.detection.parts import Part, parts_of

#: The scores that have intervals, beside AP50 of every class.
METRICS = ("map50", "map50_95", "precision", "recall", "f1_of_means", "mean_class_f1")

ScoreT = TypeVar("ScoreT")

CELLS_AT_ONCE = 1 << 20  # resamples times detections of a class (or points of the curves): about 50 MB


def intervals(runs: Sequence[Matches], *, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = 0) -> Intervals:
    """Confidence intervals of one model.

    Args:
        runs: one or more trainings of the model, that differ in their seed alone, on the same images in any order. A
            resample's score is the mean over the runs.
        resamples: at least 1,000 for a report.
        level: share of the resamples inside.
        seed: of the draw; the same seed and drives give the same interval.

    Raises:
        ConfigError: there is no run, or the runs are of different images, truth, drives, classes or kinds.
    """
    found = intervals_of(*resample_scores(runs, resamples, seed), level)
    return Intervals(
        **_by_name(found, runs[0]),
        level=level,
        resamples=resamples,
        drives=_n_drives(runs[0]),
        images=len(runs[0].keys),
        runs=len(runs),
    )


def paired_deltas(
    baseline: Sequence[Matches],
    candidate: Sequence[Matches],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Deltas:
    """Differences of two models, candidate minus baseline, on the same resamples.

    Args:
        baseline: one or more runs of a model.
        candidate: one or more runs of another, all on the same images in any order.
        resamples: at least 1,000 for a report.
        level: share of the resamples inside.
        seed: of the draw.

    Raises:
        ConfigError: a model has no run, or the runs are of different images, truth, drives, classes or kinds.
    """
    if not baseline or not candidate:
        raise ConfigError("runs to compare: a model has none; expected at least one of each")
    n = len(baseline)
    values, drawn = resample_scores([*baseline, *candidate], resamples, seed)
    found = deltas_of(values, drawn, n, level)
    return Deltas(
        **_by_name(found, baseline[0]),
        level=level,
        resamples=resamples,
        drives=_n_drives(baseline[0]),
        images=len(baseline[0].keys),
        baseline_runs=n,
        candidate_runs=len(candidate),
    )


def resample_scores(runs: Sequence[Matches], resamples: int, seed: int) -> tuple[Floats, Floats]:
    """The scores of every run, (runs, metrics and classes, then metrics of parts), and on resamples, (…, resamples)."""
    if not runs:
        raise ConfigError("runs to score: none; expected at least one")
    aligned = [_aligned(run, runs[0]) for run in runs]
    once = np.ones((1, len(runs[0].keys)), np.int32)
    parts = [parts_of(run) for run in aligned]
    values = np.stack([_scores(run, once, of_run)[:, 0] for run, of_run in zip(aligned, parts, strict=True)])
    per_row = max(len(CONFIDENCES), *(np.bincount(run.classes, minlength=1).max() for run in aligned))
    chunks = [
        np.stack([_scores(run, weights, of_run) for run, of_run in zip(aligned, parts, strict=True)])
        for weights in draw_weights(runs[0].drives, resamples, seed, max(1, CELLS_AT_ONCE // int(per_row)))
    ]
    drawn = np.concatenate([np.zeros((*values.shape, 0)), *chunks], axis=2)
    for first, part in zip(count(len(METRICS) + len(runs[0].names), len(METRICS)), parts[0], strict=False):
        if part.drives < 2:
            drawn[:, first : first + len(METRICS)] = np.nan
    return values, drawn


def draw_weights(
    drives: npt.NDArray[np.int64], resamples: int, seed: int, at_once: int
) -> Iterator[npt.NDArray[np.int32]]:
    """How often each image is drawn, (up to at_once, images) at a time; nothing with fewer than 2 drives."""
    for drawn in draws(int(drives.max(initial=-1)) + 1, resamples, seed, at_once):
        yield drawn.astype(np.int32)[:, drives]


def _scores(matches: Matches, weights: npt.NDArray[np.int32], parts: Sequence[Part]) -> Floats:
    """(metrics, classes, and metrics of parts, b)."""
    precision = average_precision(matches, weights=weights)
    curves = confidence_curves(matches, weights=weights)
    point = curves.at(curves.best_confidence())
    rows = [_metrics(precision, point), precision[:, :, 0].T]
    for part in parts:
        own = weights[:, part.images]
        there = points_at(part.matches, point.confidence, weights=own, among=part.among)
        rows.append(_metrics(average_precision(part.matches, weights=own, among=part.among), there))
    return np.concatenate(rows)


def _metrics(precision: Floats, point: Point) -> Floats:
    """(metrics, b) from average precision (b, c, t) and the point at the confidence."""
    return np.stack(
        [
            mean_over_classes(precision[:, :, 0]),
            mean_over_classes(precision.mean(axis=2)),
            point.mean_precision,
            point.mean_recall,
            point.f1_of_means,
            point.mean_class_f1,
        ]
    )


def _by_name(found: Sequence[ScoreT], matches: Matches) -> dict[str, Any]:
    """What was found of each row of `_scores` -> by the names of metrics, classes, conditions and occlusions."""
    rows = iter(found)
    metrics = dict(zip(METRICS, islice(rows, len(METRICS)), strict=True))
    classes = dict(zip(matches.names, islice(rows, len(matches.names)), strict=True))
    parts: dict[str, dict[str, dict[str, ScoreT]]] = {"conditions": {}, "occlusions": {}}
    for part in parts_of(matches):
        parts[f"{part.by}s"][part.name] = dict(zip(METRICS, islice(rows, len(METRICS)), strict=True))
    return {"metrics": metrics, "classes": classes, **parts}


def _aligned(run: Matches, first: Matches) -> Matches:
    """The run with its images in the order of the first one."""
    if (run.kind, run.names, run.ranges) != (first.kind, first.names, first.ranges):
        raise ConfigError(
            f"runs: {run.kind}, {run.names}, {run.ranges} and {first.kind}, {first.names}, {first.ranges}; expected "
            "the same of all"
        )
    place = {key: number for number, key in enumerate(run.keys)}
    if set(place) != set(first.keys):
        other = sorted(set(place) ^ set(first.keys))[0]
        raise ConfigError(f"runs: image {other} is not in all of them; expected the same images in every run")
    if run.keys != first.keys:
        run = run.select(np.array([place[key] for key in first.keys]))
    if not np.array_equal(run.truths, first.truths):
        key = first.keys[int(np.flatnonzero((run.truths != first.truths).any(axis=(1, 2)))[0])]
        raise ConfigError(f"runs: the truth of image {key} differs; expected the same labels in every run")
    if run.conditions != first.conditions:
        key = next(k for k, a, b in zip(run.keys, run.conditions, first.conditions, strict=True) if a != b)
        raise ConfigError(f"runs: the conditions of image {key} differ; expected the same in every run")
    pairs = len(set(zip(run.drives.tolist(), first.drives.tolist(), strict=True)))
    if pairs != _n_drives(run) or pairs != _n_drives(first):
        raise ConfigError(
            "runs: their images are grouped into different drives; expected the same drive_id in every run"
        )
    return run


def _n_drives(matches: Matches) -> int:
    return len(np.unique(matches.drives))
