from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.scenes import Recipe, make_scenes

from roadscan.ablate.measures import Measure, measure, measures_of, split_by_frequency
from roadscan.evaluate.detection import ImageResult, match, paired_deltas, score

NAMES = ["a", "b", "c", "d"]
FREQUENCY = {"head": ("a", "b"), "tail": ("c", "d")}


def scenes(**more: object) -> list[ImageResult]:
    made = make_scenes(1, Recipe(**{"images": 24, "drives": 8, "levels": None, **more}))  # type: ignore[arg-type]
    return [replace(one, conditions=(("day",), ("night", "rain"), ())[i % 3]) for i, one in enumerate(made)]


def test_measures_are_the_scores_of_the_parts() -> None:
    results = scenes()
    made = measure(match(results, NAMES), FREQUENCY, resamples=0)
    found = dict(zip(made.measures, made.values, strict=True))
    scores = score(results, NAMES)
    for metric in ("map50", "map50_95", "precision", "recall", "f1_of_means"):
        assert found[Measure("all", metric)] == pytest.approx(getattr(scores, metric))
    for one in scores.classes:
        assert found[Measure("class", one.name)] == pytest.approx(one.ap50_95)
    for size in ("small", "medium", "large"):
        assert found[Measure("size", size)] == pytest.approx(getattr(scores, f"ap_{size}"), nan_ok=True)
    for name, classes in FREQUENCY.items():
        expected = np.mean([one.ap50_95 for one in scores.classes if one.name in classes])
        assert found[Measure("frequency", name)] == pytest.approx(expected)
    assert {one.of for one in found if one.part == "condition"} == {"day", "night", "rain"}
    for condition, part in scores.by_condition.items():
        assert found[Measure("condition", condition)] == pytest.approx(part.map50_95)


def test_resamples_are_those_of_a_comparison() -> None:
    one, other = match(scenes(), NAMES), match(scenes(jitter=0.05), NAMES)
    made = measure(one, FREQUENCY, resamples=100)
    assert made.drawn.shape == (len(made.measures), 100)
    aligned = replace(other, truths=one.truths)
    deltas = paired_deltas([one], [aligned], resamples=100)
    difference = measure(aligned, FREQUENCY, resamples=100).drawn - made.drawn
    low, high = np.quantile(difference[1], [0.025, 0.975])
    assert (low, high) == (
        pytest.approx(deltas.metrics["map50_95"].low),
        pytest.approx(deltas.metrics["map50_95"].high),
    )


def test_one_drive_has_no_resamples() -> None:
    assert measure(match(scenes(drives=1), NAMES), FREQUENCY, resamples=50).drawn.shape[1] == 0


def test_without_a_tail_there_is_no_frequency() -> None:
    made = measures_of(match(scenes(), NAMES), {"head": tuple(NAMES), "tail": ()})
    assert not [one for one in made if one.part == "frequency"]


@pytest.mark.parametrize(
    ("objects", "tail"),
    [
        ({"a": 50, "b": 30, "c": 20}, ("c",)),  # 50 + 30 are 80 % exactly
        ({"a": 50, "b": 29, "c": 21}, ()),  # 79 are not enough
        ({"c": 1, "a": 98, "b": 1}, ("c", "b")),
        ({"a": 0, "b": 5}, ("a",)),
        ({"a": 7}, ()),
    ],
)
def test_the_tail_is_what_the_most_frequent_classes_leave(objects: dict[str, int], tail: tuple[str, ...]) -> None:
    made = split_by_frequency(objects, 0.8)
    assert made["tail"] == tail
    assert sorted((*made["head"], *made["tail"])) == sorted(objects)
