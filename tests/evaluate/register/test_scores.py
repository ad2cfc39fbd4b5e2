from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from support.known_assets import M, found, truth

from roadscan.evaluate.register.scores import score_assets, score_radii


def test_nothing_found_and_nothing_there():
    scores = score_assets(found(), truth())
    assert scores.per_class == scores.lines == {}
    assert math.isnan(scores.overall.precision)
    assert math.isnan(scores.position_p50_m)


def test_matching_is_one_to_one():
    # Two found 1 m and 2 m from the only sign: one is right, the other is wrong however near it is.
    scores = score_assets(found(("a", "sign", 1), ("b", "sign", 2)), truth(("t", "sign", 0)))
    assert scores.matches == {"a": "t"}
    assert (scores.overall.precision, scores.overall.recall) == (0.5, 1.0)
    assert scores.position_p50_m == pytest.approx(1.0, abs=0.01)


def test_as_many_pairs_as_possible_within_the_radius():
    # b is nearest to t0, but then a (4 m from t0, 9 m from t1) would have none.
    scores = score_assets(found(("a", "sign", -4), ("b", "sign", 1)), truth(("t0", "sign", 0), ("t1", "sign", 5)))
    assert scores.matches == {"a": "t0", "b": "t1"}


@pytest.mark.parametrize(("x", "right"), [(4.9, 1), (5.1, 0)])
def test_the_radius_is_the_limit(x, right):
    assert score_assets(found(("a", "sign", x)), truth(("t", "sign", 0))).overall.true_positives == right


def test_an_overhead_asset_has_a_wider_radius():
    assert score_assets(found(("a", "bridge", 9)), truth(("t", "bridge", 0), geometry="overhead")).overall.recall == 1


def test_classes_do_not_mix():
    scores = score_assets(found(("a", "sign", 0)), truth(("t", "pole", 0)))
    assert scores.per_class["sign"].precision == 0
    assert scores.per_class["pole"].recall == 0


def test_what_was_never_shown_counts_neither_way():
    known = truth(("t", "sign", 0), ("hidden", "sign", 100), ("dark", "sign", 200))
    scores = score_assets(found(("a", "sign", 0), ("b", "sign", 100)), known, seen={"t"})
    assert scores.overall.precision == 1  # b stands at a real sign
    assert scores.overall.recall == 1  # of the one sign that was to be seen


def test_lines_are_scored_by_length():
    # 60 of 80 found metres lie on the 100 m that are there.
    scores = score_assets(found(lines=[("a", "rail", 40, 120, 2)]), truth(lines=[("t", "rail", 0, 100)]))
    assert scores.lines["rail"].precision == pytest.approx(0.75, abs=0.01)
    assert scores.lines["rail"].recall == pytest.approx(0.6, abs=0.01)
    assert scores.per_class == {}


def test_a_line_found_twice_is_right_once():
    twice = found(lines=[("a", "rail", 0, 100, 1), ("b", "rail", 0, 100, -1)])
    scores = score_assets(twice, truth(lines=[("t", "rail", 0, 100)]))
    assert scores.lines["rail"].precision == pytest.approx(0.5, abs=0.01)


def test_a_line_too_far_to_the_side_is_wrong():
    scores = score_assets(found(lines=[("a", "rail", 0, 100, 6)]), truth(lines=[("t", "rail", 0, 100)]))
    assert scores.lines["rail"].recall == 0


@pytest.mark.slow
def test_a_hundred_thousand_assets_are_scored_without_a_matrix_of_all_pairs():
    rng = np.random.default_rng(0)
    n = 100_000
    x, names = np.sort(rng.uniform(0, 1_000_000, n)), rng.choice(["sign", "pole", "gate"], n)
    ids = np.arange(n).astype(str)
    known = pa.table({"asset_id": ids, "class": names, "lon": x * M, "lat": np.zeros(n), "geometry": ["point"] * n})
    ours = pa.table({
        "asset_id": ids, "class": names, "lon": (x + rng.normal(0, 1, n)) * M, "lat": np.zeros(n),
        "length_m": pa.nulls(n, pa.float64()),
    })  # fmt: skip
    tracemalloc.start()
    scores = score_radii(ours, known, (2.0, 5.0))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1e9  # a dense matrix of a class has 33,000 x 33,000 numbers: 9 GB
    assert scores[5.0].overall.recall > 0.99
    # Of a normal error with sigma 1 m, 4.6% are beyond 2 m; some of these are near another asset.
    assert 0.95 < scores[2.0].overall.recall < 0.97


def test_each_radius_has_its_own_scores():
    known = truth(("t0", "sign", 0), ("t1", "sign", 50), ("t2", "sign", 100), ("t3", "pole", 0))
    scores = score_radii(found(("a", "sign", 1), ("b", "sign", 54), ("c", "sign", 70)), known, (2.0, 5.0))
    near, far = scores[2.0].per_class["sign"], scores[5.0].per_class["sign"]
    assert (near.precision, near.recall, near.f1) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert (far.precision, far.recall, far.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert scores[5.0].errors_m("sign") == pytest.approx((2.5, 3.7), abs=0.01)  # of 1 m and 4 m
    assert all(math.isnan(value) for value in scores[5.0].errors_m("pole"))
    assert scores[5.0].per_class["pole"].f1 != scores[5.0].per_class["pole"].f1  # NaN: nothing was found
