from __future__ import annotations

import math
import time

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from roadscan.errors import WarehouseError
from roadscan.evaluate.register.assignment import choose_pairs
from roadscan.evaluate.register.changes import score_changes
from roadscan.evaluate.register.identity import current_ids, identity_stability
from roadscan.evaluate.register.intervals import Blocks, block_numbers, estimates
from roadscan.evaluate.register.matching import LINE_WIDTH_M, match_places
from roadscan.evaluate.register.missing import score_missing
from roadscan.evaluate.register.scores import score_assets, score_radii
from roadscan.evaluate.register.truth import seen_assets

M = 1 / 111_319.49  # one metre in degrees of longitude on the equator
ASSET = pa.schema(
    [("asset_id", pa.string()), ("class", pa.string()), ("lon", pa.float64()), ("lat", pa.float64()),
     ("length_m", pa.float64()), ("geometry", pa.binary())]
)  # fmt: skip
TRUTH = pa.schema(
    [("asset_id", pa.string()), ("class", pa.string()), ("lon", pa.float64()), ("lat", pa.float64()),
     ("geometry", pa.string()), ("lons", pa.list_(pa.float64())), ("lats", pa.list_(pa.float64()))]
)  # fmt: skip


def found(*points, lines=()):
    """Points as (id, class, x in metres); lines as (id, class, from x, to x, y)."""
    rows = [
        {"asset_id": i, "class": c, "lon": x * M, "lat": 0.0, "geometry": shapely.Point(x * M, 0).wkb}
        for i, c, x in points
    ]
    for i, c, start, end, y in lines:
        shape = shapely.LineString([(start * M, y * M), (end * M, y * M)])
        rows.append({"asset_id": i, "class": c, "lon": start * M, "lat": 0.0, "geometry": shape.wkb, "length_m": 1.0})
    return pa.Table.from_pylist(rows, schema=ASSET)


def truth(*points, geometry="point", lines=()):
    rows = [{"asset_id": i, "class": c, "lon": x * M, "lat": 0.0, "geometry": geometry} for i, c, x in points]
    rows += [
        {
            "asset_id": i,
            "class": c,
            "lon": a * M,
            "lat": 0.0,
            "geometry": "line",
            "lons": [a * M, b * M],
            "lats": [0, 0],
        }
        for i, c, a, b in lines
    ]
    return pa.Table.from_pylist(rows, schema=TRUTH)


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


def test_changes_are_compared_as_pairs():
    score = score_changes([("t1", "removed"), ("t2", "added"), ("A9", "added")], [("t1", "removed"), ("t2", "removed")])
    assert score.precision == pytest.approx(1 / 3)
    assert score.recall == pytest.approx(1 / 2)


def test_seen_assets_have_three_boxes_over_all_drives():
    nights = [pa.table({"asset_id": ["a", "a", "b"]}), pa.table({"asset_id": ["a", "c", "b"]})]
    assert seen_assets(nights) == {"a"}
    assert seen_assets([]) == set()


def densely(found_xy, known_xy, radius_m):
    """Number of pairs and their total distance by the Hungarian method on the whole matrix."""
    distance = np.linalg.norm(found_xy[:, None] - known_xy[None], axis=2)
    outside = radius_m * (min(distance.shape) + 1)
    rows, columns = linear_sum_assignment(np.where(distance <= radius_m, distance, outside))
    chosen = distance[rows, columns]
    return (chosen <= radius_m).sum(), chosen[chosen <= radius_m].sum()


# A lattice of 1 m gives many equal distances, and many that are the radius itself.
place = st.tuples(st.integers(0, 12), st.integers(0, 12))
scene = st.lists(place, max_size=30).map(lambda places: np.array(places, float).reshape(-1, 2))


@given(scene, scene, st.sampled_from([1.0, 2.0, 5.0]))
def test_sparse_matching_is_as_good_as_dense(found_xy, known_xy, radius_m):
    pairs, distances = match_places(found_xy, known_xy, radius_m)
    assert len(np.unique(pairs[:, 0])) == len(np.unique(pairs[:, 1])) == len(pairs)
    assert distances == pytest.approx(np.linalg.norm(found_xy[pairs[:, 0]] - known_xy[pairs[:, 1]], axis=1))
    number, total = densely(found_xy, known_xy, radius_m)
    assert len(pairs) == number
    assert distances.sum() == pytest.approx(total)


@given(scene, scene, st.integers(0, 400))
def test_the_sparse_method_for_large_groups_is_as_good_as_the_dense_one(found_xy, known_xy, dense_cells):
    distance = np.linalg.norm(found_xy[:, None] - known_xy[None], axis=2)
    i, j = np.nonzero(distance <= 4)
    gain = 100 - distance[i, j]
    chosen = choose_pairs(i, j, gain, dense_cells)
    assert len(np.unique(i[chosen])) == len(np.unique(j[chosen])) == len(chosen)
    assert gain[chosen].sum() == pytest.approx(gain[choose_pairs(i, j, gain, 10**9)].sum())


@pytest.mark.parametrize("seed", range(5))
def test_random_roads_are_matched_as_densely(seed):
    rng = np.random.default_rng(seed)
    known_xy = rng.uniform(0, [400, 20], (150, 2))
    found_xy = np.concatenate([known_xy[:120] + rng.normal(0, 2, (120, 2)), rng.uniform(0, [400, 20], (40, 2))])
    pairs, distances = match_places(found_xy, known_xy, 5.0)
    assert (len(pairs), distances.sum()) == pytest.approx(densely(found_xy, known_xy, 5.0))


def test_a_hundred_thousand_assets_are_scored_in_seconds():
    rng = np.random.default_rng(0)
    n = 100_000
    x, names = np.sort(rng.uniform(0, 1_000_000, n)), rng.choice(["sign", "pole", "gate"], n)
    ids = np.arange(n).astype(str)
    known = pa.table({"asset_id": ids, "class": names, "lon": x * M, "lat": np.zeros(n), "geometry": ["point"] * n})
    ours = pa.table({
        "asset_id": ids, "class": names, "lon": (x + rng.normal(0, 1, n)) * M, "lat": np.zeros(n),
        "length_m": pa.nulls(n, pa.float64()),
    })  # fmt: skip
    start = time.perf_counter()
    scores = score_radii(ours, known, (2.0, 5.0))
    assert time.perf_counter() - start < 30  # 1.5 s on two cores; a dense matrix of a class is 9 GB
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


def states(*rows):
    """Rows as (id, x in metres, state), all of class sign."""
    table = found(*((i, "sign", x) for i, x, _ in rows))
    return table.append_column("state", pa.array([state for *_, state in rows], pa.string()))


def test_what_is_called_missing_is_compared_with_what_was_removed():
    ours = states(
        ("a", 0, "missing"),  # was removed
        ("b", 50, "missing"),  # stands: a false alarm
        ("c", 100, "missing"),  # was never there
        ("d", 150, "suspect"),  # was removed: not reported
        ("e", 200, "confirmed"),
        ("f", 250, "candidate"),  # not in the register
    )
    standing = truth(("t50", "sign", 50), ("t200", "sign", 200), ("t250", "sign", 250), ("t300", "sign", 300))
    removed = truth(("t0", "sign", 0), ("t150", "sign", 150), ("t400", "sign", 400))
    scores = score_missing(ours, standing, removed, seen={"t0", "t150", "t50"})
    assert scores.score is not None
    assert scores.score.precision == pytest.approx(1 / 3)
    assert scores.score.recall == pytest.approx(1 / 2)  # nobody saw t400
    assert (scores.false_alarms, scores.never_known, scores.standing_found) == (1, 1, 2)
    assert scores.false_alarm_rate == pytest.approx(1 / 2)


def test_without_known_removals_only_false_alarms_are_counted():
    scores = score_missing(states(("a", 0, "missing"), ("b", 50, "confirmed")), truth(("t", "sign", 50)), None)
    assert scores.score is None
    assert (scores.missing, scores.false_alarms, scores.standing_found) == (1, 0, 1)


ALIASES = pa.schema([("alias_id", pa.string()), ("asset_id", pa.string())])


def aliases(**pairs):
    return pa.Table.from_pylist([{"alias_id": a, "asset_id": b} for a, b in pairs.items()], schema=ALIASES)


def test_ids_are_followed_over_registers():
    known = truth(("t0", "sign", 0), ("t1", "sign", 50), ("t2", "sign", 100), lines=[("rail", "rail", 0, 100)])
    nights = [
        found(("a", "sign", 0), ("b", "sign", 50), lines=[("r", "rail", 0, 90, 0)]),
        found(("a", "sign", 1), ("c", "sign", 51), ("d", "sign", 100), lines=[("r", "rail", 0, 100, 0)]),
        found(("a", "sign", 0), lines=[("r", "rail", 0, 95, 0)]),
    ]
    stability = identity_stability(nights, known)
    assert (stability.registers, stability.matched, stability.compared, stability.stable) == (3, 4, 3, 2)
    assert stability.ids == {"t0": 1, "t1": 2, "t2": 1, "rail": 1}  # t1 had b, then c
    assert (stability.share, stability.ids_per_asset) == pytest.approx((2 / 3, 5 / 4))
    merged = identity_stability(nights, known, aliases(b="x", x="c"))
    assert (merged.stable, merged.share) == (3, 1.0)


def test_an_id_that_moves_to_another_asset_is_told():
    known = truth(("t0", "sign", 0), ("t1", "sign", 50))
    stability = identity_stability([found(("a", "sign", 0)), found(("a", "sign", 50))], known)
    assert (stability.compared, stability.shared_ids) == (0, 1)
    assert math.isnan(stability.share)
    assert math.isnan(identity_stability([], known).ids_per_asset)


def test_aliases_are_followed_to_their_end_and_never_in_a_circle():
    assert current_ids(aliases(a="b", b="c", d="c", e="a")) == {"a": "c", "b": "c", "d": "c", "e": "c"}
    assert current_ids(aliases()) == {}
    for circle in (aliases(a="a"), aliases(x="a", a="b", b="a")):
        with pytest.raises(WarehouseError, match="stands for itself"):
            current_ids(circle)


def estimate_of(ours, known, resamples=2000, seed=0):
    scores = score_assets(ours, known)
    return estimates([list(scores.tallies.values())], block_numbers(ours, known), resamples, seed)[0]


def test_intervals_are_those_of_a_plain_bootstrap():
    """Against a loop over the same draws that copies what lies in the blocks and counts it again."""
    rng = np.random.default_rng(3)
    rows, known = [], []
    for block, chance in enumerate(rng.uniform(0.3, 1, 12)):
        for k in range(int(rng.integers(5, 30))):
            x = block * 1000 + 20 + 30 * k
            known.append((f"t{x}", "sign", x))
            if rng.random() < chance:
                rows.append((f"a{x}", "sign", x + rng.normal(0, 1.5)))
            if rng.random() < 0.2:
                rows.append((f"b{x}", "sign", x + 15))
    ours, theirs = found(*rows), truth(*known)
    made = estimate_of(ours, theirs)
    matches = score_assets(ours, theirs).matches
    block_of = {name: int(x // 1000) for name, _, x in known}
    place = {name: x for name, _, x in (*rows, *known)}
    right = np.zeros(12)
    errors = [[] for _ in range(12)]
    for one, other in matches.items():
        right[block_of[other]] += 1
        errors[block_of[other]].append(abs(place[one] - place[other]))
    n_known = np.bincount(list(block_of.values()), minlength=12)
    wrong = np.bincount([int(x // 1000) for name, _, x in rows if name not in matches], minlength=12)
    weights = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), size=2000)
    drawn = [np.repeat(np.arange(12), times) for times in weights]
    plain = {
        "precision": [right[d].sum() / (right[d] + wrong[d]).sum() for d in drawn],
        "recall": [right[d].sum() / n_known[d].sum() for d in drawn],
        "p50_m": [np.median(np.concatenate([errors[k] for k in d])) for d in drawn],
    }
    for name, values in plain.items():
        one = getattr(made, name)
        low, high = np.quantile(values, [0.025, 0.975])
        assert (one.low, one.high) == pytest.approx((low, high), abs=0.001)  # distances go through degrees
        assert one.low < one.value < one.high


def test_the_same_seed_gives_the_same_intervals():
    ours = found(*((f"a{k}", "sign", 400 * k) for k in range(0, 20, 3)))
    known = truth(*((f"t{k}", "sign", 400 * k) for k in range(20)))
    assert estimate_of(ours, known) == estimate_of(ours, known)
    assert estimate_of(ours, known).recall != estimate_of(ours, known, seed=1).recall


def test_one_block_has_no_interval_and_nothing_has_no_score():
    one = estimate_of(found(("a", "sign", 10)), truth(("t", "sign", 10)))
    assert (one.precision.value, one.recall.value) == (1, 1)
    assert math.isnan(one.recall.low)
    nothing = estimate_of(found(), truth())
    assert math.isnan(nothing.f1.value)
    assert math.isnan(nothing.p50_m.high)


def test_what_lies_in_one_block_of_many_has_no_interval():
    ours = found(("a", "sign", 10), ("b", "sign", 2000), ("p", "pole", 4000))
    known = truth(("t", "sign", 10), ("u", "sign", 2001), ("v", "pole", 4002))
    scores = score_assets(ours, known)
    sign, pole = estimates([[scores.tallies[name]] for name in ("sign", "pole")], block_numbers(ours, known), 200)
    assert (sign.recall.low, pole.recall.value) == (1, 1)
    assert math.isnan(pole.recall.low)
    # Of 0 m and 1 m: both drawn, or one of them twice.
    assert (sign.p50_m.low, sign.p50_m.value, sign.p50_m.high) == pytest.approx((0, 0.5, 1), abs=0.001)


def test_pairs_belong_to_the_block_of_the_known_asset():
    # Each asset is found 3 m beyond its block, whose first is at 0. Drawn by its own block, it could be found unknown.
    ours = found(*((f"a{k}", "sign", 1000 * k + 1) for k in range(9)))
    known = truth(("t0", "sign", 0), *((f"t{k}", "sign", 1000 * k - 2) for k in range(1, 9)))
    made = estimate_of(ours, known)
    assert (made.recall.low, made.recall.high, made.precision.low) == (1, 1, 1)


def test_blocks_are_drives_where_both_tables_have_them():
    ours = found(("a", "sign", 0), ("b", "sign", 5000)).append_column("drive_id", pa.array(["north", "north"]))
    known = truth(("t", "sign", 0), ("u", "sign", 9)).append_column("drive_id", pa.array(["north", "south"]))
    blocks = block_numbers(ours, known)
    assert (blocks.of, blocks.count, blocks.found.tolist(), blocks.known.tolist()) == ("drive", 2, [0, 0], [0, 1])
    assert block_numbers(ours, known.drop_columns("drive_id")).of == "km"
    assert block_numbers(found(), truth()).count == 0


def test_a_line_found_twice_is_right_once_in_every_resample():
    ours = found(lines=[(f"{way}{k}", "rail", 2000 * k, 2000 * k + 100, way) for k in range(6) for way in (-1, 1)])
    known = truth(lines=[(f"t{k}", "rail", 2000 * k, 2000 * k + 100) for k in range(6)])
    scores = score_assets(ours, known)
    made = estimates([[scores.tallies["rail"]]], Blocks(np.repeat(np.arange(6), 2), np.arange(6), 6, "km"), 200)[0]
    assert (made.precision.low, made.precision.high) == pytest.approx((0.5, 0.5))
    assert (made.recall.low, made.recall.high) == pytest.approx((1, 1))
    assert made.p50_m.value == pytest.approx(1, abs=0.01)  # both ends 1 m to the side
