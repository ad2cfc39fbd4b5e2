"""Colours of classes that also people who confuse red with green, or blue with yellow, tell apart.

The first six are of M. Okabe and K. Ito, "Color Universal Design" (2008), without their yellow and black, which are
lost on a light and on a dark ground; the others of P. Tol, "Colour Schemes" (2021), bright and muted.
A class is never told by its colour alone: its name stands beside it, and its state is told by the form of its mark.
"""

from __future__ import annotations

from collections.abc import Sequence

from roadscan.taxonomy import HIGHWAY

KNOWN = ("#d55e00", "#cc79a7", "#009e73", "#0072b2", "#56b4e9", "#e69f00", "#aa3377")
OTHERS = ("#44aa99", "#999933", "#332288", "#cc6677", "#117733", "#aa4499", "#88ccee")


def colors_of(names: Sequence[str]) -> list[str]:
    """A colour for each class: those that roadscan knows have their own, the others take turns.

    >>> colors_of(["Warning Sign", "Tree"])
    ['#e69f00', '#44aa99']
    """
    own = dict(zip(HIGHWAY.names, KNOWN, strict=True))
    others = [name for name in names if name not in own]
    own |= {name: OTHERS[n % len(OTHERS)] for n, name in enumerate(others)}
    return [own[name] for name in names]
