"""Parts of what a model was tested on that are scored by themselves: images of a condition, objects of an occlusion.

Of a condition all is scored that is in its images. Of an occlusion the true objects that have it are: others are to be
ignored, and so are the detections that take one, as COCO does with sizes. Wrong detections have no occlusion and count
for each, so precision and average precision fall with the number of objects; recalls may be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from roadscan.evaluate.detection.matching import AREA_RANGES, Matches

By: TypeAlias = Literal["condition", "occlusion"]


@dataclass(frozen=True)
class Part:
    """A part of the images and objects.

    Attributes:
        by, name: what they have in common.
        among: of `Matches.ranges`, the objects that count.
        images: (m,) numbers of its images in the whole.
        matches: of these alone.
    """

    by: By
    name: str
    among: str
    images: npt.NDArray[np.int64]
    matches: Matches

    @property
    def truths(self) -> npt.NDArray[np.int64]:
        """(m, classes) true objects that count."""
        return self.matches.truths[:, :, self.matches.ranges.index(self.among)]

    @property
    def drives(self) -> int:
        """How many have such objects; with fewer than 2, nothing can be said of other drives."""
        return len(np.unique(self.matches.drives[self.truths.any(axis=1)]))


def parts_of(matches: Matches) -> tuple[Part, ...]:
    """Matches -> the parts that there are: conditions by name, then occlusions from what is seen best."""
    every = np.arange(len(matches.keys))
    hidden = [name for name in matches.ranges if name not in AREA_RANGES]
    return (
        *(_of_condition(matches, name) for name in sorted({name for names in matches.conditions for name in names})),
        *(Part("occlusion", name, name, every, matches) for name in hidden),
    )


def _of_condition(matches: Matches, name: str) -> Part:
    images = np.flatnonzero([name in names for names in matches.conditions])
    return Part("condition", name, "all", images, matches.select(images))
