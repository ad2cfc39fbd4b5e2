"""Weights of classes by their numbers of objects."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadscan.errors import ConfigError
from roadscan.model.class_balance import alpha_from_effective_number, alpha_from_frequency
from roadscan.model.losses import LossConfig

counts = st.lists(st.integers(1, 10**7), min_size=2, max_size=9).map(
    lambda ns: {f"class {i}": n for i, n in enumerate(ns)}
)


@given(counts)
def test_alpha_from_frequency_balances_a_class_against_all_others(objects: dict[str, int]) -> None:
    alpha = alpha_from_frequency(objects)
    assert [*alpha] == [*objects]
    for name, count in objects.items():
        others = sum(n for other, n in objects.items() if other != name)
        assert alpha[name] * count == pytest.approx((1 - alpha[name]) * others, rel=1e-6)
        assert 0 < alpha[name] < 1
    assert sum(alpha.values()) == pytest.approx(len(objects) - 1)


@given(counts, st.floats(0.01, 0.9999))
def test_alpha_from_effective_number_has_odds_inverse_to_the_effective_numbers(
    objects: dict[str, int], beta: float
) -> None:
    objects = {name: count % 2000 + 1 for name, count in objects.items()}
    alpha = alpha_from_effective_number(objects, beta)
    assert [*alpha] == [*objects]
    odds = {name: value / (1 - value) for name, value in alpha.items()}
    # The n-th object adds beta^(n - 1) to the effective number.
    volumes = {name: math.fsum(beta**n for n in range(count)) for name, count in objects.items()}
    products = [odds[name] * volumes[name] for name in objects]
    assert products == pytest.approx([products[0]] * len(products))
    assert sum(odds.values()) == pytest.approx(len(objects))


def test_beta_goes_from_no_weights_to_inverse_numbers() -> None:
    objects = {"sign": 60, "pole": 30, "hall": 10}
    assert [*alpha_from_effective_number(objects, 1e-9).values()] == pytest.approx([0.5] * 3)
    inverse = np.array([1 / 60, 1 / 30, 1 / 10])
    odds = inverse / inverse.mean()
    assert [*alpha_from_effective_number(objects, 1 - 1e-12).values()] == pytest.approx(odds / (1 + odds), rel=1e-4)


@pytest.mark.parametrize("alpha", ["from_frequency", "effective_number"])
def test_rarer_classes_weigh_more_the_same_every_time(alpha: str) -> None:
    loss = LossConfig.model_validate({"alpha": alpha})
    found = loss.on({"sign": 600, "pole": 300, "hall": 10})
    assert isinstance(found.alpha, dict)
    assert found.alpha["sign"] < found.alpha["pole"] < found.alpha["hall"]
    assert loss.on({"sign": 600, "pole": 300, "hall": 10}) == found


def test_a_class_without_objects_cannot_be_weighed() -> None:
    with pytest.raises(ConfigError, match=r"loss\.alpha: got from_frequency, .* no objects of hall, pole; expected"):
        alpha_from_frequency({"sign": 3, "hall": 0, "pole": 0})
    with pytest.raises(ConfigError, match=r"loss\.alpha: got effective_number, .* no objects of hall; expected"):
        alpha_from_effective_number({"sign": 3, "hall": 0}, 0.9)


def test_one_class_alone_has_nothing_to_be_balanced_with() -> None:
    with pytest.raises(ConfigError, match=r"loss\.alpha: got from_frequency with the class sign alone"):
        alpha_from_frequency({"sign": 3})
