"""How much of an object other things hide: the name of a share, or of what an annotator marked.

Source of the bands: Dollár, Wojek, Schiele and Perona, Pedestrian Detection: An Evaluation of the State of the Art,
2012, section 2.3: partial is up to 35 % of the object's area, heavy is more.
"""

from __future__ import annotations

NOT_OCCLUDED, PARTLY, HEAVILY, OCCLUDED = "not occluded", "partly occluded", "heavily occluded", "occluded"

#: All names, from what is seen best. The last is of what is marked as occluded, without how much of it is.
OCCLUSIONS = (NOT_OCCLUDED, PARTLY, HEAVILY, OCCLUDED)

LEAST_HIDDEN, PARTLY_HIDDEN = 0.05, 0.35  # shares; less than the first is the width of an edge


def of_visibility(visible: float) -> str:
    """The share of an object that is to be seen -> the name of its occlusion.

    >>> [of_visibility(share) for share in (1.0, 0.9, 0.65, 0.4)]
    ['not occluded', 'partly occluded', 'partly occluded', 'heavily occluded']
    """
    hidden = 1 - visible
    return NOT_OCCLUDED if hidden < LEAST_HIDDEN else PARTLY if hidden < PARTLY_HIDDEN + 1e-9 else HEAVILY


def of_mark(occluded: bool) -> str:
    """Whether an annotator marked an object as occluded -> the name of its occlusion."""
    return OCCLUDED if occluded else NOT_OCCLUDED
