from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scenes import Recipe, image, make_scenes, public_average_precision

from roadscan.evaluate.detection import match
from roadscan.evaluate.detection.average_precision import average_precision, mean_over_classes, precision_at_recall
from roadscan.evaluate.detection.matching import AREA_RANGES

NAMES = list("abcd")
RECIPES = {
    "ties": Recipe(),
    "no ties": Recipe(levels=None),
    "two scores": Recipe(levels=1),
    "crowded": Recipe(crowded=True, jitter=0.1),
    "a class without truth": Recipe(absent=1),
    "more than 100 detections of a class": Recipe(images=4, classes=2, false=500),
    "empty images": Recipe(images=20, truths=1, false=1),
}


def by_area(results, kind="box", classes=NAMES):
    matches = match(results, classes, kind=kind)
    return np.stack([average_precision(matches, among=area) for area in AREA_RANGES])


@pytest.mark.parametrize("faster", [False, True], ids=["pycocotools", "faster-coco-eval"])
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_boxes_agree_with_the_public_evaluations(recipe, faster):
    for seed in range(3):
        results = make_scenes(seed, recipe)
        expected = public_average_precision(results, 4, faster=faster)
        np.testing.assert_allclose(by_area(results), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("faster", [False, True], ids=["pycocotools", "faster-coco-eval"])
@pytest.mark.parametrize("recipe", [Recipe(12, masks=True), Recipe(8, masks=True, crowded=True, absent=2)])
def test_masks_agree_with_the_public_evaluations(recipe, faster):
    results = make_scenes(5, recipe)
    expected = public_average_precision(results, 4, kind="mask", faster=faster)
    np.testing.assert_allclose(by_area(results, "mask"), expected, rtol=0, atol=1e-12)


def test_scenes_are_hard_enough_to_compare_with():
    results = make_scenes(0, RECIPES["more than 100 detections of a class"])
    assert match(results, NAMES).ranks.max() > 150
    at_50 = by_area(make_scenes(0))[:3, :, 0]  # of the large ones there are but a few
    assert ((at_50 > 0.1) & (at_50 < 0.9)).all(), at_50
    assert np.isnan(by_area(make_scenes(0, RECIPES["a class without truth"]))[:, 1]).all()


def test_by_hand():
    # Two truths; found are a right one, a wrong one and the other right one: precision 1 up to recall .5 (recalls 0 to
    # .50 are 51), then 2/3 (50 of them): (51 + 50 * 2/3) / 101.
    boxes = [[0, 0, 50, 50], [100, 0, 150, 50]]
    found = ([boxes[0], [0, 100, 50, 150], boxes[1]], [0, 0, 0], [0.9, 0.8, 0.7])
    matches = match([image((boxes, [0, 0]), found)], ["a"])
    assert average_precision(matches)[0] == pytest.approx(np.full(10, (51 + 50 * 2 / 3) / 101))
    assert precision_at_recall(matches)[0] == pytest.approx([1.0] * 51 + [2 / 3] * 50)


def test_nothing_found_is_0_and_nothing_there_is_not_a_number():
    matches = match([image(([[0, 0, 9, 9]], [0]), ([[0, 0, 9, 9]], [1], [0.5]))], ["a", "b"])
    precision = average_precision(matches)
    assert precision[0].tolist() == [0.0] * 10
    assert np.isnan(precision[1]).all()
    assert np.isnan(precision_at_recall(matches)[1]).all()
    assert mean_over_classes(precision, axis=0).tolist() == [0.0] * 10
    assert np.isnan(mean_over_classes(np.full(3, np.nan)))


@given(st.integers(0, 10**6))
@settings(max_examples=15)
def test_what_is_all_right_has_1(seed):
    results = [
        replace(result, found=replace(result.truth, scores=np.ones(len(result.truth.classes), np.float32) / 2))
        for result in make_scenes(seed, Recipe(8))
    ]
    precision = average_precision(match(results, NAMES))
    assert np.nanmin(precision, initial=1) == pytest.approx(1.0, abs=1e-15)


@given(st.integers(0, 10**6))
@settings(max_examples=15)
def test_only_the_order_of_scores_matters(seed):
    results = make_scenes(seed, Recipe(8))
    bent = [replace(r, found=replace(r.found, scores=r.found.scores**3 / 4)) for r in results]
    np.testing.assert_array_equal(*(average_precision(match(part, NAMES)) for part in (results, bent)))


@given(st.integers(0, 10**6))
@settings(max_examples=15)
def test_wrong_detections_of_the_lowest_score_change_nothing(seed):
    results = make_scenes(seed, Recipe(8, false=3))
    far = np.float32([[9000, 9000, 9010, 9010]])
    more = [
        replace(
            r,
            found=replace(
                r.found,
                boxes_xyxy=np.concatenate([r.found.boxes_xyxy, far]),
                classes=np.append(r.found.classes, 0),
                scores=np.append(r.found.scores, np.float32(-1)),
            ),
        )
        for r in results
    ]
    np.testing.assert_array_equal(*(average_precision(match(part, NAMES)) for part in (results, more)))


@given(st.integers(0, 10**6), st.integers(1, 5))
@settings(max_examples=25)
def test_weights_are_repetitions(seed, rows):
    rng = np.random.default_rng(seed)
    # Equal scores in different images, not in one: of two there, copies come in turn, and which is first then matters.
    results = [
        replace(r, found=replace(r.found, scores=np.float32(rng.permutation(64)[: len(r.found.classes)] / 64)))
        for r in make_scenes(seed, Recipe(8, absent=1))
    ]
    weights = rng.integers(0, 4, (rows, 8))
    matches = match(results, NAMES)
    for area in AREA_RANGES:
        weighted = average_precision(matches, weights=weights, among=area)
        for row, values in zip(weights, weighted, strict=True):
            copies = [replace(r, key=f"{r.key}-{i}") for r, n in zip(results, row, strict=True) for i in range(n)]
            repeated = average_precision(match(copies, NAMES), among=area)
            np.testing.assert_allclose(values, repeated, rtol=0, atol=1e-12)


def test_a_curve_is_what_average_precision_is_the_mean_of():
    matches = match(make_scenes(4, Recipe(absent=3)), NAMES)
    np.testing.assert_allclose(precision_at_recall(matches).mean(axis=1), average_precision(matches)[:, 0], atol=1e-15)
