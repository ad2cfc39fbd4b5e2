from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from support.known_assets import found, scene, truth

from roadscan.evaluate.register.matching import LINE_WIDTH_M, match_places
from roadscan.evaluate.register.scores import score_assets


def densely(found_xy, known_xy, radius_m):
    """Number of pairs and their total distance by the Hungarian method on the whole matrix."""
    distance = np.linalg.norm(found_xy[:, None] - known_xy[None], axis=2)
    outside = radius_m * (min(distance.shape) + 1)
    rows, columns = linear_sum_assignment(np.where(distance <= radius_m, distance, outside))
    chosen = distance[rows, columns]
    return (chosen <= radius_m).sum(), chosen[chosen <= radius_m].sum()


@given(scene, scene, st.sampled_from([1.0, 2.0, 5.0]))
def test_sparse_matching_is_as_good_as_dense(found_xy, known_xy, radius_m):
    pairs, distances = match_places(found_xy, known_xy, radius_m)
    assert len(np.unique(pairs[:, 0])) == len(np.unique(pairs[:, 1])) == len(pairs)
    assert distances == pytest.approx(np.linalg.norm(found_xy[pairs[:, 0]] - known_xy[pairs[:, 1]], axis=1))
    number, total = densely(found_xy, known_xy, radius_m)
    assert len(pairs) == number
    assert distances.sum() == pytest.approx(total)


@pytest.mark.parametrize("seed", range(5))
def test_random_roads_are_matched_as_densely(seed):
    rng = np.random.default_rng(seed)
    known_xy = rng.uniform(0, [400, 20], (150, 2))
    found_xy = np.concatenate([known_xy[:120] + rng.normal(0, 2, (120, 2)), rng.uniform(0, [400, 20], (40, 2))])
    pairs, distances = match_places(found_xy, known_xy, 5.0)
    assert (len(pairs), distances.sum()) == pytest.approx(densely(found_xy, known_xy, 5.0))


def test_ends_of_lines_are_compared_however_they_are_directed():
    # From 3 to 90 m, beside 0 to 100 m, 4 m to the side: ends 5 m and sqrt(10² + 4²) m off.
    for start, end in ((3, 90), (90, 3)):
        scores = score_assets(found(lines=[("a", "rail", start, end, 4)]), truth(lines=[("t", "rail", 0, 100)]))
        assert sorted(scores.tallies["rail"].errors_m.ravel()) == pytest.approx([5, 116**0.5], abs=0.05)
        assert scores.line_matches == {"a": "t"}
        assert scores.matches == {}


def test_lines_match_the_one_beside_them_for_longest():
    # a covers 30 of t0's 50 m and 45 of t1's 50 m; b covers 20 of t1's, too little of either.
    ours = found(lines=[("a", "rail", 20, 100, 0), ("b", "rail", 80, 160, 0)])
    scores = score_assets(ours, truth(lines=[("t0", "rail", 0, 50), ("t1", "rail", 55, 100)]))
    assert scores.line_matches == {"a": "t1"}


@pytest.mark.parametrize("seed", range(5))
def test_length_beside_is_that_of_one_band_around_all(seed):
    rng = np.random.default_rng(seed)
    ours = [
        (f"a{k}", "rail", s, s + rng.uniform(5, 80), rng.uniform(-8, 8)) for k, s in enumerate(rng.uniform(0, 500, 30))
    ]
    known = [(f"t{k}", "rail", s, s + rng.uniform(5, 80)) for k, s in enumerate(rng.uniform(0, 500, 12))]
    score = score_assets(found(lines=ours), truth(lines=known)).lines["rail"]

    def beside(lines, others):
        band = shapely.union_all([shapely.buffer(line, LINE_WIDTH_M, cap_style="flat") for line in others])
        return sum(line.intersection(band).length for line in lines)

    lines = [shapely.LineString([(a, y), (b, y)]) for _, _, a, b, y in ours]
    there = [shapely.LineString([(a, 0), (b, 0)]) for _, _, a, b in known]
    assert score.true_positives == pytest.approx(min(beside(lines, there), beside(there, lines)), abs=0.01)
    assert score.recalled == pytest.approx(beside(there, lines), abs=0.01)
