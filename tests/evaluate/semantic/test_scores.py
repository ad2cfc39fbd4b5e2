"""Scores of pixels, held against Ultralytics' and worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from ultralytics.utils.metrics import SemanticMetrics

from roadscan.dataset.label_maps import VOID_VALUE
from roadscan.evaluate.semantic.bootstrap import intervals, paired_deltas, resample_scores
from roadscan.evaluate.semantic.results import PixelResult, boundary_f1_of, confusion_of
from roadscan.evaluate.semantic.scores import METRICS, score

NAMES = ("sign", "pole", "rail")


def result(key: str, truth: np.ndarray, found: np.ndarray, **origin: str) -> PixelResult:
    c = len(NAMES)
    return PixelResult(key, confusion_of(truth, found, c), boundary_f1_of(truth, found, c), **origin)


def maps(seed: int, *, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """A true map, and one of which two thirds of the pixels are the same."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, (30, 40)).astype(np.uint8)
    found = np.where(rng.random(truth.shape) < 2 / 3, truth, rng.integers(0, 4, truth.shape)).astype(np.uint8)
    truth[:3] = VOID_VALUE
    return truth, found


def test_overlap_and_accuracy_are_those_of_ultralytics() -> None:
    pairs = [maps(seed) for seed in range(3)]
    scores = score([result(str(n), *pair) for n, pair in enumerate(pairs)], NAMES)
    theirs = SemanticMetrics(names=dict(enumerate((*NAMES, "background"))))
    truth, found = (torch.from_numpy(np.stack(part)).int() for part in zip(*pairs, strict=True))
    theirs.update_stats(found, truth)
    theirs.process()
    assert scores.miou_with_background == pytest.approx(theirs.miou, rel=1e-6)
    assert scores.pixel_accuracy == pytest.approx(theirs.pixel_accuracy, rel=1e-6)
    assert scores.miou == pytest.approx(np.mean([one.iou for one in scores.classes[:3]]))


def test_a_class_without_truth_is_in_no_mean_and_one_found_for_it_costs_the_true_one() -> None:
    truth, found = np.zeros((2, 4), np.uint8), np.zeros((2, 4), np.uint8)
    truth[1] = 3
    found[0, :1] = 1
    found[1] = 3
    scores = score([result("a", truth, found)], NAMES)
    assert scores.absent == ("pole", "rail")
    assert [one.iou for one in scores.classes] == pytest.approx([3 / 4, math.nan, math.nan, 1], nan_ok=True)
    assert (scores.miou, scores.miou_with_background) == (pytest.approx(3 / 4), pytest.approx(7 / 8))
    assert (scores.pixels, scores.pixel_accuracy) == (8, pytest.approx(7 / 8))
    sign = scores.classes[0]
    assert (sign.pixels, sign.images, sign.precision, sign.recall) == (4, 1, 1, 0.75)
    assert scores.to_dict()["classes"][1]["iou"] is None


def test_conditions_are_scored_apart() -> None:
    day, night = maps(0), maps(1, classes=2)
    scores = score(
        [result("a", *day, conditions=("day",)), result("b", *night, conditions=("night",)), result("c", *day)], NAMES
    )
    assert scores.by_condition["day"].miou == pytest.approx(score([result("a", *day)], NAMES).miou)
    assert scores.by_condition["night"].images == 1


def test_a_drive_drawn_twice_counts_twice() -> None:
    one, other = result("a", *maps(0), drive_id="x"), result("b", *maps(1), drive_id="y")
    run = [one, other]
    values, drawn = resample_scores([run], 200, 0)
    names = METRICS.index("miou")
    assert values[0, names] == pytest.approx(score(run, NAMES).miou)
    possible = [score(pair, NAMES).miou for pair in ([one, one], run, [other, other])]
    assert {round(value, 9) for value in drawn[0, names]} == {round(value, 9) for value in possible}
    found = intervals([run], NAMES, resamples=200)
    assert (found.drives, found.images, found.runs) == (2, 2, 1)
    assert found.metrics["miou"].low == pytest.approx(min(possible))
    assert found.classes["sign"].value == pytest.approx(score(run, NAMES).classes[0].iou)
    assert set(found.classes) == {*NAMES, "background"}


def test_the_difference_of_a_model_to_itself_is_nothing() -> None:
    run = [result("a", *maps(0), drive_id="x"), result("b", *maps(1), drive_id="y")]
    same = paired_deltas([run], [run], NAMES, resamples=50).metrics["miou"]
    assert (same.value, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    perfect = [result(key, truth, np.where(truth == VOID_VALUE, 0, truth), drive_id=d) for key, (truth, _), d in
               (("a", maps(0), "x"), ("b", maps(1), "y"))]  # fmt: skip
    assert paired_deltas([run], [perfect], NAMES, resamples=50).metrics["miou"].low > 0
