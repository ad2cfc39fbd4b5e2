from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.scenes import Recipe, image, make_scenes

import roadscan.model.yolo  # noqa: F401 - prepares the environment for ultralytics
from roadscan.errors import ConfigError
from roadscan.evaluate.detection import match, operating_point
from roadscan.evaluate.detection.matching import IOU_THRESHOLDS
from roadscan.evaluate.detection.operating_point import CONFIDENCES, best_point, confidence_curves

NAMES = list("abcd")
BOX = [0, 0, 50, 50]


def ultralytics(results, matches):
    from ultralytics.utils.metrics import ap_per_class

    tp = matches.right[0][:, None] >> np.arange(len(IOU_THRESHOLDS)) & 1
    truth = np.concatenate([r.truth.classes for r in results])
    return ap_per_class(tp.astype(float), matches.scores, matches.classes, truth)


@pytest.mark.parametrize(
    "recipe",
    [Recipe(levels=None), Recipe(levels=None, absent=2), Recipe(6, levels=None), Recipe(60, jitter=0.05, levels=None)],
)
@pytest.mark.parametrize("seed", range(4))
def test_the_published_convention_agrees_with_ultralytics(recipe, seed):
    results = make_scenes(seed, recipe)
    matches = match(results, NAMES)
    _, _, precision, recall, f1, _, classes, p_curve, r_curve, f1_curve, x, _ = ultralytics(results, matches)
    curves, point = confidence_curves(matches), best_point(matches)
    np.testing.assert_array_equal(x, CONFIDENCES)
    np.testing.assert_allclose(curves.precision[0, classes], p_curve, rtol=0, atol=1e-9)
    np.testing.assert_allclose(curves.recall[0, classes], r_curve, rtol=0, atol=1e-9)
    np.testing.assert_allclose(curves.f1[0, classes], f1_curve, rtol=0, atol=1e-9)
    np.testing.assert_allclose(point.precision[0, classes], precision, rtol=0, atol=1e-9)
    np.testing.assert_allclose(point.recall[0, classes], recall, rtol=0, atol=1e-9)
    np.testing.assert_allclose(point.f1[0, classes], f1, rtol=0, atol=1e-9)
    absent = np.setdiff1d(np.arange(4), classes)
    assert np.isnan(point.f1[0, absent]).all()
    assert point.mean_class_f1[0] == pytest.approx(f1.mean(), abs=1e-9)
    p, r = precision.mean(), recall.mean()
    assert point.f1_of_means[0] == pytest.approx(2 * p * r / (p + r), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_with_equal_scores_it_agrees_about(seed):
    # Which of equal scores ultralytics takes first is not defined, and the flat top of F1 may move with it.
    results = make_scenes(seed, Recipe(60, levels=50))
    matches = match(results, NAMES)
    f1 = ultralytics(results, matches)[4]
    assert best_point(matches).mean_class_f1[0] == pytest.approx(f1.mean(), abs=0.01)


def test_the_two_f1_differ():
    # Class a has P 1, R 1, F1 1; class b has one right of four and of two: P 1/4, R 1/2, F1 1/3. Mean P 5/8, R 3/4.
    away = [[200, 200, 250, 250], [300, 300, 350, 350], [400, 400, 450, 450]]
    truth = ([BOX, [60, 0, 110, 50], [60, 60, 110, 110]], [0, 1, 1])
    found = ([BOX, [60, 0, 110, 50], *away], [0, 1, 1, 1, 1], [0.9] * 5)
    point = operating_point(match([image(truth, found)], ["a", "b"]), 0.9)
    assert point.mean_precision == pytest.approx(5 / 8)
    assert point.mean_recall == pytest.approx(3 / 4)
    assert point.f1_of_means == pytest.approx(15 / 22)
    assert point.mean_class_f1 == pytest.approx(2 / 3)
    assert (point.right.tolist(), point.wrong.tolist(), point.missed.tolist()) == ([1, 1], [0, 3], [0, 1])


def test_without_truth_there_is_nothing_to_say():
    matches = match([image(([],), ([BOX], [0], [0.5]))], ["a"])
    point = best_point(matches)
    assert np.isnan([point.mean_precision[0], point.mean_recall[0], point.f1_of_means[0], point.mean_class_f1[0]]).all()
    frozen = operating_point(matches, 0.1)
    assert np.isnan(frozen.mean_precision)
    assert frozen.wrong.tolist() == [1]


def test_nothing_found_is_0():
    matches = match([image(([BOX], [0]), None)], ["a"])
    for point in (best_point(matches), operating_point(matches, 0.5)):
        assert (float(point.mean_precision.item()), point.mean_recall.item(), point.mean_class_f1.item()) == (0, 0, 0)


def test_of_equally_good_confidences_the_lowest_is_taken():
    matches = match([image(([BOX], [0]), ([BOX], [0], [0.9]))], ["a"])
    assert best_point(matches).confidence.tolist() == [0.0]


@pytest.mark.parametrize(("confidence", "kept"), [(0.25, 2), (0.26, 1), (0.75, 1), (0.76, 0)])
def test_a_frozen_confidence_keeps_what_has_at_least_that_score(confidence, kept):
    matches = match([image(([BOX], [0]), ([BOX, BOX], [0, 0], [0.75, 0.25]))], ["a"])
    point = operating_point(matches, confidence)
    assert point.right[0] + point.wrong[0] == kept


def test_each_class_may_have_its_own_confidence():
    results = make_scenes(1, Recipe(levels=None))
    matches = match(results, NAMES)
    own = dict(zip(NAMES, (0.2, 0.4, 0.6, 0.8), strict=True))
    together = operating_point(matches, own)
    for index, name in enumerate(NAMES):
        assert together.f1[index] == operating_point(matches, own[name]).f1[index]
    with pytest.raises(ConfigError, match="none for class 'd'"):
        operating_point(matches, {"a": 0.1, "b": 0.1, "c": 0.1})


def test_weights_of_0_and_1_are_a_choice_of_images_up_to_interpolation():
    results = make_scenes(3, Recipe(120, levels=None))
    matches = match(results, NAMES)
    half = np.arange(120) % 2
    weighted = best_point(matches, weights=half[None])
    chosen = best_point(match([r for r, kept in zip(results, half, strict=True) if kept], NAMES))
    np.testing.assert_allclose(weighted.mean_class_f1, chosen.mean_class_f1, atol=0.01)
    again = best_point(match([replace(r, key=r.key + c) for r in results for c in "ab"], NAMES))
    twice = best_point(matches, weights=np.full((1, 120), 2))
    np.testing.assert_allclose(twice.mean_class_f1, again.mean_class_f1, atol=0.01)
    np.testing.assert_allclose(twice.f1, best_point(matches).f1, rtol=0, atol=1e-12)
