from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scenes import Recipe, image, make_scenes

from roadscan.errors import ConfigError
from roadscan.evaluate.detection import calibration, match, operating_point, thresholds_for_recall

NAMES = list("abcd")


def rows(*outcomes, truths=0):
    """An image of one class: (score, right) detections, and so many more truths that are not found."""
    boxes = [[60 * i, 0, 60 * i + 50, 50] for i in range(len(outcomes) + truths)]
    known = [box for box, (_, right) in zip(boxes, outcomes, strict=False) if right] + boxes[len(outcomes) :]
    found = (boxes[: len(outcomes)], [0] * len(outcomes), [score for score, _ in outcomes])
    return match([image((known, [0] * len(known)), found)], ["a"])


def test_the_highest_confidence_that_reaches_the_recall():
    matches = rows((0.9, 1), (0.8, 0), (0.7, 1), (0.6, 0), truths=2)  # four truths, two found
    got = thresholds_for_recall(matches, 0.5)
    assert got.classes["a"] == got.overall
    assert got.overall.confidence == pytest.approx(0.7)
    assert (got.overall.precision, got.overall.recall) == (pytest.approx(2 / 3), 0.5)


def test_a_lower_confidence_if_it_is_more_precise():
    # Recall 1/4 is reached at .8 with precision 1/2, and at .7 with 2/3.
    got = thresholds_for_recall(rows((0.9, 0), (0.8, 1), (0.7, 1), truths=2), 0.25)
    assert got.overall.confidence == pytest.approx(0.7)
    assert got.overall.precision == pytest.approx(2 / 3)


def test_out_of_reach_is_said_with_the_recall_there_is():
    got = thresholds_for_recall(rows((0.9, 1), (0.8, 0), truths=1), 0.9).classes["a"]
    assert (got.confidence, got.recall, got.precision) == (None, 0.5, 0.5)


def test_nothing_found_and_nothing_there():
    got = thresholds_for_recall(rows(truths=1), 0.9).overall
    assert (got.confidence, got.recall) == (None, 0.0)
    got = thresholds_for_recall(rows((0.9, 0)), 0.9).overall
    assert got.confidence is None
    assert math.isnan(got.recall)


@pytest.mark.parametrize("target", [0.0, -1.0, 1.01, math.nan])
def test_a_recall_is_above_0_and_up_to_1(target):
    with pytest.raises(ConfigError, match="target recall"):
        thresholds_for_recall(rows(), target)


@given(st.integers(0, 10**6), st.floats(0.05, 0.95))
@settings(max_examples=25)
def test_a_scan_with_these_confidences_has_these_numbers(seed, target):
    matches = match(make_scenes(seed, Recipe(15)), NAMES)
    got = thresholds_for_recall(matches, target).classes
    point = operating_point(matches, {name: got[name].confidence or 0.0 for name in NAMES})
    np.testing.assert_allclose([got[name].recall for name in NAMES], point.recall)
    np.testing.assert_allclose([got[name].precision for name in NAMES], point.precision)
    for one in got.values():
        assert one.confidence is None or one.recall >= target - 1e-9


def test_scores_that_are_shares_have_no_error():
    # Half of those with .5 are right, and 3 of 4 with .75.
    got = calibration(rows((0.5, 1), (0.5, 0), (0.75, 1), (0.75, 1), (0.75, 1), (0.75, 0)), bins=2)
    assert got.error == pytest.approx(0, abs=1e-7)
    assert got.counts.sum() == 6
    assert got.right.tolist() == [0.5, 0.75]


def test_equal_scores_share_a_bin():
    got = calibration(rows(*[(0.75, i % 4 > 0) for i in range(40)]), bins=15)
    assert got.counts.tolist() == [40]
    assert got.error == pytest.approx(0, abs=1e-7)


def test_the_error_is_the_mean_distance():
    # One bin: mean score (.9 + .7) / 2 = .8, half right.
    got = calibration(rows((0.9, 1), (0.7, 0), (0.01, 0)), bins=1)
    assert got.error == pytest.approx(0.3)
    assert got.counts.tolist() == [2]  # .01 is below the lowest that counts


def test_without_detections_there_is_no_error():
    assert math.isnan(calibration(rows(truths=1)).error)


def test_bins_have_about_as_many_each():
    matches = match(make_scenes(8, Recipe(60, levels=None)), NAMES)
    got = calibration(matches, lowest=0.0, bins=10)
    assert len(got.counts) == 10
    assert np.ptp(got.counts) <= 1
    assert got.counts.sum() == len(matches.scores)
    assert 0 < got.error < 1
