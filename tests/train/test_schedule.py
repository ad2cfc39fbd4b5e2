"""Learning rate and batches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadscan.train.config import OptimiserConfig
from roadscan.train.schedule import RankBatchSampler, epoch_order, learning_rate


def test_the_rate_grows_over_the_warmup_and_falls_to_its_final_share() -> None:
    config = OptimiserConfig(lr=0.1, final_lr=0.01, warmup_epochs=2)
    rates = [learning_rate(step, config, steps_per_epoch=10, epochs=10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1 / 20, rel=1e-3)  # a twentieth of the way
    assert max(rates) == max(rates[19:22])
    assert rates[-1] == pytest.approx(0.1 * 0.01, rel=0.05)
    assert rates[20:] == sorted(rates[20:], reverse=True)


def test_linear_is_half_way_at_half_time() -> None:
    config = OptimiserConfig(lr=1, final_lr=0, schedule="linear", warmup_epochs=0)
    assert learning_rate(50, config, steps_per_epoch=10, epochs=10) == pytest.approx(0.5)


def test_a_run_of_one_epoch_has_no_warmup() -> None:
    assert learning_rate(0, OptimiserConfig(lr=1, warmup_epochs=3), steps_per_epoch=10, epochs=1) == 1.0


FACTORS = st.lists(st.floats(1, 4), min_size=1, max_size=60).map(np.array)


@given(FACTORS, st.integers(1, 24), st.integers(0, 5), st.integers(1, 4), st.integers(1, 3))
def test_ranks_share_out_the_same_batches_whatever_their_number(
    factors: npt.NDArray[np.float64], batch: int, epoch: int, world_size: int, accumulate: int
) -> None:
    batch = max(batch, world_size * accumulate)
    alone = epoch_order(factors, batch, 7, epoch)
    parts = []
    for rank in range(world_size):
        sampler = RankBatchSampler(factors, batch, accumulate, 7, rank, world_size)
        sampler.epoch = epoch
        parts.append(list(sampler))
        assert len(parts[-1]) == len(sampler)
        assert all(parts[-1])
    assert sampler.steps * batch == len(alone)
    for step in range(sampler.steps):
        whole = [item for own in parts for part in own[step * accumulate : (step + 1) * accumulate] for item in part]
        assert whole == alone[step * batch : (step + 1) * batch]


@given(st.integers(1, 60), st.integers(1, 24))
def test_an_epoch_shows_every_image_and_fills_the_last_batch(images: int, batch: int) -> None:
    order = epoch_order(np.ones(images), batch, 0, 3)
    assert len(order) % batch == 0
    assert {item.image for item in order} == set(range(images))
    assert [item.place for item in order] == list(range(len(order)))
    assert len({item.image for item in order[:images]}) == images  # each once before any is repeated


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {
        tuple(item.image for item in epoch_order(np.ones(30), 4, seed, epoch)) for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(orders) == 4


def test_images_that_are_seen_once_have_the_order_that_they_had_before_there_were_others() -> None:
    """So that a run that was started then goes on: NumPy's permutation of their number, seeded by (seed, epoch)."""
    order = np.random.default_rng((3, 2)).permutation(10)
    assert [item.image for item in epoch_order(np.ones(10), 5, 3, 2)] == order.tolist()


@given(FACTORS, st.integers(0, 3), st.integers(0, 3))
def test_an_image_is_seen_as_often_as_its_factor_says_rounded_up_or_down(
    factors: npt.NDArray[np.float64], seed: int, epoch: int
) -> None:
    seen = [item.image for item in epoch_order(factors, 1, seed, epoch)]
    times = np.bincount(seen, minlength=len(factors))
    assert (np.floor(factors) <= times).all()
    assert (times <= np.ceil(factors)).all()
    assert seen == [item.image for item in epoch_order(factors, 1, seed, epoch)]
