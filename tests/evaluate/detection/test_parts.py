"""Images of a condition and objects of an occlusion, scored by themselves."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from support.scenes import Recipe, image, make_scenes

from roadscan.dataset.occlusion import OCCLUSIONS
from roadscan.errors import ConfigError
from roadscan.evaluate.detection import Objects, intervals, match, paired_deltas, score
from roadscan.evaluate.detection.bootstrap import METRICS
from roadscan.evaluate.detection.operating_point import confidence_curves
from roadscan.evaluate.detection.parts import parts_of

NAMES = list("abcd")
CLEAR, PARTLY, HEAVILY, MARKED = OCCLUSIONS
FAR, NEAR, ELSEWHERE = [0, 0, 10, 10], [100, 100, 180, 180], [200, 10, 240, 50]


def hidden(truth: Objects, *names: str | None) -> Objects:
    return replace(truth, occlusions=names)


def scenes(seed: int = 0, drives: int = 6, **more):
    """Objects are hidden by turns, every third by nobody knows how much."""
    made = make_scenes(seed, Recipe(images=30, drives=drives, levels=None, **more))
    return [
        replace(one, truth=hidden(one.truth, *([CLEAR, HEAVILY, None][i % 3] for i in range(len(one.truth.classes)))))
        for one in made
    ]


def test_an_occlusion_has_its_own_objects_and_all_wrong_detections() -> None:
    # Two signs, of which the far one is hidden for the most part; both are found, and a third where there is none.
    one = image(([FAR, NEAR], [0, 0]), ([NEAR, ELSEWHERE, FAR], [0, 0, 0], [0.9, 0.8, 0.7]))
    scores = score([replace(one, truth=hidden(one.truth, HEAVILY, CLEAR))], ["sign"])
    clear, heavily = scores.by_occlusion[CLEAR], scores.by_occlusion[HEAVILY]
    assert [*scores.by_occlusion] == [CLEAR, HEAVILY]
    assert (clear.images, clear.instances, heavily.instances) == (1, 1, 1)
    assert clear.map50 == pytest.approx(1)  # found first of all
    assert heavily.map50 == pytest.approx(1 / 2)  # after one that is wrong; the near sign's neither counts nor harms


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_where_all_objects_are_of_one_occlusion_it_has_the_scores_of_all(kind: str) -> None:
    made = make_scenes(3, Recipe(masks=True))
    of_one = [replace(one, truth=hidden(one.truth, *[PARTLY] * len(one.truth.classes))) for one in made]
    scores = score(of_one, NAMES, kind=kind)
    assert [*scores.by_occlusion] == [PARTLY]
    for name, value in vars(scores.by_occlusion[PARTLY]).items():
        expected = sum(len(one.truth.classes) > 0 for one in made) if name == "images" else getattr(scores, name)
        assert value == expected, name


def test_objects_of_other_occlusions_are_as_if_neither_they_nor_their_detections_were_there() -> None:
    # Boxes that do not touch others, so that a detection is of one object or of none.
    rng, with_all, alone = np.random.default_rng(4), [], []
    for number in range(20):
        truth = [[x, 0, x + 30, 30] for x in range(0, 300, 50)]
        names = [CLEAR if bit else HEAVILY for bit in rng.integers(2, size=6)]
        found = [[x, 100, x + 30, 130] for x in range(0, 300, 50)] + truth
        scores = rng.random(12).tolist()
        one = image((truth, [0] * 6), (found, [0] * 12, scores), key=str(number))
        with_all.append(replace(one, truth=hidden(one.truth, *names)))
        kept = [i for i, name in enumerate(names) if name == CLEAR]
        rows = [*range(6), *(6 + i for i in kept)]
        own = ([truth[i] for i in kept], [0] * len(kept))
        alone.append(
            image(own, ([found[r] for r in rows], [0] * len(rows), [scores[r] for r in rows]), key=str(number))
        )
    part, expected = parts_of(match(with_all, ["a"]))[0], match(alone, ["a"])
    assert part.name == CLEAR
    part_scores, own_scores = score(with_all, ["a"]).by_occlusion[CLEAR], score(alone, ["a"])
    assert part_scores.map50_95 == pytest.approx(own_scores.map50_95, abs=1e-12)
    ours = confidence_curves(part.matches, among=CLEAR).recall
    np.testing.assert_allclose(ours, confidence_curves(expected).recall, atol=0.02)  # between scores of all


def test_every_part_has_an_interval_around_its_own_score() -> None:
    matches = match(results := scenes(), NAMES)
    scores, found = score(results, NAMES), intervals([matches], resamples=200)
    for parts, expected in ((found.conditions, scores.by_condition), (found.occlusions, scores.by_occlusion)):
        assert [*parts] == [*expected]
        for name, metrics in parts.items():
            assert [*metrics] == [*METRICS]
            for metric, one in metrics.items():
                assert one.value == pytest.approx(getattr(expected[name], metric)), (name, metric)
                assert 0 <= one.low <= one.value <= one.high <= 1
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_condition_of_all_images_is_resampled_as_they_are() -> None:
    results = [replace(one, conditions=("night",)) for one in scenes(drives=30)]
    found = intervals([match(results, NAMES)], resamples=100, seed=7)
    for metric in METRICS:
        night, everything = found.conditions["night"][metric], found.metrics[metric]
        assert (night.value, night.low, night.high) == (everything.value, everything.low, everything.high)


def test_a_part_of_one_drive_has_a_score_and_no_interval() -> None:
    results = [replace(one, conditions=("fog",) if one.drive_id == "d0" else ()) for one in scenes()]
    matches = match(results, NAMES)
    fog = intervals([matches], resamples=50).conditions["fog"]["map50"]
    assert 0 < fog.value < 1
    assert math.isnan(fog.low)
    delta = paired_deltas([matches], [matches], resamples=50).conditions["fog"]["map50"]
    assert (delta.value, math.isnan(delta.low), math.isnan(delta.p_value)) == (0.0, True, True)


def test_a_difference_of_a_part_is_that_of_its_scores() -> None:
    better = scenes()
    worse = [replace(one, found=replace(one.found, scores=one.found.scores[::-1].copy())) for one in better]
    deltas = paired_deltas([match(worse, NAMES)], [match(better, NAMES)], resamples=200)
    before, after = score(worse, NAMES), score(better, NAMES)
    for name in (CLEAR, HEAVILY):
        delta = deltas.occlusions[name]["map50"]
        assert delta.value == pytest.approx(after.by_occlusion[name].map50 - before.by_occlusion[name].map50)
        assert 0 < delta.low < delta.value < delta.high


def test_runs_are_of_the_same_conditions_and_occlusions() -> None:
    results = scenes()
    other = [replace(results[0], conditions=("fog",)), *results[1:]]
    with pytest.raises(ConfigError, match="the conditions of image 00000 differ"):
        paired_deltas([match(results, NAMES)], [match(other, NAMES)])
    bare = [replace(one, truth=hidden(one.truth)) for one in results]
    with pytest.raises(ConfigError, match="heavily occluded"):
        paired_deltas([match(results, NAMES)], [match(bare, NAMES)])
    with pytest.raises(ConfigError, match="2 occlusions, 1 classes; expected one each or none"):
        match([replace(image(([FAR], [0]), None), truth=hidden(image(([FAR], [0]), None).truth, CLEAR, CLEAR))], ["a"])
