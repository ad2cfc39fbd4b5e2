"""Weights of classes by their numbers of objects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadscan.errors import ConfigError
from roadscan.model.class_balance import alpha_from_frequency

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


def test_a_class_without_objects_cannot_be_weighed() -> None:
    with pytest.raises(ConfigError, match=r"loss\.alpha: got from_frequency, .* no objects of hall, pole; expected"):
        alpha_from_frequency({"sign": 3, "hall": 0, "pole": 0})


def test_one_class_alone_has_nothing_to_be_balanced_with() -> None:
    with pytest.raises(ConfigError, match=r"loss\.alpha: got from_frequency with the class sign alone"):
        alpha_from_frequency({"sign": 3})
