from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest
from support.scenes import Recipe, image, make_scenes, public_average_precision

from roadscan.errors import ConfigError
from roadscan.evaluate.detection import MainScores, match, operating_point, score

NAMES = list("abcd")
BOX = [0, 0, 50, 50]


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_means_are_those_of_coco(kind):
    results = make_scenes(1, Recipe(15, absent=2, masks=kind == "mask"))
    scores = score(results, NAMES, kind=kind)
    public = public_average_precision(results, 4, kind=kind, faster=True)
    expected = [
        np.nanmean(public[0, :, 0]),
        np.nanmean(public[0]),
        np.nanmean(public[0, :, 5]),
        *(np.nanmean(public[area]) for area in (1, 2, 3)),
    ]
    got = [scores.map50, scores.map50_95, scores.map75, scores.ap_small, scores.ap_medium, scores.ap_large]
    assert got == pytest.approx(expected, abs=1e-12)
    assert [c.ap50_95 for c in scores.classes] == pytest.approx(public[0].mean(axis=1).tolist(), abs=1e-12, nan_ok=True)
    assert scores.kind == kind


def test_no_images_and_no_truth_have_no_scores():
    for results in ([], [image(([],), ([BOX], [1], [0.5]))]):
        scores = score(results, NAMES)
        assert scores.absent == tuple(NAMES)
        assert np.isnan([scores.map50, scores.precision, scores.f1_of_means]).all()
        json.dumps(scores.to_dict(curves=True), allow_nan=False)


def test_absent_classes_are_named_and_in_no_mean():
    results = make_scenes(3, Recipe(absent=2))
    scores = score(results, NAMES)
    assert scores.absent == ("c",)
    assert np.isnan([scores.classes[2].ap50, scores.classes[2].f1]).all()
    assert scores.classes[2].instances == 0
    present = [c for c in scores.classes if c.name != "c"]
    assert scores.map50 == pytest.approx(np.mean([c.ap50 for c in present]))
    assert scores.precision == pytest.approx(np.mean([c.precision for c in present]))
    assert scores.mean_class_f1 == pytest.approx(np.mean([c.f1 for c in present]))
    assert sum(c.instances for c in scores.classes) == scores.instances
    assert all(0 < c.images <= c.instances for c in present)


def test_a_condition_has_the_scores_of_its_images():
    results = make_scenes(4, Recipe(45))
    scores = score(results, NAMES)
    assert list(scores.by_condition) == ["day", "night", "rain"]  # a third of the images has none, another two
    alone = score([r for r in results if "night" in r.conditions], NAMES)
    night = scores.by_condition["night"]
    assert (night.images, night.map50, night.map50_95, night.ap_small) == (
        15,
        alone.map50,
        alone.map50_95,
        alone.ap_small,
    )
    assert night.confidence == scores.confidence
    at = np.flatnonzero(alone.curves.confidences == scores.confidence)
    assert night.recall == pytest.approx(alone.curves.recall[:, at].mean())


def test_a_frozen_confidence_is_beside_the_best_one():
    results = make_scenes(5, Recipe(20))
    frozen = score(results, NAMES, confidence=0.9)
    point = operating_point(match(results, NAMES), 0.9)
    np.testing.assert_array_equal(frozen.frozen.right, point.right)
    assert frozen.confusion[:, :4].sum() == (point.right + point.wrong).sum() > 0
    best = score(results, NAMES)
    assert best.frozen is None
    assert frozen.confidence == best.confidence != 0.9
    assert best.confusion[:, :4].sum() > frozen.confusion[:, :4].sum()


def test_it_is_json():
    plain = score(make_scenes(6, Recipe(10, absent=0)), NAMES, confidence=0.5).to_dict()
    text = json.dumps(plain, allow_nan=False)
    again = json.loads(text)
    assert {field.name for field in fields(MainScores)} < set(again)
    assert again["classes"][0]["ap50"] is None
    assert again["absent"] == ["a"]
    assert len(again["confusion"]) == 5
    assert again["frozen"]["f1_of_means"] > 0
    assert "curves" not in again


def test_matches_that_are_at_hand_are_used():
    results = make_scenes(7, Recipe(10))
    matches = match(results, NAMES)
    assert score(results, NAMES, matches=matches).to_dict() == score(results, NAMES).to_dict()
    with pytest.raises(ConfigError, match="matches: of other images"):
        score(results[:5], NAMES, matches=matches)
