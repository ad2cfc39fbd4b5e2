"""Where values lie on the axes of pictures: numbers, words, and both on one axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import LogLocator, MaxNLocator
from scipy.optimize import isotonic_regression

LOG_RANGE = 50  # greatest by smallest, from which a field is shown by factors
FEW_VALUES = 6  # up to which each has its own tick or cell
CELLS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # widths
WORDS_APART, GAP, TICK_GAP = 0.08, 0.04, 0.03  # of an axis's height
VARIANTS = "nsmlx"  # by size


class Scale:
    """Where the values of a field lie on an axis of height 1: words, such as none, at the bottom, numbers above a gap.

    Attributes:
        words: places of the values that are not on the numbers' line.
        bottom: where the numbers' line begins; 1 where there is none.
        ticks: places that are to be labelled.
    """

    def __init__(self, values: Iterable[Any], percent: bool = False) -> None:
        """Make a scale on which all of the values have a place; ``percent``: they are shares of 1."""
        values, self._percent = [*values], percent
        numbers = sorted({value for value in values if is_number(value)})
        positive = [number for number in numbers if number > 0]
        is_log = bool(positive) and not percent and numbers[0] >= 0 and positive[-1] >= LOG_RANGE * positive[0]
        line = positive if is_log else numbers  # of factors there is no 0
        if len(line) < 2:
            line = []
        apart = {self._label(value): value for value in values if not is_number(value) or value not in line}
        words = sorted(apart, key=lambda word: order(apart[word]))
        places = WORDS_APART * np.arange(len(words)) if line else np.linspace(0, 1, len(words))
        self.words = dict(zip(words, places.tolist(), strict=True))
        self.bottom = 1.0 if not line else places[-1] + WORDS_APART + GAP if words else 0.0
        low, high = (line[0], line[-1]) if line else (0, 1)
        self._norm = (LogNorm if is_log else Normalize)(low, high)
        nice = LogLocator(subs=(1, 3)) if is_log else MaxNLocator(6, steps=[1, 2, 2.5, 5, 10])
        self.ticks = dict(self.words)
        for number in line if len(line) <= FEW_VALUES else nice.tick_values(low, high):
            place = self.place(number)
            if low <= number <= high and all(abs(place - other) >= TICK_GAP for other in self.ticks.values()):
                self.ticks[self._label(number)] = place

    def place(self, value: Any) -> float:
        """Where a value lies, from 0 to 1."""
        word = self._label(value)
        return self.words[word] if word in self.words else self.bottom + (1 - self.bottom) * float(self._norm(value))

    def _label(self, value: Any) -> str:
        if self._percent:
            return percent(value)
        if not is_number(value):
            return "none" if value is None else str(value)
        return f"{value:g}" if value == round(value) else f"{value:.3g}"


def bins(values: Iterable[Any]) -> dict[str, list[Any]]:
    """The values by cell, with the empty cells among them; none, words, 0 and few short numbers have their own.

    >>> bins([1.5, None, 0, 2.75])
    {'none': [None], '0': [0], '1.5': [1.5], '2.75': [2.75]}
    >>> bins(["from_frequency", 0.25])
    {'from_frequency': ['from_frequency'], '0.25': [0.25]}
    >>> bins([0, 1.126, 1.874, 2.9])
    {'0': [0], '1 to 1.5': [1.126], '1.5 to 2': [1.874], '2 to 2.5': [], '2.5 to 3': [2.9]}
    """
    found = {*values}
    numbers = sorted(value for value in found - {0} if is_number(value))
    cells: dict[str, list[Any]] = {"none": [None]} if None in found else {}
    cells |= {word: [word] for word in sorted(value for value in found if isinstance(value, str))}
    cells |= {"0": [0]} if 0 in found else {}
    if len(numbers) <= FEW_VALUES and all(len(f"{number:g}") <= 4 for number in numbers):
        return cells | {f"{number:g}": [number] for number in numbers}
    for width in CELLS:
        # Rounded, since 0.3 is 2.9999999999999996 times 0.1.
        places = [round(number / width, 6) for number in numbers]
        first, last = math.floor(places[0]), math.ceil(places[-1])
        if last - first <= FEW_VALUES:
            break
    for cell in range(first, last):  # the last with both of its ends
        inside = [one for one, place in zip(numbers, places, strict=True) if min(math.floor(place), last - 1) == cell]
        cells[f"{cell * width:g} to {(cell + 1) * width:g}"] = inside
    return cells


def spread(wanted: Sequence[float], gap: float, top: float) -> list[float]:
    """Places as near as can be to the ascending ones wanted, at least a gap apart, and not above the top.

    >>> spread([1.0, 1.0, 5.0], 2.0, 9.0)
    [0.0, 2.0, 5.0]
    """
    if not wanted:
        return []
    gaps = gap * np.arange(len(wanted))
    return (np.minimum(isotonic_regression(wanted - gaps).x, top - gaps[-1]) + gaps).tolist()  # type: ignore[no-any-return]


def is_number(value: Any) -> bool:
    """Whether it is a number, which a bool is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def order(value: Any) -> tuple[int, float, str]:
    """By which values are sorted: none, numbers, words; variants by size."""
    if value is None or is_number(value):
        return (0, 0.0, "") if value is None else (1, value, "")
    return (2, VARIANTS.find(str(value)), str(value))


def percent(share: float) -> str:
    """A share of 1 in words."""
    return f"{100 * share:.3g} %"
