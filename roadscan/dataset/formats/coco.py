"""COCO instances: one JSON file a split.

    annotations/instances_<split>.json      instances_train2017.json is train too, and so is instances_Train.json
    images/<split>/ or <split>/ or images/  where the images are

or, as Roboflow exports it, ``<split>/_annotations.coco.json`` beside the images. Outlines are polygons or run-length
masks. Crowds (``iscrowd``) are left out and counted. An entry of ``images`` may have ``drive_id`` and ``conditions``, a
list of names, or ``condition``, one; an annotation's ``attributes`` may have ``visibility``, the share of the object
that is to be seen, or ``occluded``, true or false, as Datumaro and CVAT write them.

Source: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from roadscan.dataset.draft import Points, Problem, Size, check_names
from roadscan.dataset.formats.trees import Tree, TreeFormat
from roadscan.dataset.labels import (
    BadLabel,
    ImageRecord,
    LabelledObject,
    Records,
    conditions_of,
    labelled,
    mapping,
    mark_of,
    numbers,
    share_of,
    size_of,
    whole,
)
from roadscan.dataset.occlusion import of_visibility
from roadscan.dataset.rle import outlines_of_rle

LISTS = ("images", "annotations", "categories")
CROWD = {0: False, 1: True}


def looks_like_coco(tree: Tree) -> bool:
    """Whether a tree has the lists of COCO instances, or most of them."""
    return isinstance(tree, dict) and sum(name in tree for name in LISTS) > 1


def read_coco(tree: Any, where: str) -> Records:
    """A tree -> its images and annotations.

    Raises:
        BadLabel: it is not COCO instances, or its categories are wrong.
        DatasetError: two categories have one name.
    """
    good = isinstance(tree, dict) and all(
        isinstance(tree.get(name), list) and all(isinstance(one, dict) for one in tree[name]) for name in LISTS
    )
    if not good:
        raise BadLabel(f"expected COCO instances: a mapping with the lists {', '.join(LISTS)}")
    return _Reader(where, tree["categories"]).read(tree["images"], tree["annotations"])


class _Reader:
    """Reads one tree, and collects what is wrong with it."""

    def __init__(self, where: str, categories: list[dict[str, Any]]) -> None:
        self._where = where
        self._names = _names_by_id(categories)
        self._images: dict[Any, ImageRecord | None] = {}  # by id; None where the entry cannot be used
        self._objects: dict[Any, list[LabelledObject]] = {}
        self.records = Records(names=check_names(list(self._names.values()), "categories"))
        self._parents = {
            str(one["supercategory"]) for one in categories if one.get("supercategory") not in (None, one["name"])
        }

    def read(self, images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> Records:
        for entry in images:
            self._add_image(entry)
        for entry in annotations:
            self._add_annotation(entry)
        self.records.images = [image for image in self._images.values() if image]
        self._tell_parents(annotations)
        return self.records

    def _add_image(self, entry: dict[str, Any]) -> None:
        image_id, where = _id(entry, "id"), f"{self._where}: image {entry.get('id')}"
        image = None
        with self.records.collecting(where):
            if image_id is None or image_id in self._images:
                raise BadLabel("expected an 'id', a whole number or a text that no other image has")
            name, size = entry.get("file_name"), (entry.get("width"), entry.get("height"))
            if not isinstance(name, str) or not name or any(isinstance(side, str) for side in size):
                raise BadLabel(f"file_name, width, height are {(name, *size)}; expected a name and two whole numbers")
            drive_id = None if entry.get("drive_id") is None else str(entry["drive_id"])
            one = [str(entry["condition"])] if entry.get("condition") else []
            conditions = conditions_of(entry.get("conditions") or one, "conditions")
            objects = self._objects[image_id] = []
            image = ImageRecord(where, name, size_of(*size), objects, drive_id=drive_id, conditions=conditions)
        self._images[image_id] = image  # of two with one id neither is used

    def _add_annotation(self, entry: dict[str, Any]) -> None:
        where = f"{self._where}: annotation {entry.get('id')}"
        with self.records.collecting(where):
            image_id = _id(entry, "image_id")
            if image_id not in self._images:
                raise BadLabel(f"image_id is {entry.get('image_id')!r}; expected the id of an image of this file")
            image = self._images[image_id]
            if image is None or image.size is None:
                return
            if _is_crowd(entry):
                self.records.left_out["crowds (iscrowd)"] += 1
                return
            name = self._names.get(_id(entry, "category_id"))
            if name is None:
                raise BadLabel(f"category_id is {entry.get('category_id')!r}; expected one of {sorted(self._names)}")
            parts = _parts(entry, image.size)
            self._objects[image_id].append(labelled(where, name, parts, image.size, _occlusion(entry)))

    def _tell_parents(self, annotations: list[dict[str, Any]]) -> None:
        """Warn of a category that only groups the others, as Roboflow's first one."""
        used = {_id(entry, "category_id") for entry in annotations}
        for category_id, name in self._names.items():
            if name in self._parents and category_id not in used:
                text = f"category {name!r} has no annotation and is the supercategory of others, yet becomes a class; "
                text += f"leave it out with 'classes: {{ignore: [{name}]}}'"
                self.records.warnings.append(Problem("class without object", self._where, text))


def _id(entry: dict[str, Any], name: str) -> int | str | None:
    """A whole number, also one written as 1.0, or a text; None for anything else."""
    value = entry.get(name)
    return value if isinstance(value, str) else whole(value)


def _is_crowd(entry: dict[str, Any]) -> bool:
    value = entry.get("iscrowd") or 0
    if whole(value) not in CROWD and not isinstance(value, bool):
        raise BadLabel(f"iscrowd is {value!r}; expected 0 or 1")
    return bool(value) if isinstance(value, bool) else CROWD[whole(value) or 0]


def _occlusion(entry: dict[str, Any]) -> str | None:
    attributes = mapping(entry.get("attributes"), "attributes")
    if (visible := attributes.get("visibility")) is not None:
        return of_visibility(share_of(visible, "visibility"))
    return mark_of(attributes.get("occluded"), "occluded")


def _parts(entry: dict[str, Any], size: Size) -> Sequence[Points]:
    """The outlines of an annotation, or else the two corners of its box, in pixels."""
    outline = entry.get("segmentation")
    if not outline:
        return [_corners(entry.get("bbox"))]
    if isinstance(outline, dict):
        try:
            parts = outlines_of_rle(outline, *size)
        except ValueError as error:
            raise BadLabel(f"segmentation: {error}") from None
        if not parts:
            raise BadLabel("segmentation: the mask is empty")
        return parts
    return [_polygon(part) for part in outline] if isinstance(outline, list) else [_polygon(outline)]


def _corners(box: Any) -> Points:
    values = None if isinstance(box, list) and any(isinstance(one, str) for one in box) else numbers(box)
    if values is None or len(values) != 4 or (values[2:] <= 0).any():
        raise BadLabel(f"bbox is {box!r}; expected [x, y, width, height] in pixels, with an area")
    return np.array([values[:2], values[:2] + values[2:]])


def _polygon(part: Any) -> Points:
    values = numbers(part)
    if values is None or len(values) < 6 or len(values) % 2:
        raise BadLabel(f"segmentation has {str(part)[:80]}; expected lists [x1, y1, x2, y2, x3, y3, …], or RLE")
    return values.reshape(-1, 2)


def _names_by_id(categories: list[dict[str, Any]]) -> dict[Any, str]:
    """Category names in order of their ids."""
    ids = [None if isinstance(one.get("id"), str) else whole(one.get("id")) for one in categories]
    if None in ids or not all(isinstance(one.get("name"), str) for one in categories):
        raise BadLabel("categories: expected in each a whole number 'id' and a text 'name'")
    if len(set(ids)) < len(ids):
        raise BadLabel("categories: two have the same id; expected each once")
    pairs = zip(ids, (one["name"].strip() for one in categories), strict=True)
    return dict(sorted(pairs, key=lambda pair: pair[0] or 0))


COCO = TreeFormat(looks_like_coco, read_coco, "COCO instances")
