"""Weights of classes from how many objects of each there are in a training split."""

from __future__ import annotations

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
    total = _total(objects, "from_frequency")
    return {name: (total - count) / total for name, count in objects.items()}


def _total(objects: Mapping[str, int], alpha: str) -> int:
    """The number of all objects, where there are some of each class.

    Raises:
        ConfigError: as `alpha_from_frequency`.
    """
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
    return sum(objects.values())
