from __future__ import annotations

import numpy as np
import pytest

from roadscan.evaluate.bootstrap import draws, percentile_interval


def test_as_many_blocks_are_drawn_as_there_are() -> None:
    rows = np.concatenate([*draws(7, 500, 0, 64)])
    assert rows.shape == (500, 7)
    assert set(rows.sum(axis=1).tolist()) == {7}
    # Of a block's count, binomial (7, 1/7), the mean is 1 and the variance 6/7: of 500, three sigma are 0.12.
    np.testing.assert_allclose(rows.mean(axis=0), 1, atol=0.15)


@pytest.mark.parametrize("at_once", [1, 3, 40, 1000])
def test_how_many_go_at_once_changes_nothing(at_once: int) -> None:
    np.testing.assert_array_equal(np.concatenate([*draws(5, 40, 3, at_once)]), next(draws(5, 40, 3, 40)))


@pytest.mark.parametrize(("blocks", "resamples"), [(0, 9), (1, 9), (5, 0)])
def test_one_block_or_no_resample_draws_nothing(blocks: int, resamples: int) -> None:
    assert [*draws(blocks, resamples, 0, 4)] == []


def test_an_interval_leaves_out_what_is_not_a_number() -> None:
    assert percentile_interval(np.array([np.nan, *np.arange(101.0)]), level=0.9) == pytest.approx((5, 95))
    assert np.isnan(percentile_interval(np.full(3, np.nan))).all()
