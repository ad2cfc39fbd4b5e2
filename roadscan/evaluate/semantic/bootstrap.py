"""How far a semantic model's scores would move on other drives; `evaluate.detection.bootstrap` says how it is done."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats
from roadscan.dataset.label_maps import BACKGROUND
from roadscan.errors import ConfigError
from roadscan.evaluate.bootstrap import LEVEL, RESAMPLES, Deltas, Intervals, deltas_of, draws, intervals_of
from roadscan.evaluate.semantic.results import PixelResult
from roadscan.evaluate.semantic.scores import METRICS, class_scores, main_scores, stacked

AT_ONCE = 256  # resamples: of 66 classes 9 MB

Run = Sequence[PixelResult]


def intervals(runs: Sequence[Run], names: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0) -> Intervals:
    """Confidence intervals of a model's scores, means over its runs: `METRICS`, and intersection over union by class.

    Args:
        runs: of one model, each of all images in the same order.
        names: of the classes; the background is added.
        resamples: of the drives.
        seed: of the draw; the same seed and drives give the same interval.
    """
    found = intervals_of(*resample_scores(runs, resamples, seed))
    return Intervals(
        metrics=dict(zip(METRICS, found[: len(METRICS)], strict=True)),
        classes=dict(zip((*names, BACKGROUND), found[len(METRICS) :], strict=True)),
        level=LEVEL,
        resamples=resamples,
        drives=int(_drives(runs[0]).max()) + 1,
        images=len(runs[0]),
        runs=len(runs),
    )


def paired_deltas(
    baseline: Sequence[Run],
    candidate: Sequence[Run],
    names: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Deltas:
    """Differences of two models, candidate minus baseline, on the same resamples.

    Args:
        baseline: runs of a model, as for `intervals`.
        candidate: runs of another.
        names: of the classes; the background is added.
        resamples: of the drives.
        seed: of the draw.
    """
    n = len(baseline)
    found = deltas_of(*resample_scores([*baseline, *candidate], resamples, seed), n)
    return Deltas(
        metrics=dict(zip(METRICS, found[: len(METRICS)], strict=True)),
        classes=dict(zip((*names, BACKGROUND), found[len(METRICS) :], strict=True)),
        level=LEVEL,
        resamples=resamples,
        drives=int(_drives(baseline[0]).max()) + 1,
        images=len(baseline[0]),
        baseline_runs=n,
        candidate_runs=len(candidate),
    )


def resample_scores(runs: Sequence[Run], resamples: int, seed: int) -> tuple[Floats, Floats]:
    """The scores of every run, (runs, metrics and classes), and those on every resample, (…, resamples).

    Raises:
        ConfigError: the runs are of different images, or in another order.
    """
    if len({tuple(one.key for one in run) for run in runs}) != 1:
        raise ConfigError("runs: of different images; expected the same images in every run, in one order")
    arrays = [stacked(run) for run in runs]
    drives = _drives(runs[0])

    def scores(weights_rn: Floats) -> Floats:
        made = [
            np.concatenate([main_scores(*one, weights_rn), class_scores(*one, weights_rn)[:, : one[0].shape[1]]], 1)
            for one in arrays
        ]
        return np.stack(made).transpose(0, 2, 1)

    values = scores(np.ones((1, len(drives))))[..., 0]
    drawn = [
        scores(counts[:, drives].astype(np.float64))
        for counts in draws(int(drives.max()) + 1, resamples, seed, AT_ONCE)
    ]
    return values, np.concatenate([np.zeros((*values.shape, 0)), *drawn], axis=2)


def _drives(run: Run) -> npt.NDArray[np.int64]:
    """(n,) the number of each image's drive; one without a drive is a drive of its own."""
    names = [(one.drive_id is None, one.drive_id or one.key) for one in run]
    number = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.array([number[name] for name in names], np.int64)
