"""Datasets in COCO's instances format, one JSON file a split.

    annotations/instances_<split>.json      instances_train2017.json is train too
    images/<split>/ or <split>/ or images/  where the images are

or a ``coco.yaml`` that says where they are:

    train: {annotations: labels/train.json, images: photos}
    val: {annotations: labels/val.json, images: photos}

Outlines are polygons or run-length masks; where one object has an outline all must have one, and boxes are around the
outlines. Crowds (``iscrowd``) are left out and counted. An entry of ``images`` may have ``drive_id`` and ``condition``.

Source: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from roadscan.dataset.draft import (
    SPLITS,
    Draft,
    DraftImage,
    Points,
    Problem,
    Size,
    boxes_around,
    check_names,
    fault_of,
)
from roadscan.dataset.files import Files
from roadscan.dataset.records import Task
from roadscan.dataset.rle import outlines_of_rle
from roadscan.errors import DatasetError
from roadscan.storage import check_key

FOLDER = "annotations"


@dataclass(frozen=True, slots=True)
class _Object:
    """One annotation: two corners, or one or more outlines, as shares of the image's size."""

    annotation: Any
    class_index: int
    parts: tuple[Points, ...]

    @property
    def is_box(self) -> bool:
        return len(self.parts[0]) == 2


@dataclass(frozen=True, slots=True)
class _Image:
    """One entry of the list of images, and its objects."""

    key: str
    size: Size
    drive_id: str | None
    condition: str | None
    objects: list[_Object]


class _BadEntry(Exception):
    """An entry that cannot be used; the message says why."""


def find_coco(files: Files) -> dict[str, tuple[str, str]]:
    """The annotation file and the image folder of each split, in a dataset without ``coco.yaml``."""
    found: dict[str, tuple[str, str]] = {}
    for key in files.keys(FOLDER):
        name = posixpath.basename(key).removeprefix("instances_").removesuffix(".json")
        split = next((split for split in SPLITS if name.startswith(split)), None)
        if split and key == f"{FOLDER}/instances_{name}.json":
            folders = (f"images/{name}", name, f"images/{split}", split, "images")
            found[split] = key, next((folder for folder in folders if files.keys(folder)), folders[0])
    return found


def places_of(tree: Mapping[str, Any], where: str) -> dict[str, tuple[str, str]]:
    """The same, from a ``coco.yaml``.

    Raises:
        DatasetError: a split is not given as annotations and images.
        StorageError: a path leads out of the root.
    """
    found = {}
    for split, entry in tree.items():
        paths = [entry.get(name) for name in ("annotations", "images")] if isinstance(entry, dict) else []
        texts = [posixpath.normpath(path) for path in paths if isinstance(path, str) and path]
        if split not in SPLITS or len(texts) != 2:
            raise DatasetError(
                f"{where}: {split}: got {entry!r}; expected train, val or test, each with 'annotations: a JSON file' "
                "and 'images: a folder'"
            )
        found[split] = check_key(texts[0]), "" if texts[1] == "." else check_key(texts[1])
    return found


def read_coco(files: Files, places: Mapping[str, tuple[str, str]]) -> Draft:
    """Read the annotations of a dataset.

    Args:
        files: its root.
        places: annotation file and image folder by split.

    Raises:
        DatasetError: a file is not COCO instances JSON, or the splits' categories differ. What is wrong with
            annotations and images is collected.
    """
    names: tuple[str, ...] = ()
    splits: dict[str, _Split] = {}
    for split, (json_key, folder) in places.items():
        where = files.store.uri_of(json_key)
        tree = _parsed(files.read(json_key), where)
        classes, own = _categories(tree["categories"], where)
        if names and own != names:
            raise DatasetError(f"{where}: categories are {list(own)}, in another split {list(names)}; make them agree")
        names = own
        splits[split] = _Split(json_key, folder, frozenset(files.keys(folder)), classes).read(tree)
    has_outlines = any(not one.is_box for split in splits.values() for one in split.objects())
    task: Task = "segment" if has_outlines else "detect"
    drafts = {name: split.drafts(task) for name, split in splits.items()}
    errors = [error for split in splits.values() for error in split.errors]
    warnings = [warning for split in splits.values() for warning in split.warnings()]
    return Draft(files, task, names, drafts, errors, warnings)


class _Split:
    """Reads one JSON file, and collects what is wrong with it.

    Args:
        where: its key.
        folder: of the images.
        there: keys of the images that there are.
        classes: class index by category id.
    """

    def __init__(self, where: str, folder: str, there: frozenset[str], classes: dict[int, int]) -> None:
        self._where, self._folder, self._there, self._classes = where, folder, there, classes
        self._images: dict[Any, _Image | None] = {}  # by id; None where the entry cannot be used
        self._keys: set[str] = set()
        self._crowds = 0
        self.errors: list[Problem] = []

    def read(self, tree: dict[str, list[dict[str, Any]]]) -> _Split:
        """Read all images and annotations."""
        for entry in tree["images"]:
            try:
                self._images[_id(entry, "id")] = self._image(entry)
            except _BadEntry as error:
                self._images[_id(entry, "id")] = None  # of two with one id neither is used
                self._add_error("image", entry, error)
        for entry in tree["annotations"]:
            try:
                self._add_annotation(entry)
            except _BadEntry as error:
                self._add_error("annotation", entry, error)
        return self

    def objects(self) -> list[_Object]:
        """All of them."""
        return [one for image in self._images.values() if image for one in image.objects]

    def warnings(self) -> list[Problem]:
        """What is left out."""
        text = f"annotations of crowds (iscrowd) are left out: {self._crowds}"
        return [Problem("crowd left out", self._where, text)] if self._crowds else []

    def drafts(self, task: Task) -> list[DraftImage]:
        """The images; in a dataset with outlines, objects without one are errors."""
        return [self._draft(image, task) for image in self._images.values() if image]

    def _draft(self, image: _Image, task: Task) -> DraftImage:
        objects = image.objects
        if task == "segment":
            text = "it has no outline, and others of this dataset have; give every object an outline, or none"
            for one in objects:
                if one.is_box:
                    self._add_error("annotation", {"id": one.annotation}, text)
            objects = [one for one in objects if not one.is_box]
        outlines = [one.parts for one in objects]
        return DraftImage(
            key=image.key,
            size=image.size,
            classes=[one.class_index for one in objects],
            boxes=boxes_around(outlines),
            outlines=outlines if task == "segment" else (),
            drive_id=image.drive_id,
            condition=image.condition,
        )

    def _add_error(self, what: str, entry: dict[str, Any], text: object) -> None:
        self.errors.append(Problem("bad label", f"{self._where}: {what} {entry.get('id')}", str(text)))

    def _image(self, entry: dict[str, Any]) -> _Image | None:
        name, size = entry.get("file_name"), (entry.get("width"), entry.get("height"))
        if _id(entry, "id") is None or _id(entry, "id") in self._images:
            raise _BadEntry("expected an 'id', a number that no other image has")
        if not isinstance(name, str) or not all(isinstance(side, int) and side > 0 for side in size):
            raise _BadEntry(f"file_name, width, height are {(name, *size)}; expected a name and two whole numbers")
        key = posixpath.normpath(posixpath.join(self._folder, name))
        if key in self._keys:
            raise _BadEntry(f"{name} is listed twice")
        self._keys.add(key)
        if key not in self._there:
            self.errors.append(Problem("missing image", key, f"there is no such image, and {self._where} names it"))
            return None
        drive_id, condition = (None if entry.get(k) is None else str(entry[k]) for k in ("drive_id", "condition"))
        return _Image(key, Size(*size), drive_id, condition, [])  # type: ignore[arg-type]

    def _add_annotation(self, entry: dict[str, Any]) -> None:
        image_id = _id(entry, "image_id")
        if image_id not in self._images:
            raise _BadEntry(f"image_id is {entry.get('image_id')!r}; expected the id of an image of this file")
        image = self._images[image_id]
        if image is None:
            return
        if entry.get("iscrowd"):
            self._crowds += 1
            return
        class_index = self._classes.get(_id(entry, "category_id"))
        if class_index is None:
            raise _BadEntry(f"category_id is {entry.get('category_id')!r}; expected one of {sorted(self._classes)}")
        parts = _parts(entry, image.size)
        fault = fault_of(np.concatenate(parts))
        if fault:
            raise _BadEntry(f"the {'box' if len(parts[0]) == 2 else 'outline'} {fault}, in shares of the image's size")
        image.objects.append(_Object(entry.get("id"), class_index, parts))


def _id(entry: dict[str, Any], name: str) -> Any:
    """A number or a text; None for anything else."""
    value = entry.get(name)
    return value if isinstance(value, int | str) else None


def _parts(entry: dict[str, Any], size: Size) -> tuple[Points, ...]:
    """The outlines of an annotation, or else the two corners of its box, as shares of the image's size."""
    outline = entry.get("segmentation")
    if not outline:
        return (_corners(entry.get("bbox")) / size,)
    if isinstance(outline, dict):
        try:
            parts = outlines_of_rle(outline, *size)
        except ValueError as error:
            raise _BadEntry(f"segmentation: {error}") from None
        if not parts:
            raise _BadEntry("segmentation: the mask is empty")
    else:
        parts = [_polygon(part) for part in outline] if isinstance(outline, list) else [_polygon(outline)]
    return tuple(part / size for part in parts)


def _corners(box: Any) -> Points:
    numbers = _numbers(box)
    if numbers is None or len(numbers) != 4 or not (numbers[2:] > 0).all():
        raise _BadEntry(f"bbox is {box!r}; expected [x, y, width, height] in pixels, with an area")
    return np.array([numbers[:2], numbers[:2] + numbers[2:]])


def _polygon(part: Any) -> Points:
    numbers = _numbers(part)
    if numbers is None or len(numbers) < 6 or len(numbers) % 2:
        raise _BadEntry(f"segmentation has {str(part)[:80]}; expected lists [x1, y1, x2, y2, x3, y3, …], or RLE")
    return numbers.reshape(-1, 2)


def _numbers(values: Any) -> npt.NDArray[np.float64] | None:
    """A list of numbers as an array; None if it is none."""
    if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
        return None
    return np.array(values, np.float64)


def _parsed(data: bytes, where: str) -> dict[str, Any]:
    try:
        tree = json.loads(data)
    except ValueError as error:
        raise DatasetError(f"{where}: not JSON: {error}") from None
    lists = ("images", "annotations", "categories")
    good = isinstance(tree, dict) and all(
        isinstance(tree.get(name), list) and all(isinstance(one, dict) for one in tree[name]) for name in lists
    )
    if not good:
        raise DatasetError(f"{where}: expected COCO instances: a mapping with the lists {', '.join(lists)}")
    return dict(tree)


def _categories(found: list[dict[str, Any]], where: str) -> tuple[dict[int, int], tuple[str, ...]]:
    """Class index by category id, and the names in order of the ids."""
    if not all(isinstance(one.get("id"), int) and isinstance(one.get("name"), str) for one in found):
        raise DatasetError(f"{where}: categories: expected in each a whole number 'id' and a text 'name'")
    ordered = sorted(found, key=lambda one: int(one["id"]))
    classes = {int(one["id"]): index for index, one in enumerate(ordered)}
    if len(classes) < len(ordered):
        raise DatasetError(f"{where}: categories: two have the same id; expected each once")
    return classes, check_names([one["name"] for one in ordered], f"{where}: categories")
