"""BDD100K and Scalabel: one JSON file a split, boxes in pixels.

    labels/bdd100k_labels_images_<split>.json or labels/det_20/det_<split>.json
    images/100k/<split>/<name>.jpg

Only labels with ``box2d`` are objects; lanes and drivable areas are left out and counted. A frame's video is its drive,
and its time of day and weather are its conditions; a box may be
``occluded``. Where no size is said, frames are BDD100K's 1280 x 720 px.

Source: https://doc.bdd100k.com/format.html.
"""

from __future__ import annotations

from typing import Any

from roadscan.dataset.draft import Size
from roadscan.dataset.formats.trees import Tree, TreeFormat
from roadscan.dataset.labels import (
    BadLabel,
    ImageRecord,
    LabelledObject,
    Records,
    corners,
    labelled,
    mapping,
    mappings,
    mark_of,
    size_of,
)

SIZE = Size(1280, 720)
#: Conditions by attribute and its value; what is not here is none.
CONDITIONS = {
    "weather": {"rainy": "rain", "snowy": "snow", "foggy": "fog"},
    "timeofday": {"daytime": "day", "dawn/dusk": "dusk", "night": "night"},
}


def looks_like_bdd100k(tree: Tree) -> bool:
    """Whether a tree is a list of frames with a name and labels."""
    frames = tree.get("frames") if isinstance(tree, dict) else tree
    return isinstance(frames, list) and all(isinstance(one, dict) and "name" in one for one in frames[:1])


def read_bdd100k(tree: Any, where: str) -> Records:
    """A tree -> its frames and their boxes.

    Raises:
        BadLabel: it is no list of frames.
    """
    frames = tree.get("frames") if isinstance(tree, dict) else tree
    if not isinstance(frames, list) or not all(isinstance(one, dict) for one in frames):
        raise BadLabel("expected BDD100K: a list of frames, each with 'name' and 'labels'")
    whole = mapping(tree.get("config"), "config").get("imageSize") if isinstance(tree, dict) else None
    records = Records()
    for number, frame in enumerate(frames):
        place = f"{where}: frame {frame.get('name', number)}"
        with records.collecting(place):
            if not isinstance(frame.get("name"), str) or not frame["name"]:
                raise BadLabel("name is missing; expected the image's")
            size = _size(frame.get("size") or whole)
            objects = _objects(frame, size, place, records)
            drive_id = frame.get("videoName") or frame.get("video_name")
            conditions = _conditions(mapping(frame.get("attributes"), "attributes"))
            drive_id = drive_id if isinstance(drive_id, str) else None
            image = ImageRecord(place, frame["name"], size, objects, drive_id=drive_id, conditions=conditions)
            records.images.append(image)
    return records


def _objects(frame: dict[str, Any], size: Size, place: str, records: Records) -> list[LabelledObject]:
    objects: list[LabelledObject] = []
    for number, label in enumerate(mappings(frame.get("labels"), "labels")):
        where = f"{place}, label {label.get('id', number)}"
        with records.collecting(where):
            name, box = label.get("category"), label.get("box2d")
            if not isinstance(name, str) or not name:
                raise BadLabel("category is missing; expected the object's class")
            if not isinstance(box, dict):
                records.left_out[f"{name} without box2d"] += 1
                continue
            sides = (box.get(side) for side in ("x1", "y1", "x2", "y2"))
            hidden = mark_of(mapping(label.get("attributes"), "attributes").get("occluded"), "occluded")
            objects.append(labelled(where, name, [corners(sides, "box2d")], size, hidden))
    return objects


def _size(said: Any) -> Size:
    return size_of(said.get("width"), said.get("height")) if isinstance(said, dict) else SIZE


def _conditions(attributes: dict[str, Any]) -> tuple[str, ...]:
    found = (names.get(str(attributes.get(of))) for of, names in CONDITIONS.items())
    return tuple(sorted(name for name in found if name is not None))


BDD100K = TreeFormat(looks_like_bdd100k, read_bdd100k, "BDD100K or Scalabel: a list of frames")
