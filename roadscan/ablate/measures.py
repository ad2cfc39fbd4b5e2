"""What is measured of a run's detections: of all, and by class, size, frequency, condition and occlusion.

Every measure is made anew on every resample of the drives, under the weights of `evaluate.detection.bootstrap`, so that
runs on the same images can be held against each other resample by resample.

Letters in shapes: m measures, b weightings, c classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats
from roadscan.evaluate.detection.average_precision import average_precision, mean_over_classes
from roadscan.evaluate.detection.bootstrap import draw_weights
from roadscan.evaluate.detection.matching import Matches
from roadscan.evaluate.detection.operating_point import best_point
from roadscan.evaluate.detection.parts import Part as TestedPart
from roadscan.evaluate.detection.parts import parts_of

Part: TypeAlias = Literal["all", "class", "size", "frequency", "condition", "occlusion"]
METRICS = ("map50", "map50_95", "precision", "recall", "f1_of_means")
AREAS = ("small", "medium", "large")
HEAD, TAIL = "head", "tail"
RESAMPLES_AT_ONCE = 64  # bounds the memory: about 100 MB with 30,000 detections of a class


@dataclass(frozen=True)
class Measure:
    """One number of a run.

    Attributes:
        part: what of the images and objects it is of.
        of: the class, size, frequency, condition or occlusion; of all, the metric.
    """

    part: Part
    of: str


@dataclass(frozen=True)
class Measured:
    """All measures of one run.

    Attributes:
        measures: which.
        values: (m,) on the images as they are, shares in 0..1; NaN where there is no truth.
        drawn: (m, b) on resamples of the drives; none with fewer than 2 drives.
    """

    measures: tuple[Measure, ...]
    values: Floats
    drawn: Floats


def split_by_frequency(objects: Mapping[str, int], head_share: float) -> dict[str, tuple[str, ...]]:
    """Objects by class -> the head, the fewest classes that hold that share of all objects; and the tail, the others.

    >>> split_by_frequency({"sign": 90, "gate": 6, "bridge": 4}, 0.9)
    {'head': ('sign',), 'tail': ('gate', 'bridge')}
    """
    order = sorted(objects, key=lambda name: -objects[name])
    held = np.cumsum([objects[name] for name in order])
    size = int(np.searchsorted(held, head_share * held[-1] - 1e-9)) + 1 if len(order) else 0
    head = set(order[:size])
    return {HEAD: tuple(n for n in objects if n in head), TAIL: tuple(n for n in objects if n not in head)}


def measures_of(matches: Matches, frequency: Mapping[str, Sequence[str]]) -> tuple[Measure, ...]:
    """A run's matches -> the measures that there are for its images, in the order of `Measured.values`.

    Args:
        matches: of any run on the images.
        frequency: class names of the head and of the tail; left out where one of them is empty.
    """
    return (
        *(Measure("all", metric) for metric in METRICS),
        *(Measure("class", name) for name in matches.names),
        *(Measure("size", area) for area in AREAS),
        *(Measure("frequency", name) for name in _both(frequency)),
        *(Measure(part.by, part.name) for part in parts_of(matches)),
    )


def measure(matches: Matches, frequency: Mapping[str, Sequence[str]], *, resamples: int, seed: int = 0) -> Measured:
    """Matches -> all measures, on the images as they are and on resamples of their drives.

    Of classes, sizes, frequencies, conditions and occlusions it is mAP50-95 (AP50-95 of a class).

    Args:
        matches: of one run.
        frequency: as for `measures_of`.
        resamples: of the drives.
        seed: of the draw; runs on the same images with the same seed have the same resamples.
    """
    once = np.ones((1, len(matches.keys)), np.int32)
    weightings = [once, *draw_weights(matches.drives, resamples, seed, RESAMPLES_AT_ONCE)]
    parts = parts_of(matches)
    together = np.concatenate([_values(matches, parts, frequency, weights) for weights in weightings], axis=1)
    values, drawn = together[:, 0], together[:, 1:]
    of_one_drive = [place - len(parts) for place, part in enumerate(parts) if part.drives < 2]
    drawn[of_one_drive] = np.nan  # of other drives nothing is known
    return Measured(measures_of(matches, frequency), values, drawn)


def _values(
    matches: Matches,
    parts: Sequence[TestedPart],
    frequency: Mapping[str, Sequence[str]],
    weights: npt.NDArray[np.int32],
) -> Floats:
    """(m, b)."""
    precision = average_precision(matches, weights=weights)
    of_class, point = precision.mean(axis=2), best_point(matches, weights=weights)
    rows = [
        mean_over_classes(precision[:, :, 0]),
        mean_over_classes(of_class),
        point.mean_precision,
        point.mean_recall,
        point.f1_of_means,
        *of_class.T,
    ]
    rows += [_map50_95(matches, weights, area) for area in AREAS]
    for names in _both(frequency).values():
        rows.append(mean_over_classes(of_class[:, [matches.names.index(n) for n in names if n in matches.names]]))
    rows += [_map50_95(part.matches, weights[:, part.images], part.among) for part in parts]
    return np.stack(rows)


def _map50_95(matches: Matches, weights: npt.NDArray[np.int32], among: str) -> Floats:
    return mean_over_classes(average_precision(matches, weights=weights, among=among).mean(axis=2))


def _both(frequency: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
    """Head and tail, where there are both."""
    return frequency if all(frequency.values()) else {}
