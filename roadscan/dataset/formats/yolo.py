"""YOLO's format.

    data.yaml                   train, val, test: a folder, a list of folders, or a .txt file that lists images; names
    images/<split>/<name>.jpg
    labels/<split>/<name>.txt   class cx cy w h   or   class x1 y1 x2 y2 x3 y3 …, in 0..1; empty or missing: background

Labels lie where the last ``images`` folder of an image's path is replaced by ``labels``. A ``path:`` below which
nothing lies is passed over, since datasets are moved: images are looked for beside the YAML file. A leading ``../``, as
Roboflow writes it, is dropped as ultralytics does. What leads elsewhere is refused. Of a dataset of poses
(``kpt_shape``) the boxes are taken.

Source: https://docs.ultralytics.com/datasets/detect, …/segment and …/pose.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterable
from typing import Any

import numpy as np

from roadscan.dataset.assemble import Labelling
from roadscan.dataset.draft import SPLITS, Points, Problem, check_names, fault_of
from roadscan.dataset.files import Files
from roadscan.dataset.formats.yolo_images import SplitImages, text_of
from roadscan.dataset.labels import ImageRecord, LabelledObject, whole
from roadscan.errors import DatasetError

NOT_LABELS = ("classes.txt", "notes.txt", "readme.txt")  # labelling tools put them beside the labels
VAL = ("val", "valid", "validation")


def read_yolo(files: Files, yaml_key: str, tree: dict[str, Any], prefix: str | None) -> Labelling:
    """Read the labels of a dataset.

    Args:
        files: its root, the folder of the YAML file.
        yaml_key: of the YAML file.
        tree: what the YAML file says, as text.
        prefix: what to cut from image names that were written elsewhere.

    Raises:
        DatasetError: the YAML file is wrong. What is wrong with labels and images is collected.
    """
    where = files.store.uri_of(yaml_key)
    found = Labelling(where, names=names_of(tree, where))
    images = SplitImages(files, tree, prefix, where, found)
    keys = {}
    for split, entries in split_entries(tree, where).items():
        if (of_split := images.of_split(split, entries)) is not None:
            keys[split] = of_split
    labels, spare = _label_keys(files, keys)
    found.warnings += spare
    texts = dict(zip(labels, files.each(files.read, list(labels.values())), strict=True))
    keypoints = _keypoints(tree, where)
    objects = {key: _read_lines(texts[key], labels[key], found, keypoints) for key in labels}
    if keypoints and any(objects.values()):
        count = sum(map(len, objects.values()))
        text = f"the keypoints of {count} objects are left off (kpt_shape, {keypoints} numbers of each)"
        found.warnings.append(Problem("label left out", yaml_key, text))
    found.splits = {
        split: [ImageRecord(labels.get(key, yaml_key), key, None, objects.get(key, [])) for key in of_split]
        for split, of_split in keys.items()
    }
    found.without_label_file = frozenset({key for of_split in keys.values() for key in of_split} - labels.keys())
    return found


def label_key(image_key: str) -> str:
    """Where the labels of an image lie.

    >>> label_key("images/train/a.b.jpg")
    'labels/train/a.b.txt'
    """
    folders, _, name = f"/{image_key}".rpartition("/")
    before, images, after = f"{folders}/".rpartition("/images/")
    folder = f"{before}/labels/{after}" if images else f"{folders}/"
    return f"{folder}{name.rpartition('.')[0]}.txt".lstrip("/")


def names_of(tree: dict[str, Any], where: str) -> tuple[str, ...]:
    """The class names of a YAML file, by index.

    Raises:
        DatasetError: they are none, or not as many as it says.
    """
    names, count = tree.get("names"), tree.get("nc")
    if isinstance(names, dict):
        numbers = {whole(index): name for index, name in names.items()}
        if sorted(numbers, key=str) != sorted(range(len(names)), key=str):
            raise DatasetError(
                f"{where}: names: indices are {', '.join(names)}; expected 0 to {len(names) - 1}, each once"
            )
        names = [numbers[index] for index in range(len(names))]
    if not isinstance(names, list):
        raise DatasetError(f"{where}: names: got {names!r}; expected the class names, as a list or as index: name")
    if count is not None and whole(count) != len(names):
        raise DatasetError(f"{where}: nc is {count}, and names has {len(names)}; correct one of them")
    return check_names(names, f"{where}: names")


def split_entries(tree: dict[str, Any], where: str) -> dict[str, list[str]]:
    """Folders or lists of images by split, as written.

    Raises:
        DatasetError: a split is something else, or there is none.
    """
    found = {}
    for split in SPLITS:
        spellings = VAL if split == "val" else (split,)
        entry = next((tree[name] for name in spellings if tree.get(name) is not None), None)
        entries = [entry] if isinstance(entry, str) else entry or []
        if not isinstance(entries, list) or not all(isinstance(one, str) and one for one in entries):
            raise DatasetError(
                f"{where}: {split}: got {entry!r}; expected a folder, a list of folders, or a .txt file of images"
            )
        if entries:
            found[split] = entries
    if not found:
        raise DatasetError(f"{where}: none of train, val and test is given; expected at least one, with a folder")
    return found


def _keypoints(tree: dict[str, Any], where: str) -> int:
    """How many numbers of a line are keypoints."""
    shape = tree.get("kpt_shape")
    if shape is None:
        return 0
    sides = [whole(side) for side in shape] if isinstance(shape, list) else []
    if len(sides) != 2 or sides[0] is None or sides[0] < 1 or sides[1] not in (2, 3):
        raise DatasetError(f"{where}: kpt_shape: got {shape!r}; expected [keypoints, 2 or 3]")
    return sides[0] * sides[1]


def _label_keys(files: Files, images: dict[str, list[str]]) -> tuple[dict[str, str], list[Problem]]:
    """Label files by image where there are any, and label files whose image is missing."""
    wanted = {key: label_key(key) for keys in images.values() for key in keys}
    keys = [key for folder in _tops(wanted.values()) for key in files.keys(folder)]
    there = {f"{key[:-4]}.txt": key for key in keys if key.lower().endswith(".txt")}
    beside_images = {posixpath.dirname(key) for key in wanted}
    spare = {
        key
        for key in there.keys() - set(wanted.values())
        if posixpath.dirname(key) not in beside_images and posixpath.basename(key).lower() not in NOT_LABELS
    }
    if spare:  # of images that no list names, perhaps
        spare -= {label_key(key) for folder in _tops(wanted) for key in files.keys(folder)}
    text = "there are labels and no image of this name"
    warnings = [Problem("label without image", there[key], text) for key in sorted(spare)]
    return {key: there[label] for key, label in wanted.items() if label in there}, warnings


def _tops(keys: Iterable[str]) -> list[str]:
    """The folders of files, without those that lie in another of them."""
    tops: list[str] = []
    for folder in sorted({posixpath.dirname(key) for key in keys}):
        if not any(not top or f"{folder}/".startswith(f"{top}/") for top in tops):
            tops.append(folder)
    return tops


def _read_lines(data: bytes, where: str, found: Labelling, keypoints: int) -> list[LabelledObject]:
    """The objects of one label file; bad lines are noted as errors."""
    objects = []
    for number, text in enumerate(text_of(data).splitlines(), 1):
        fields = text.split()
        if fields:
            place = f"{where}:{number}"
            line = _read_line(place, fields, found.names, keypoints)
            if isinstance(line, LabelledObject):
                objects.append(line)
            else:
                found.errors.append(Problem("bad label", place, line))
    return objects


def _read_line(where: str, fields: list[str], names: tuple[str, ...], keypoints: int) -> LabelledObject | str:
    """One object, or what is wrong with its line."""
    if keypoints:
        if len(fields) != 5 + keypoints:
            return (
                f"got {len(fields)} numbers; expected class cx cy w h and {keypoints} of keypoints, as kpt_shape says"
            )
        fields = fields[:5]
    if len(fields) != 5 and (len(fields) < 7 or len(fields) % 2 == 0):
        return f"got {len(fields)} numbers; expected class cx cy w h, or class and three or more points x y"
    try:
        index, *values = map(float, fields)
    except ValueError:
        return f"got {' '.join(fields)[:80]!r}; expected numbers"
    if not (index.is_integer() and 0 <= index < len(names)):
        return f"class is {fields[0]}; expected 0 to {len(names) - 1}"
    if len(values) == 4:
        x, y, w, h = values
        if w <= 0 or h <= 0:
            return f"the box has no area: width {w:g}, height {h:g}"
        values = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    if not all(map(math.isfinite, values)):
        return "a coordinate is not a finite number"
    points: Points = np.array(values).reshape(-1, 2)
    fault = fault_of(points)
    if fault:
        return f"the {'box' if len(fields) == 5 else 'outline'} {fault}"
    return LabelledObject(where, names[int(index)], (points,))
