"""CVAT for images 1.1: one XML file of a task or project, with boxes, polygons, masks and ellipses in pixels.

    annotations.xml
    images/<name>.jpg or images/<subset>/<name>.jpg

An image of a project says its subset, which is its split where that is named so. Of a turned box the box around it is
taken. Image tags are the image's conditions; an object may be marked as ``occluded``. CVAT for video has tracks, and is
refused.

Source: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/.
"""

from __future__ import annotations

from dataclasses import replace
from xml.etree.ElementTree import Element

import numpy as np

from roadscan.dataset.draft import Points, Size
from roadscan.dataset.formats.layouts import split_of
from roadscan.dataset.formats.trees import Tree, TreeFormat
from roadscan.dataset.labels import (
    BadLabel,
    ImageRecord,
    LabelledObject,
    NoObject,
    Records,
    box_around,
    conditions_of,
    corners,
    ellipse,
    labelled,
    mark_of,
    numbers,
    rectangle,
    size_of,
    turned,
)
from roadscan.dataset.rle import outlines_of_mask

WITHOUT_AREA = ("polyline", "points", "cuboid", "skeleton")


def looks_like_cvat(tree: Tree) -> bool:
    """Whether a tree is the XML of CVAT, for images or video."""
    return isinstance(tree, Element) and tree.tag == "annotations"


def read_cvat(tree: Element, where: str) -> Records:
    """A tree -> its images and objects.

    Raises:
        BadLabel: it is CVAT for video.
    """
    if tree.find("track") is not None:
        raise BadLabel("it has tracks, so it is CVAT for video; export it as 'CVAT for images 1.1'")
    labels = [
        (one.findtext("name") or "").strip() for one in tree.iterfind("meta//label") if one.find("parent") is None
    ]
    records = Records(names=tuple(dict.fromkeys(filter(None, labels))))
    for image in tree.iterfind("image"):
        place = f"{where}: image {image.get('id')}"
        with records.collecting(place):
            size, name = size_of(image.get("width"), image.get("height")), image.get("name") or ""
            if not name:
                raise BadLabel("name is missing; expected the image's")
            objects: list[LabelledObject] = []
            tags = [tag.get("label", "") for tag in image.iterfind("tag")]
            made = ImageRecord(place, name, size, objects, conditions=conditions_of(tags, "tag"))
            records.images.append(replace(made, split=split_of(image.get("subset") or "")))
            shapes = (shape for shape in image if shape.tag != "tag")
            for number, shape in enumerate(shapes, 1):
                _add_shape(
                    shape, f"{where}: image {image.get('id')} ({name}), {shape.tag} {number}", size, objects, records
                )
    return records


def _add_shape(shape: Element, where: str, size: Size, objects: list[LabelledObject], records: Records) -> None:
    with records.collecting(where):
        name = (shape.get("label") or "").strip()
        if not name:
            raise BadLabel("label is missing; expected the object's class")
        if shape.tag in WITHOUT_AREA:
            records.no_objects.append(NoObject(where, name, shape.tag))
        else:
            objects.append(labelled(where, name, _parts(shape, size), size, mark_of(shape.get("occluded"), "occluded")))


def _parts(shape: Element, size: Size) -> list[Points]:
    """Corners or outlines of a shape, in pixels."""
    if shape.tag == "box":
        box = corners((shape.get(side) for side in ("xtl", "ytl", "xbr", "ybr")), "box")
        degrees = _number(shape, "rotation", "0")
        return [box_around(turned(rectangle(box), degrees, box.mean(0))) if degrees else box]
    if shape.tag == "polygon":
        text = shape.get("points") or ""
        values = numbers([number for point in text.split(";") for number in point.split(",")])
        if values is None or len(values) < 6 or len(values) % 2:
            raise BadLabel(f"points are {text[:80]!r}; expected x,y;x,y;x,y…")
        return [values.reshape(-1, 2)]
    if shape.tag == "ellipse":
        cx, cy, rx, ry = (_number(shape, name) for name in ("cx", "cy", "rx", "ry"))
        return [ellipse(np.array([cx, cy]), np.array([rx, ry]), _number(shape, "rotation", "0"))]
    if shape.tag == "mask":
        return _mask(shape, size)
    raise BadLabel(f"<{shape.tag}> is not known; expected box, polygon, mask or ellipse")


def _mask(shape: Element, size: Size) -> list[Points]:
    """Outlines of a mask: runs of 0 and 1 in turn, row by row within its rectangle."""
    left, top, width, height = (int(_number(shape, name)) for name in ("left", "top", "width", "height"))
    if min(left, top) < 0 or left + width > size.width_px or top + height > size.height_px:
        raise BadLabel(f"the mask's rectangle is {width} x {height} px at {left}, {top}; expected it inside the image")
    runs = numbers((shape.get("rle") or "").split(","))
    if runs is None or min(width, height) <= 0 or (runs < 0).any() or (runs % 1).any() or runs.sum() != width * height:
        raise BadLabel(f"rle does not add up to width x height, {width} x {height}")
    values = np.repeat(np.arange(len(runs)) % 2, runs.astype(np.int64)).astype(np.uint8)
    parts = outlines_of_mask(values.reshape(height, width))
    if not parts:
        raise BadLabel("the mask is empty")
    return [part + np.array([left, top]) for part in parts]


def _number(shape: Element, name: str, default: str | None = None) -> float:
    found = numbers([shape.get(name, default)])
    if found is None or not np.isfinite(found[0]):
        raise BadLabel(f"{name} is {shape.get(name)!r}; expected a number")
    return float(found[0])


CVAT = TreeFormat(looks_like_cvat, read_cvat, "CVAT for images 1.1: an XML file <annotations>")
