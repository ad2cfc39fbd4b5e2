from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from roadscan.report.scales import Scale, bins, spread
from roadscan.report.tuning import GREEN, ORANGE, Point, epoch_ticks, kinds_of, pictures, varying


def point(
    number: int, curve: list[float] | dict[int, float], state: str = "complete", ms: float | None = None, *,
    baseline: bool = False, best: bool = False, **settings: Any,
) -> Point:  # fmt: skip
    """A trial; its curve from epoch 1, its settings with __ for a dot."""
    fields = {field.replace("__", "."): value for field, value in settings.items()}
    curve = curve if isinstance(curve, dict) else dict(enumerate(curve, 1))
    return Point(number, state, baseline, best, fields, curve, ms)


def shows(png: bytes, color: str) -> bool:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    return bool((np.asarray(image.convert("RGB")) == wanted).all(axis=2).any())


def size(png: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(png)).size


FOCAL = [
    point(0, [0.2, 0.5], baseline=True, loss__gamma=0.0, loss__alpha=None),
    point(1, [0.2, 0.6], loss__gamma=1.731, loss__alpha=0.25),
    point(2, [0.1], "pruned", loss__gamma=2.2, loss__alpha=None),
]


def test_the_pictures_are_those_that_there_is_something_for() -> None:
    one = point(0, [0.2, 0.5], optimiser__lr=0.1)
    other = point(1, [0.3], optimiser__lr=0.2, ms=4.0)
    assert {*pictures([], {}, 0, "map50")} == set()
    assert {*pictures([], {"a": 1.0}, 1, "map50")} == {"importance.png"}
    assert {*pictures([one], {}, 0, "map50")} == {"learning-curves.png"}
    assert {*pictures([one, one], {}, 0, "map50")} == {"learning-curves.png"}  # no field varies
    assert {*pictures([other], {}, 0, "map50")} == {"learning-curves.png", "pareto.png"}
    assert {*pictures([one, other], {}, 0, "map50")} == {
        "learning-curves.png",
        "parallel-coordinates.png",
        "pareto.png",
    }
    assert {*pictures(FOCAL, {}, 0, "f1")} == {"learning-curves.png", "parallel-coordinates.png", "gamma-alpha.png"}
    assert "gamma-alpha.png" not in pictures(FOCAL[::2], {}, 0, "f1")  # alpha is none in both


def test_trials_without_a_curve_are_in_no_picture() -> None:
    failed = point(3, {}, "failed", 2.0, loss__gamma=9.0, loss__alpha=0.9, optimiser__lr="unlike the others'")
    assert pictures([failed], {}, 0, "map50") == {}
    assert pictures([*FOCAL, failed], {}, 0, "map50") == pictures(FOCAL, {}, 0, "map50")


@pytest.mark.parametrize("state", ["pruned", "failed", "running"])
def test_a_sweep_in_which_nothing_came_to_its_end(state: str) -> None:
    points = [
        point(i, [0.0] * i, state, loss__gamma=1.13 * i, loss__alpha=None if i == 1 else 0.123) for i in (1, 2, 3)
    ]
    made = pictures(points, {}, 0, "map50")
    assert {*made} == {"learning-curves.png", "parallel-coordinates.png", "gamma-alpha.png"}
    assert not any(shows(png, ORANGE) for png in made.values())  # nothing is the best


@pytest.mark.parametrize("name", ["learning-curves.png", "parallel-coordinates.png"])
def test_the_best_and_the_baseline_stand_out(name: str) -> None:
    assert shows(pictures(FOCAL, {}, 0, "map50")[name], ORANGE)
    assert shows(pictures(FOCAL, {}, 0, "map50")[name], GREEN)
    assert not shows(pictures(FOCAL[1:], {}, 0, "map50")[name], GREEN)


def test_pictures_grow_with_the_parameters() -> None:
    few, many = ({f"field {i}": 1 / n for i in range(n)} for n in (2, 8))
    few_png, many_png = (pictures([], shares, 3, "map50")["importance.png"] for shares in (few, many))
    assert size(many_png)[1] - size(few_png)[1] == pytest.approx(6 * 0.36 * 110, abs=1)
    points = [point(i, [0.1 * i], **{f"field_{j}": i for j in range(8)}) for i in (1, 2)]
    assert size(pictures(points, {}, 0, "map50")["parallel-coordinates.png"])[0] > 1000


def test_many_trials_on_a_front() -> None:
    points = [
        point(i, [i / 100] * 20, ms=1.0 + i, best=True, baseline=i % 9 == 0, variant="nsmlx"[i // 8]) for i in range(40)
    ]
    assert size(pictures(points, {}, 0, "map50")["learning-curves.png"]) == (1210, 682)
    assert size(pictures(points, {}, 0, "map50")["pareto.png"]) == (1155, 682)


def test_only_fields_that_vary_are_searched() -> None:
    points = [
        point(0, [0.1], a=1, b=1, c=None, d=True, e="x", only_here=5),
        point(1, [0.1], a=1.0, b=2, c=0.5, d=False, e="x"),
    ]
    assert varying(points) == ["b", "c", "d"]
    assert varying([]) == varying(points[:1]) == []


def test_without_a_front_the_best_is_the_greatest_complete() -> None:
    points = [point(0, [0.9], "pruned"), point(1, [0.5]), point(2, [0.7], baseline=True), point(3, [0.7])]
    assert kinds_of(points) == {0: "pruned", 1: "complete", 2: "best baseline", 3: "complete"}
    points = [point(0, [0.5], best=True), point(1, [0.7], best=True), point(2, [0.6]), point(3, [0.1], baseline=True)]
    assert kinds_of(points) == {0: "best", 1: "best", 2: "complete", 3: "baseline"}


def test_numbers_fill_an_axis() -> None:
    scale = Scale([1, 3, 2, 1])
    assert [scale.place(value) for value in (1, 1.5, 2, 3)] == [0, 0.25, 0.5, 1]
    assert scale.ticks == {"1": 0, "2": 0.5, "3": 1}
    assert [*Scale([i / 10 for i in range(10, 51)]).ticks] == ["1", "2", "3", "4", "5"]


def test_numbers_far_from_each_other_are_shown_by_factors() -> None:
    assert Scale([1e-4, 1e-3, 1e-2]).place(1e-3) == pytest.approx(0.5)
    assert Scale([1, 49]).place(7) == pytest.approx(6 / 48)  # not far enough
    assert Scale([-1, 1, 100]).place(49.5) == pytest.approx(0.5)  # below 0 there are no factors
    assert Scale([0.001, 0.501], percent=True).place(0.251) == pytest.approx(0.5)
    scale = Scale([0, 1e-4, 1e-2])  # 0 is apart
    assert scale.words == {"0": 0}
    assert scale.place(1e-4) == scale.bottom > 0.1
    assert scale.place(1e-3) == pytest.approx((1 + scale.bottom) / 2)


def test_words_are_below_the_numbers() -> None:
    scale = Scale([0.2, None, 0.8, "auto", 0.5, True])
    assert [*scale.words] == ["none", "True", "auto"]
    assert 0 == scale.place(None) < scale.place(True) < scale.place("auto") < scale.place(0.2) == scale.bottom
    assert scale.bottom - scale.place("auto") > scale.place("auto") - scale.place(True)  # the gap
    assert scale.place(0.5) == pytest.approx((1 + scale.bottom) / 2)
    assert scale.place(0.8) == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["x", "s", "n"], {"n": 0, "s": 0.5, "x": 1}),  # variants by size
        ([True, False], {"False": 0, "True": 1}),
        ([0.25, None], {"none": 0, "0.25": 1}),  # one number is no scale
        ([7, 7], {"7": 0}),
    ],
)
def test_words_alone_fill_an_axis(values: list[Any], words: dict[str, float]) -> None:
    scale = Scale(values)
    assert scale.words == scale.ticks == words
    assert {scale.place(value) for value in values} == {*words.values()}


def test_labels_keep_apart() -> None:
    assert [*Scale([0.1, 0.101, 0.5, 0.9]).ticks] == ["0.1", "0.5", "0.9"]


def test_metrics_are_labelled_as_percent() -> None:
    assert Scale([0.1, 0.1234, 0.5], percent=True).ticks == {
        "10 %": 0, "12.3 %": pytest.approx(0.0234 / 0.4), "50 %": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        ([], {}),
        ([None, 0.0, None], {"none": [None], "0": [0]}),
        ([0, 2, 1.5, 1], {"0": [0], "1": [1], "1.5": [1.5], "2": [2]}),  # a grid
        ([0.25, "a", None, "a"], {"none": [None], "a": ["a"], "0.25": [0.25]}),
        (["b", 0.0, "a"], {"a": ["a"], "b": ["b"], "0": [0]}),
        ([1.234], {"1.2 to 1.3": [1.234]}),
        ([3.0, 1.0, 1.51234], {"1 to 1.5": [1.0], "1.5 to 2": [1.51234], "2 to 2.5": [], "2.5 to 3": [3.0]}),
        ([0.3, 0.51234], {"0.3 to 0.4": [0.3], "0.4 to 0.5": [], "0.5 to 0.6": [0.51234]}),
    ],
)
def test_bins(values: list[Any], cells: dict[str, list[Any]]) -> None:
    assert bins(values) == cells
    assert [*bins(values)] == [*cells]


def test_every_value_is_in_one_bin() -> None:
    values = [None, 0, *np.random.default_rng(0).uniform(0.1, 0.9, 100).tolist()]
    binned = [value for cell in bins(values).values() for value in cell]
    assert sorted(binned[2:]) == sorted(values[2:])
    assert [*bins(values)] == ["none", "0", "0 to 0.2", "0.2 to 0.4", "0.4 to 0.6", "0.6 to 0.8", "0.8 to 1"]


def test_epochs_where_trials_were_given_up_are_labelled() -> None:
    ends = {81: "complete", 27: "pruned", 9: "pruned", 3: "pruned", 1: "pruned"}
    assert epoch_ticks([point(0, {end: 0.1}, state) for end, state in ends.items()]) == [1, 3, 9, 27, 81]
    assert epoch_ticks([point(0, {100: 0.1}), point(1, {43: 0.1})]) == [1, 2, 5, 10, 20, 50, 100]


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ([], []),
        ([0.1, 0.5], [0.1, 0.5]),
        ([0.5, 0.5], [0.4, 0.6]),
        ([0.5, 0.5, 0.6], [1 / 3, 1.6 / 3, 2.2 / 3]),  # their mean remains
        ([0.95, 1.0], [0.8, 1.0]),  # not above the top
    ],
)
def test_labels_are_spread(wanted: list[float], places: list[float]) -> None:
    assert spread(wanted, 0.2, 1.0) == pytest.approx(places)
