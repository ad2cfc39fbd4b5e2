"""Label Studio's JSON: a list of tasks, each an image and what was drawn in it, in percent of its size.

A project has no splits: the dataset's YAML file has the same annotations for each, with a list of its images. Of a task
with several annotations the one marked as ground truth is taken; cancelled ones and predictions are passed over.
Choices of a whole image are its conditions.

Source: https://labelstud.io/guide/export#Label-Studio-JSON-format-of-annotated-tasks.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any
from urllib.parse import parse_qs

import numpy as np

from roadscan.dataset.draft import Points, Size
from roadscan.dataset.formats.trees import Tree, TreeFormat
from roadscan.dataset.labels import (
    BadLabel,
    ImageRecord,
    LabelledObject,
    NoObject,
    Records,
    box_around,
    conditions_of,
    ellipse,
    labelled,
    mappings,
    numbers,
    rectangle,
    size_of,
    turned,
)

UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an uploaded file

SHAPES = ("rectangle", "polygon", "ellipse", "brush", "keypoint")  # whose labels are a result of their own


def looks_like_label_studio(tree: Tree) -> bool:
    """Whether a tree is a list of tasks with data and annotations."""
    return isinstance(tree, list) and all(isinstance(one, dict) and "data" in one for one in tree[:1])


def read_label_studio(tree: Any, where: str) -> Records:
    """A tree -> its images and objects.

    Raises:
        BadLabel: it is no list of tasks.
    """
    if not isinstance(tree, list) or not all(isinstance(one, dict) for one in tree):
        raise BadLabel("expected Label Studio's JSON: a list of tasks, each with 'data' and 'annotations'")
    records = Records()
    for number, task in enumerate(tree):
        place = f"{where}: task {task.get('id', number)}"
        with records.collecting(place):
            results = _results(task)
            objects: list[LabelledObject] = []
            sizes = [_size(one) for one in results if "original_width" in one]
            name = _image_name(task.get("data"))
            plain = UPLOADED.sub("", posixpath.basename(name))
            also = plain if plain != posixpath.basename(name) else None
            conditions = conditions_of([name for one in results for name in _choices(one)], "choices")
            size = sizes[0] if sizes else None
            records.images.append(ImageRecord(place, name, size, objects, also=also, conditions=conditions))
            for result in results:
                _add_result(result, f"{place}, region {result.get('id')}", objects, records)
    return records


def _results(task: dict[str, Any]) -> list[dict[str, Any]]:
    """What was drawn, in the one annotation of a task that counts."""
    made = [one for one in mappings(task.get("annotations"), "annotations") if not one.get("was_cancelled")]
    chosen = [one for one in made if one.get("ground_truth")] or made
    if len(chosen) > 1:
        raise BadLabel(f"has {len(chosen)} annotations; expected one, or one of them marked as ground truth")
    return mappings(chosen[0].get("result"), "result") if chosen else []


def _image_name(data: Any) -> str:
    """The image's name: `image`, or else the only text of a task's data; of a local file the path after ``?d=``."""
    texts = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    name = data.get("image") if isinstance(data, dict) else None
    if not isinstance(name, str):
        if len(texts) != 1:
            raise BadLabel(f"data is {str(data)[:80]}; expected 'image' with the image's address")
        name = texts[0]
    if not name.strip():
        raise BadLabel("data has an empty text; expected the image's address")
    local = parse_qs(name.partition("?")[2]).get("d")
    return local[0] if local else name


def _add_result(result: dict[str, Any], where: str, objects: list[LabelledObject], records: Records) -> None:
    kind, value = str(result.get("type")), result.get("value")
    if not kind.endswith("labels") or not isinstance(value, dict):
        if kind not in SHAPES and not _choices(result):
            records.left_out[f"{kind}, which is of the whole image"] += 1
        return
    with records.collecting(where):
        names = value.get(kind)
        if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
            raise BadLabel(f"{kind} is {names!r}; expected one class")
        size = _size(result)
        if result.get("image_rotation"):
            raise BadLabel(f"image_rotation is {result['image_rotation']}; expected 0: turn the image file itself")
        parts = _parts(value, size)
        if parts:
            objects.append(labelled(where, names[0], parts, size))
        else:
            records.no_objects.append(NoObject(where, names[0].strip(), kind.removesuffix("labels")))


def _choices(result: dict[str, Any]) -> list[Any]:
    """What was chosen of the whole image; of a region there is more than the choices."""
    value = result.get("value")
    if result.get("type") != "choices" or not isinstance(value, dict) or [*value] != ["choices"]:
        return []
    return value["choices"] if isinstance(value["choices"], list) else [value["choices"]]


def _parts(value: dict[str, Any], size: Size) -> list[Points]:
    """Corners or an outline in pixels; empty for what is neither."""
    scale = np.array(size, np.float64) / 100
    if "points" in value:
        pairs = value["points"] if isinstance(value["points"], list) else []
        flat = [number for pair in pairs for number in (pair if isinstance(pair, list) else [None])]
        points = numbers(flat)
        if points is None or len(points) < 6 or any(len(pair) != 2 for pair in pairs):
            raise BadLabel(f"points are {str(value['points'])[:80]}; expected three or more [x, y]")
        return [points.reshape(-1, 2) * scale]
    if "radiusX" in value:
        x, y, rx, ry, degrees = _numbers(value, "x", "y", "radiusX", "radiusY", "rotation")
        return [ellipse(np.array([x, y]) * scale, np.array([rx, ry]) * scale, degrees)]
    if "rle" in value or "height" not in value:
        return []
    x, y, width, height, degrees = _numbers(value, "x", "y", "width", "height", "rotation")
    if min(width, height) <= 0:
        raise BadLabel(f"width, height are {(width, height)}; expected an area")
    box = np.array([[x, y], [x + width, y + height]]) * scale
    return [box_around(turned(rectangle(box), degrees, box[0])) if degrees else box]


def _numbers(value: dict[str, Any], *names: str) -> list[float]:
    """Numbers by name; a rotation that is not there is none."""
    given = [value.get(name, 0 if name == "rotation" else None) for name in names]
    found = numbers(given)
    if found is None or not np.isfinite(found).all():
        raise BadLabel(f"{', '.join(names)} are {given}; expected numbers")
    return [float(number) for number in found]


def _size(result: dict[str, Any]) -> Size:
    return size_of(result.get("original_width"), result.get("original_height"))


LABEL_STUDIO = TreeFormat(looks_like_label_studio, read_label_studio, "Label Studio: a list of tasks")
