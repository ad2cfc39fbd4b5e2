"""Asset classes as data: what they are called, how large they are, how they stand on the ground.

Nothing in roadscan branches on a class name. Code asks the taxonomy for a property, and a class that the
taxonomy does not know is a point asset with no size prior (`Taxonomy.get`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Geometry(StrEnum):
    """How an asset lies on the map."""

    POINT = "point"  #: stands at one place beside the road
    LINE = "line"  #: runs along the road, e.g. a guardrail
    OVERHEAD = "overhead"  #: spans the road; only its place along the road is meaningful


@dataclass(frozen=True, slots=True)
class AssetClass:
    """One class of road asset.

    Attributes:
        name: canonical name, as in the tables.
        geometry: point, line or overhead.
        height_m: typical height of the visible object (the box), for ranges from apparent size; None if unknown.
        height_rel_sigma: relative standard deviation of `height_m` within the class.
        grounded: the bottom edge of the box is where the object meets the ground, so a ground-plane range is valid.
        merge_m: two assets of this class are never closer than this in metres, so closer detections are one asset.
        color_rgb: the class's colour on every picture.
        ignored: its detections are left out of the register.
    """

    name: str
    geometry: Geometry = Geometry.POINT
    height_m: float | None = None
    height_rel_sigma: float = 0.3
    grounded: bool = False
    merge_m: float = 4.5
    color_rgb: tuple[int, int, int] = (128, 128, 128)
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """A set of asset classes, by name.

    Attributes:
        classes: what is known of them.
        others_ignored: whether the detections of all other classes are left out of the register.
    """

    classes: tuple[AssetClass, ...]
    others_ignored: bool = False

    def get(self, name: str) -> AssetClass:
        """The class of that name, or a point class with no size prior when the taxonomy does not know it."""
        other = AssetClass(name, ignored=self.others_ignored)
        return next((c for c in self.classes if c.name == name), other)

    @property
    def names(self) -> tuple[str, ...]:
        """All class names, in order."""
        return tuple(c.name for c in self.classes)


# Heights are of the whole visible object, from Thai Department of Highways standard drawings where one exists
# (sign faces, lighting poles, footbridges), else from what the simulator and the field show.
HIGHWAY = Taxonomy(
    (
        AssetClass("Pavilion", height_m=3.4, height_rel_sigma=0.15, grounded=True, merge_m=8, color_rgb=(214, 120, 36)),
        AssetClass(
            "Pedestrian Bridge",
            geometry=Geometry.OVERHEAD,
            height_m=8.0,
            height_rel_sigma=0.15,
            grounded=True,
            merge_m=30,
            color_rgb=(143, 88, 188),
        ),
        AssetClass("Information Sign", height_m=2.4, height_rel_sigma=0.4, merge_m=6, color_rgb=(31, 119, 60)),
        AssetClass(
            "Single-Arm Pole", height_m=9.0, height_rel_sigma=0.1, grounded=True, merge_m=8, color_rgb=(70, 130, 200)
        ),
        AssetClass("Bus Stop", height_m=2.7, height_rel_sigma=0.12, grounded=True, merge_m=6, color_rgb=(20, 170, 170)),
        AssetClass("Warning Sign", height_m=0.85, height_rel_sigma=0.15, merge_m=4.5, color_rgb=(232, 190, 20)),
        AssetClass("Concrete Guardrail", geometry=Geometry.LINE, height_m=0.85, grounded=True, color_rgb=(200, 60, 60)),
    )
)

#: The five classes with masks; a lighting pole and a bus stop sign are too thin for a useful mask.
SEGMENTABLE = ("Pavilion", "Pedestrian Bridge", "Information Sign", "Warning Sign", "Concrete Guardrail")
