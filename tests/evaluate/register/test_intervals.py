from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from support.known_assets import found, truth

from roadscan.evaluate.register.intervals import Blocks, block_numbers, estimates
from roadscan.evaluate.register.scores import score_assets


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
