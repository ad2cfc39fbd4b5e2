"""Mapillary Traffic Sign Dataset: one JSON file an image, boxes in pixels.

    annotations/<image key>.json
    splits/train.txt, val.txt, test.txt     image keys, one a line; those of test have no annotations
    images/<image key>.jpg

There are hundreds of classes, ``regulatory--stop--g1``; `classes.map` makes few of them. A sign across the edge of a
panorama is left out and counted; the property ``occluded`` is read.

Source: https://www.mapillary.com/dataset/trafficsign, its README.
"""

from __future__ import annotations

import posixpath
from typing import Any

from roadscan.dataset.draft import Size
from roadscan.dataset.formats.trees import Folder, Tree, TreeFormat
from roadscan.dataset.labels import (
    BadLabel,
    ImageRecord,
    LabelledObject,
    Records,
    corners,
    labelled,
    mapping,
    mark_of,
    size_of,
)


def looks_like_mapillary(tree: Tree) -> bool:
    """Whether all files of a folder are annotations of one image each."""
    return isinstance(tree, Folder) and all(isinstance(one, dict) and "objects" in one for one in tree.trees.values())


def read_mapillary(tree: Folder, _: str) -> Records:
    """A folder of annotations -> its images and signs."""
    records = Records()
    for key, one in tree.trees.items():
        with records.collecting(key):
            if not isinstance(one, dict) or not isinstance(one.get("objects"), list):
                raise BadLabel("expected width, height and a list 'objects'")
            size = size_of(one.get("width"), one.get("height"))
            name = posixpath.splitext(posixpath.basename(key))[0]
            records.images.append(ImageRecord(key, name, size, _signs(one["objects"], size, key, records)))
    return records


def _signs(found: list[Any], size: Size, key: str, records: Records) -> list[LabelledObject]:
    signs: list[LabelledObject] = []
    for number, sign in enumerate(found):
        where = f"{key}: object {sign.get('key', number) if isinstance(sign, dict) else number}"
        with records.collecting(where):
            name, box = (sign.get("label"), sign.get("bbox")) if isinstance(sign, dict) else (None, None)
            if not isinstance(name, str) or not isinstance(box, dict):
                raise BadLabel(f"label is {name!r}, bbox {box!r}; expected a text, and xmin, ymin, xmax, ymax")
            if "cross_boundary" in box or "cross_boundary" in sign:
                records.left_out["signs across the edge of a panorama"] += 1
                continue
            sides = (box.get(side) for side in ("xmin", "ymin", "xmax", "ymax"))
            hidden = mark_of(mapping(sign.get("properties"), "properties").get("occluded"), "occluded")
            signs.append(labelled(where, name, [corners(sides, "bbox")], size, hidden))
    return signs


MAPILLARY = TreeFormat(looks_like_mapillary, read_mapillary, "Mapillary Traffic Sign: a folder of JSON files")
