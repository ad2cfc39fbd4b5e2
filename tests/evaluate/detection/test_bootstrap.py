from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from support.scenes import Recipe, make_scenes, objects
from support.scenes import image as one_image

from roadscan.errors import ConfigError
from roadscan.evaluate.detection import bootstrap as module
from roadscan.evaluate.detection import intervals, match, paired_deltas
from roadscan.evaluate.detection.bootstrap import METRICS

NAMES = list("abcd")


def scenes(seed=0, **more):
    return make_scenes(seed, Recipe(**{"images": 24, "drives": 8, "levels": None, **more}))


def worse(results, seed=0):
    """Without a quarter of the detections, at random."""
    rng = np.random.default_rng(seed)
    parts = []
    for r in results:
        kept = rng.random(len(r.found.classes)) > 0.25
        found = objects(r.found.boxes_xyxy[kept], r.found.classes[kept], r.found.scores[kept])
        parts.append(replace(r, found=found))
    return parts


def test_a_resample_is_the_data_set_with_its_drives_repeated():
    results = scenes(absent=1)
    matches = match(results, NAMES)
    values, drawn = module.resample_scores([matches], 5, 3)
    weights = np.concatenate(list(module.draw_weights(matches.drives, 5, 3, 2)))
    for row in range(5):
        copies = [replace(r, key=f"{r.key}-{i}") for r, n in zip(results, weights[row], strict=True) for i in range(n)]
        (expected,) = module.resample_scores([match(copies, NAMES)], 0, 0)[0]
        ap = np.r_[0, 1, 6:10]
        np.testing.assert_allclose(drawn[0, ap, row], expected[ap], rtol=0, atol=1e-12)
        np.testing.assert_allclose(drawn[0, 2:6, row], expected[2:6], atol=0.05)  # interpolated between other scores
    assert values.shape == (1, 10 + 3 * 6)  # metrics and classes, then the metrics of day, night and rain


def test_whole_drives_are_drawn_as_many_as_there_are():
    drives = np.array([0, 1, 1, 2, 0, 2, 2])
    weights = np.concatenate(list(module.draw_weights(drives, 500, 0, 64)))
    assert weights.shape == (500, 7)
    for drive in range(3):
        of_drive = weights[:, drives == drive]
        assert (of_drive == of_drive[:, :1]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    np.testing.assert_allclose(weights.mean(axis=0), 1.0, atol=0.15)


def test_how_many_go_at_once_changes_nothing(monkeypatch):
    matches = match(scenes(), NAMES)
    together = intervals([matches], resamples=40)
    monkeypatch.setattr(module, "CELLS_AT_ONCE", 7000)
    assert intervals([matches], resamples=40).to_dict() == together.to_dict()


def test_the_seed_decides():
    matches = match(scenes(), NAMES)
    first, again, other = (intervals([matches], resamples=50, seed=seed).to_dict() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_an_interval_is_about_its_value():
    got = intervals([match(scenes(1), NAMES)], resamples=200)
    assert tuple(got.metrics) == METRICS
    assert list(got.classes) == NAMES
    for one in got.metrics.values():
        assert one.low < one.value < one.high
        assert math.isnan(one.between_runs)
    assert (got.drives, got.images, got.runs, got.resamples) == (8, 24, 1, 200)
    json.dumps(got.to_dict(), allow_nan=False)


def test_runs_are_averaged_and_their_spread_is_told():
    results = scenes(2)
    runs = [match(worse(results, seed), NAMES) for seed in range(3)]
    got = intervals(runs, resamples=50)
    values = [intervals([run], resamples=1).metrics["map50"].value for run in runs]
    assert got.metrics["map50"].value == pytest.approx(np.mean(values))
    assert got.metrics["map50"].between_runs == pytest.approx(np.std(values, ddof=1))


def test_one_drive_has_no_interval():
    got = intervals([match(scenes(drives=1), NAMES)], resamples=10)
    assert got.metrics["map50"].value > 0
    assert math.isnan(got.metrics["map50"].low)
    assert got.to_dict()["metrics"]["map50"]["high"] is None


def test_images_without_a_drive_are_drawn_alone():
    assert intervals([match(scenes(drives=None), NAMES)], resamples=2).drives == 24


def test_a_class_without_truth_has_no_interval_and_spoils_none():
    got = intervals([match(scenes(absent=2), NAMES)], resamples=20)
    assert math.isnan(got.classes["c"].low)
    assert not math.isnan(got.metrics["map50"].low)


def test_a_model_does_not_differ_from_itself():
    matches = match(scenes(3), NAMES)
    got = paired_deltas([matches], [matches], resamples=100)
    for delta in (*got.metrics.values(), *got.classes.values()):
        assert (delta.value, delta.low, delta.high, delta.p_value) == (0, 0, 0, 1)


def test_a_worse_model_is_worse_and_the_other_way_round_better():
    results = scenes(4, images=60, drives=20)
    good, bad = match(results, NAMES), match(worse(results), NAMES)
    down, up = paired_deltas([good], [bad], resamples=200), paired_deltas([bad], [good], resamples=200)
    drop, rise = down.metrics["recall"], up.metrics["recall"]
    assert drop.high < 0 < rise.low
    assert drop.p_value < 0.05
    assert (drop.value, drop.low, drop.p_value) == (-rise.value, pytest.approx(-rise.high), rise.p_value)
    single = [intervals([m], resamples=200).metrics["recall"] for m in (good, bad)]
    assert drop.value == pytest.approx(single[1].value - single[0].value)
    assert drop.high - drop.low < max(one.high - one.low for one in single)  # what pairing is for
    json.dumps(down.to_dict(), allow_nan=False)


def test_training_noise_of_a_difference():
    results = scenes(5)
    a, b = ([match(worse(results, seed), NAMES) for seed in seeds] for seeds in ((0, 1), (2, 3, 4)))
    got = paired_deltas(a, b, resamples=10).metrics["map50"]
    spread = [intervals(runs, resamples=1).metrics["map50"].between_runs for runs in (a, b)]
    assert got.between_runs == pytest.approx(math.sqrt(spread[0] ** 2 / 2 + spread[1] ** 2 / 3))
    assert math.isnan(paired_deltas(a, b[:1], resamples=1).metrics["map50"].between_runs)


def test_the_order_of_images_is_no_matter():
    results = scenes(6)
    a, b = match(results, NAMES), match(worse(results), NAMES)
    turned = match(worse(results)[::-1], NAMES)
    assert paired_deltas([a], [turned], resamples=20).to_dict() == paired_deltas([a], [b], resamples=20).to_dict()


def test_runs_that_cannot_be_compared_are_refused():
    results = scenes(7, images=6)
    matches = match(results, NAMES)
    other_truth = [replace(results[0], truth=objects()), *results[1:]]
    for other, message in [
        (match(results[1:], NAMES), "image 00000 is not in all of them"),
        (match(results, list("wxyz")), "expected the same of all"),
        (match(other_truth, NAMES), "the truth of image 00000 differs"),
        (match([replace(r, drive_id="one") for r in results], NAMES), "different drives"),
    ]:
        with pytest.raises(ConfigError, match=message):
            paired_deltas([matches], [other], resamples=2)
    with pytest.raises(ConfigError, match="none; expected at least one"):
        intervals([])
    with pytest.raises(ConfigError, match="a model has none"):
        paired_deltas([matches], [])


def population(rng, drives):
    """Drives on which the same model finds much or little: six images, two objects each, one wrong detection in two."""
    box = np.array([[0, 0, 50, 50], [100, 0, 150, 50], [200, 0, 250, 50]])
    results = []
    for drive in range(drives):
        skill = rng.beta(2, 1)
        for number in range(6):
            hit = np.append(rng.random(2) < skill, rng.random() < 0.5)
            found = (box[hit], [0] * hit.sum(), rng.beta(3, 2, 3)[hit])
            results.append(one_image((box[:2], [0, 0]), found, key=f"{drive}-{number}", drive_id=str(drive)))
    return match(results, ["a"])


@pytest.mark.slow
def test_intervals_hold_the_true_score_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    true = intervals([population(rng, 3000)], resamples=0).metrics["map50"].value
    held = {"drives": 0, "frames": 0}
    for trial in range(50):
        matches = population(rng, 30)
        alone = replace(matches, drives=np.arange(len(matches.keys)))
        for how, sample in (("drives", matches), ("frames", alone)):
            one = intervals([sample], resamples=150, seed=trial).metrics["map50"]
            held[how] += one.low <= true <= one.high
    # Of 50 trials at 92%, fewer than 41 have a chance below 1% (binomial); frames of a drive are no sample themselves.
    assert held["drives"] >= 41
    assert held["frames"] < held["drives"]
