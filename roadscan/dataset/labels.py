"""What label files say, whatever their format: images by name, with objects by class name.

Each format's reader makes `Records`; `assemble` makes the one `Draft` of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from roadscan.dataset.draft import Points, Problem, Size, fault_of
from roadscan.dataset.occlusion import of_mark

MOST_PX = 2**31 - 1  # of a side, as of a PNG; a number of more than 64 bits is none to NumPy


class BadLabel(Exception):
    """A label that cannot be used; the message says what was got and what was expected."""


@dataclass(frozen=True, slots=True)
class LabelledObject:
    """One object of an image.

    Attributes:
        where: file and line, or file and annotation.
        class_name: as labelled.
        parts: as shares of the image's size: the two corners of a box, or one or more outlines.
        occlusion: a name of `occlusion.OCCLUSIONS`; None where the labels do not say.
    """

    where: str
    class_name: str
    parts: tuple[Points, ...]
    occlusion: str | None = None

    @property
    def is_box(self) -> bool:
        """Whether it has corners and no outline."""
        return len(self.parts[0]) == 2


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image as its labels describe it.

    Attributes:
        where: file and entry that name it.
        name: of the image file, as it is written there.
        size: where the labels say it.
        objects: in it.
        also: its name before the labelling tool gave it another.
        split: where the labels say it.
        drive_id, conditions: as in `LabelledImage`.
    """

    where: str
    name: str
    size: Size | None
    objects: list[LabelledObject]
    also: str | None = None
    split: str | None = None
    drive_id: str | None = None
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoObject:
    """A label of a class that has no area, such as a polyline: `what` it is."""

    where: str
    class_name: str
    what: str


@dataclass
class Records:
    """What one file or folder of labels says.

    Attributes:
        images: in their order.
        names: of all classes, in their order, also of those without an object; empty where only the objects tell.
        errors: labels that cannot be used.
        warnings: what a user may want to know.
        no_objects: labels without an area, which are errors unless their class is left out.
        left_out: how many labels are none of objects, by what they are.
    """

    images: list[ImageRecord] = field(default_factory=list)
    names: tuple[str, ...] = ()
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    no_objects: list[NoObject] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def add_error(self, where: str, text: object) -> None:
        """Note a label that cannot be used."""
        self.errors.append(Problem("bad label", where, str(text)))

    @contextmanager
    def collecting(self, where: str) -> Iterator[None]:
        """A `BadLabel` within becomes an error at this place."""
        try:
            yield
        except BadLabel as error:
            self.add_error(where, error)


def labelled(
    where: str, class_name: str, parts: Sequence[Points], size: Size, occlusion: str | None = None
) -> LabelledObject:
    """An object given in pixels.

    Args:
        where: as in `LabelledObject`.
        class_name: as labelled.
        parts: two corners, or outlines, in pixels.
        size: of the image.
        occlusion: as in `LabelledObject`.

    Raises:
        BadLabel: it has no area, or lies outside of the image.
    """
    shares = tuple(part / size for part in parts)
    fault = fault_of(np.concatenate(shares))
    if fault:
        raise BadLabel(f"the {'box' if len(parts[0]) == 2 else 'outline'} {fault}, in shares of the image's size")
    return LabelledObject(where, class_name.strip(), shares, occlusion)


def conditions_of(value: Any, what: str) -> tuple[str, ...]:
    """Names of conditions as they stand in a file, a text or a list of texts -> each once, sorted.

    Raises:
        BadLabel: it is something else, or a name is empty.

    >>> conditions_of(["rain", "night", "rain"], "conditions")
    ('night', 'rain')
    """
    names = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise BadLabel(f"{what}: got {str(value)[:80]}; expected names, such as night, rain")
    return tuple(sorted({name.strip() for name in names}))


def share_of(value: Any, what: str) -> float:
    """A share as it stands in a file.

    Raises:
        BadLabel: it is no number from 0 to 1.
    """
    found = numbers([value])
    if found is None or not 0 <= found[0] <= 1:
        raise BadLabel(f"{what} is {value!r}; expected a share from 0 to 1")
    return float(found[0])


def mark_of(value: Any, what: str) -> str | None:
    """Whether an object is marked as occluded, as it stands in a file: true, false, 1 or 0 -> its occlusion.

    Raises:
        BadLabel: it is something else.
    """
    marks = {"true": True, "1": True, "false": False, "0": False}
    if value is None:
        return None
    if (mark := marks.get(str(value).lower())) is None:
        raise BadLabel(f"{what} is {value!r}; expected true or false, or 1 or 0")
    return of_mark(mark)


def corners(sides: Iterable[Any], what: str) -> Points:
    """The two corners of a box, from its left, top, right and bottom as they stand in a file.

    Raises:
        BadLabel: they are not four finite numbers, or it has no area.
    """
    given = list(sides)
    values = numbers(given)
    if values is None or not (values[2] > values[0] and values[3] > values[1]):
        raise BadLabel(f"{what} is {given}; expected left, top, right and bottom, with an area")
    return values.reshape(2, 2)


def numbers(values: Any) -> npt.NDArray[np.float64] | None:
    """A list of numbers, or of texts that are numbers, as an array; None if it is none."""
    try:
        if not isinstance(values, list) or any(isinstance(value, bool) for value in values):
            return None
        return np.array([float(value) for value in values], np.float64)
    except (TypeError, ValueError):
        return None


def mapping(value: Any, what: str) -> dict[str, Any]:
    """A mapping as it stands in a file; an empty one for nothing.

    Raises:
        BadLabel: it is something else.
    """
    if value is not None and not isinstance(value, dict):
        raise BadLabel(f"{what} is {str(value)[:80]!r}; expected a mapping")
    return value or {}


def mappings(value: Any, what: str) -> list[dict[str, Any]]:
    """A list of mappings as it stands in a file; an empty one for nothing.

    Raises:
        BadLabel: it is something else.
    """
    if value is not None and not (isinstance(value, list) and all(isinstance(one, dict) for one in value)):
        raise BadLabel(f"{what} is {str(value)[:80]!r}; expected a list of mappings")
    return value or []


def whole(value: Any) -> int | None:
    """A whole number as it stands in a file: 160, 160.0 or "160"; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value  # as a float, an id of 17 digits would be another
    found = numbers([value])
    return int(found[0]) if found is not None and np.isfinite(found[0]) and found[0] == int(found[0]) else None


def size_of(width: Any, height: Any) -> Size:
    """The size of an image, from numbers as they stand in a file.

    Raises:
        BadLabel: they are not whole numbers from 1 to `MOST_PX`.
    """
    sides = whole(width), whole(height)
    if sides[0] is None or sides[1] is None or not 0 < min(sides[0], sides[1]) <= max(sides[0], sides[1]) <= MOST_PX:
        raise BadLabel(f"width, height are {(width, height)}; expected two whole numbers from 1 to {MOST_PX}")
    return Size(sides[0], sides[1])


def turned(points: Points, degrees: float, about: Points) -> Points:
    """Points in pixels turned clockwise, as the image is seen, about one of them or another."""
    angle = np.deg2rad(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    found: Points = (points - about) @ matrix + about
    return found


def ellipse(centre: Points, radii: Points, degrees: float = 0.0) -> Points:
    """The outline of an ellipse, of 32 points in pixels."""
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    outline = centre + radii * np.stack([np.cos(angles), np.sin(angles)], 1)
    return turned(outline, degrees, centre)


def box_around(points: Points) -> Points:
    """The two corners of the box around points."""
    return np.array([points.min(0), points.max(0)])


def rectangle(box: Points) -> Points:
    """The four corners of a box, clockwise."""
    (left, top), (right, bottom) = box
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
