"""Which class was taken for which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats
from roadscan.evaluate.detection.assignment import assign
from roadscan.evaluate.detection.matching import by_score
from roadscan.evaluate.detection.operating_point import confidences_of
from roadscan.evaluate.detection.overlap import Kind, overlaps
from roadscan.evaluate.detection.results import ImageResult, Objects


def confusion_matrix(
    results: Sequence[ImageResult],
    names: Sequence[str],
    confidence: float | Mapping[str, float],
    *,
    kind: Kind = "box",
    overlap: float = 0.5,
) -> npt.NDArray[np.int64]:
    """Count the pairs of truth and detection, matched by overlap alone, the most confident detection first.

    Unlike for the other scores, a detection may take a truth of another class, and then no other detection can.

    Args:
        results: the images.
        names: of the classes.
        confidence: lowest score that counts, for all classes or for each by name.
        kind: whether boxes or masks are compared.
        overlap: lowest intersection over union of a pair.

    Returns:
        (n + 1, n + 1) counts: rows are true classes, columns found ones. The last row counts what was found where
        nothing is, the last column what was not found.
    """
    background = len(names)
    found = [_kept(by_score(result.found), confidences_of(tuple(names), confidence)) for result in results]
    truth = [result.truth for result in results]
    pairs = [overlaps(ours, theirs, kind) for ours, theirs in zip(found, truth, strict=True)]
    nothing_ignored = [np.zeros((1, len(theirs.classes)), np.bool_) for theirs in truth]
    matrix = np.zeros((background + 1, background + 1), np.int64)
    for ours, theirs, choices in zip(found, truth, assign(pairs, nothing_ignored, np.array([overlap])), strict=True):
        taken = choices[:, 0, 0]
        rows = np.append(theirs.classes, background)[taken]  # -1, none taken, is the background
        np.add.at(matrix, (rows, ours.classes), 1)
        np.add.at(matrix[:, background], np.delete(theirs.classes, taken[taken >= 0]), 1)
    return matrix


def _kept(found: Objects, lowest: Floats) -> Objects:
    """The detections that count."""
    assert found.scores is not None
    kept = np.flatnonzero(found.scores >= lowest.astype(np.float32)[found.classes])
    masks = found.masks and tuple(found.masks[i] for i in kept)
    return Objects(found.boxes_xyxy[kept], found.classes[kept], found.scores[kept], masks)
