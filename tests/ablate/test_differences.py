from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from roadscan.ablate.differences import Pooled, differences, pool, pooled
from roadscan.ablate.measures import Measure, Measured

MAP = Measure("all", "map50_95")


def run(value: float, *drawn: float) -> Measured:
    return Measured((MAP,), np.array([value]), np.array([drawn or [value] * 50]))


def test_without_drives_that_differ_the_interval_is_students() -> None:
    values = np.array([0.50, 0.53, 0.49, 0.55])
    made = pool(values, np.repeat(values[:, None], 20, axis=1), (0, 1))
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert (made.low, made.high) == (pytest.approx(low), pytest.approx(high))
    assert (made.value, made.seeds) == (pytest.approx(values.mean()), 4)


def test_with_one_seed_the_interval_is_the_drives_alone() -> None:
    made = pool(np.array([0.5]), np.linspace(0.4, 0.6, 1001)[None], (0, 1))
    assert (made.low, made.high) == (pytest.approx(0.405), pytest.approx(0.595))
    assert np.isnan(made.between_seeds)


def test_an_interval_stays_within_what_a_share_can_be() -> None:
    made = pool(np.array([0.1, 0.6]), np.array([[0.1] * 9, [0.6] * 9]), (0, 1))  # Student's t of one degree is 12.7
    assert (made.low, made.high) == (0, 1)


def test_with_one_drive_there_is_no_interval_and_no_verdict() -> None:
    made = pool(np.array([0.1, 0.2]), np.zeros((2, 0)), (-1, 1))
    assert np.isnan([made.low, made.high]).all()
    assert made.verdict == "unknown"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.01, 0.02, "no gain"), (0.0, 0.02, "no gain"), (0.001, 0.02, "gain"), (-2, -1, "loss")],
)
def test_only_an_interval_beside_zero_is_a_gain_or_a_loss(low: float, high: float, verdict: str) -> None:
    assert Pooled(0.005, low, high, 0.1, 3).verdict == verdict


def test_intervals_hold_the_true_value_as_often_as_they_say() -> None:
    """Crossed chance: each seed and each drive adds its own, and every pair a little."""
    rng, trials, inside, drives_alone = np.random.default_rng(0), 200, 0, 0
    for _ in range(trials):
        cells = rng.normal(0, 1, (4, 1)) + rng.normal(0, 2, (1, 40)) + rng.normal(0, 0.5, (4, 40))
        weights = rng.multinomial(40, np.full(40, 1 / 40), size=300)
        made = pool(cells.mean(axis=1), cells @ weights.T / 40, (-9, 9))
        inside += made.low <= 0 <= made.high
        low, high = np.quantile(cells.mean(axis=0) @ weights.T / 40, [0.025, 0.975])
        drives_alone += low <= 0 <= high
    assert 0.9 <= inside / trials <= 0.99
    assert drives_alone / trials < 0.8  # what an interval without the seeds would have said


def test_a_difference_is_taken_seed_by_seed() -> None:
    """Seeds differ by 10 points, and the losses by exactly 1 in each: the difference has no spread."""
    base = {0: run(0.3, 0.2, 0.4), 1: run(0.4, 0.3, 0.5)}
    better = {0: run(0.31, 0.21, 0.41), 1: run(0.41, 0.31, 0.51)}
    made = differences([base], [better])
    assert made is not None
    assert [getattr(made[MAP], name) for name in ("value", "low", "high")] == pytest.approx([0.01, 0.01, 0.01])
    assert made[MAP].between_seeds == pytest.approx(0)
    assert made[MAP].verdict == "gain"


def test_a_seed_that_one_loss_lacks_is_left_out_of_both() -> None:
    made = differences([{0: run(0.3), 1: run(0.9)}], [{0: run(0.5), 2: run(0.1)}])
    assert made is not None
    assert (made[MAP].value, made[MAP].seeds) == (pytest.approx(0.2), 1)
    assert differences([{0: run(0.3)}], [{1: run(0.5)}]) is None


def test_over_variants_it_is_the_mean_of_their_differences() -> None:
    small = {0: run(0.30), 1: run(0.32)}, {0: run(0.31), 1: run(0.35)}  # +1, +3
    large = {0: run(0.50), 1: run(0.50)}, {0: run(0.53), 1: run(0.49)}  # +3, -1
    made = differences([small[0], large[0]], [small[1], large[1]])
    assert made is not None
    assert made[MAP].value == pytest.approx(0.015)
    assert made[MAP].between_seeds == pytest.approx(np.std([0.02, 0.01], ddof=1))


def test_a_mean_over_seeds_is_the_mean_of_their_values() -> None:
    made = pooled([run(0.2, 0.1, 0.3), run(0.4, 0.3, 0.5)])[MAP]
    assert made.value == pytest.approx(0.3)
    assert made.low < 0.21 < 0.39 < made.high
