"""Weights of classes from how many objects of each there are in a training split."""

from __future__ import annotations

import math
from collections.abc import Mapping

from roadscan.errors import ConfigError


def alpha_from_frequency(objects: Mapping[str, int]) -> dict[str, float]:
    """Objects by class -> alpha by class: the share of all objects that are of another class.

    A class is told from the others by one sigmoid, whose positives are its n_c objects and whose negatives are the
    other N - n_c. The weights alpha and 1 - alpha are inverse to these numbers where
    alpha n_c = (1 - alpha)(N - n_c), so alpha = 1 - n_c / N. Background, which is as large for every class, is not
    counted.

    Args:
        objects: of the training split, by class name.

    Returns:
        A value inside 0..1 for each class, in the order of the objects.

    Raises:
        ConfigError: a class has no objects, or there is one class alone.

    Source: Lin et al. 2017, arXiv:1708.02002, section 3.1 (alpha by inverse class frequency); the same as the
    class-balanced cross-entropy of Xie and Tu 2015, arXiv:1504.06375, eq. 2, which counts pixels.

    >>> alpha_from_frequency({"sign": 90, "bus stop": 10})
    {'sign': 0.1, 'bus stop': 0.9}
    """
    _check(objects, "from_frequency")
    total = sum(objects.values())
    return {name: (total - count) / total for name, count in objects.items()}


def alpha_from_effective_number(objects: Mapping[str, int], beta: float) -> dict[str, float]:
    """Objects by class -> alpha by class, inverse to the effective numbers (1 - beta^n) / (1 - beta) of objects.

    The more objects of a class there are, the less another one adds. The class-balanced weights w_c are inverse to the
    effective numbers and have the mean 1. They are taken as odds: positives weigh w_c times as much as negatives, so
    alpha = w / (1 + w), which is 0.5 for all classes where all are as frequent.

    Args:
        objects: of the training split, by class name.
        beta: inside 0..1: near 0 all weights are the same, near 1 they are inverse to the numbers of objects.

    Returns, Raises: as `alpha_from_frequency`.

    Source: Cui et al. 2019, arXiv:1901.05555, proposition 1 and section 4; there all terms of an object are weighted.

    >>> alpha = alpha_from_effective_number({"sign": 900, "bus stop": 100}, beta=0.999)
    >>> {name: round(value, 3) for name, value in alpha.items()}
    {'sign': 0.217, 'bus stop': 0.633}
    """
    _check(objects, "effective_number")
    inverse = {name: (1 - beta) / -math.expm1(count * math.log(beta)) for name, count in objects.items()}
    mean = sum(inverse.values()) / len(inverse)
    return {name: weight / (mean + weight) for name, weight in inverse.items()}


def _check(objects: Mapping[str, int], alpha: str) -> None:
    """Refuse numbers of objects that have no weights."""
    if len(objects) < 2:
        raise ConfigError(
            f"loss.alpha: got {alpha} with the class {', '.join(objects)} alone, where there is nothing to balance; "
            "expected a number, or nothing"
        )
    if missing := [name for name, count in objects.items() if not count]:
        raise ConfigError(
            f"loss.alpha: got {alpha}, but the training split has no objects of {', '.join(missing)}; expected objects "
            "of every class: leave those out of the dataset's classes, or give alpha by class yourself"
        )
