"""Datasets in YOLO's format.

    data.yaml                   train, val, test: a folder, a list of folders, or a .txt file that lists images; names
    frames.parquet              optional: image, drive_id, condition
    images/<split>/<name>.jpg
    labels/<split>/<name>.txt   class cx cy w h   or   class x1 y1 x2 y2 x3 y3 …, in 0..1; empty or missing: background

Labels lie where the last ``images`` folder of an image's path is replaced by ``labels``. Where one object has an
outline all must have one. What leads out of the dataset's root is refused, except a leading ``../`` as Roboflow writes
it, which is dropped as ultralytics does; an absolute ``path:`` is passed over, since datasets are moved.

Source: https://docs.ultralytics.com/datasets/detect and …/segment.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from roadscan.dataset.draft import SPLITS, Draft, DraftImage, Points, Problem, boxes_around, check_names, fault_of
from roadscan.dataset.files import Files
from roadscan.dataset.images import SUFFIXES
from roadscan.dataset.records import Task
from roadscan.errors import DatasetError
from roadscan.storage import DiskStore, arrow_file, check_key

FRAMES = "frames.parquet"
NOT_LABELS = ("classes.txt", "notes.txt", "readme.txt")  # labelling tools put them beside the labels

Origin = tuple[str | None, str | None]  # drive_id, condition


@dataclass(frozen=True, slots=True)
class _Line:
    """One object of a label file, at line `number`: two corners, or an outline."""

    number: int
    class_index: int
    points: Points

    @property
    def is_box(self) -> bool:
        return len(self.points) == 2


def read_yolo(files: Files, yaml_key: str, tree: dict[str, Any]) -> Draft:
    """Read the labels of a dataset.

    Args:
        files: its root, the folder of the YAML file.
        yaml_key: of the YAML file.
        tree: what the YAML file says.

    Raises:
        DatasetError: the YAML file is wrong. What is wrong with labels and images is collected.
    """
    where = files.store.uri_of(yaml_key)
    names = _names(tree, where)
    errors: list[Problem] = []
    images = {
        split: _images_of(files, tree, entry, errors, where) for split, entry in _split_entries(tree, where).items()
    }
    labels, warnings = _label_keys(files, images)
    texts = dict(zip(labels, files.each(files.read, list(labels.values())), strict=True))
    lines = {key: _read_lines(texts[key], labels[key], len(names), errors) for key in labels}
    task: Task = "segment" if any(not line.is_box for found in lines.values() for line in found) else "detect"
    if task == "segment":
        lines = {key: _outlines_only(found, labels[key], errors) for key, found in lines.items()}
    origins = _origins(files)
    splits = {
        split: [_draft_image(key, lines.get(key, []), task, origins.get(key, (None, None))) for key in keys]
        for split, keys in images.items()
    }
    every = {key for keys in images.values() for key in keys}
    return Draft(files, task, names, splits, errors, warnings, frozenset(every - labels.keys()))


def label_key(image_key: str) -> str:
    """Where the labels of an image lie.

    >>> label_key("images/train/a.b.jpg")
    'labels/train/a.b.txt'
    """
    folders, _, name = f"/{image_key}".rpartition("/")
    before, images, after = f"{folders}/".rpartition("/images/")
    folder = f"{before}/labels/{after}" if images else f"{folders}/"
    return f"{folder}{name.rpartition('.')[0]}.txt".lstrip("/")


def _names(tree: dict[str, Any], where: str) -> tuple[str, ...]:
    names, count = tree.get("names"), tree.get("nc")
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DatasetError(f"{where}: names: indices are {list(names)}; expected 0 to {len(names) - 1}, each once")
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list):
        raise DatasetError(f"{where}: names: got {names!r}; expected the class names, as a list or as index: name")
    if count is not None and count != len(names):
        raise DatasetError(f"{where}: nc is {count}, and names has {len(names)}; correct one of them")
    return check_names(names, f"{where}: names")


def _split_entries(tree: dict[str, Any], where: str) -> dict[str, list[str]]:
    """Folders or lists of images by split, as written."""
    given = dict(tree)
    if "val" not in given and "validation" in given:
        given["val"] = given["validation"]
    found = {}
    for split in SPLITS:
        entry = given.get(split)
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


def _images_of(files: Files, tree: dict[str, Any], entries: list[str], errors: list[Problem], where: str) -> list[str]:
    """Keys of a split's images, each once, in order."""
    base = tree.get("path")
    base = base if isinstance(base, str) and not posixpath.isabs(base) and "://" not in base else "."
    keys: list[str] = []
    for entry in entries:
        key = _inside(files, entry, base)
        if key is None:
            raise DatasetError(f"{where}: {entry!r} leads out of {files.store.uri}; expected a path below it")
        if key.endswith(".txt"):
            keys += _listed_images(files, key, base, errors)
            continue
        found = [one for one in files.keys(key) if one.lower().endswith(SUFFIXES)]
        if not found:
            raise DatasetError(f"{where}: there are no images in {entry!r}; expected {', '.join(SUFFIXES)} files")
        keys += found
    return list(dict.fromkeys(keys))


def _listed_images(files: Files, list_key: str, base: str, errors: list[Problem]) -> list[str]:
    """Images that a .txt file names: ``./`` is the file's own folder, other paths start at the root."""
    keys = []
    for number, line in enumerate(_text(files.read(list_key)).splitlines(), 1):
        text = line.strip()
        if not text:
            continue
        key = _inside(files, text, posixpath.dirname(list_key) or "." if text.startswith("./") else base)
        if key:
            keys.append(key)
        else:
            errors.append(Problem("missing image", f"{list_key}:{number}", f"{text!r} leads out of the dataset"))
    return keys


def _inside(files: Files, path: str, base: str) -> str | None:
    """The key of a path, ``""`` for the root itself; None if it leads out of the root."""
    store = files.store
    if posixpath.isabs(path):
        root = f"{store.uri}/" if isinstance(store, DiskStore) else None
        if root is None or not f"{path}/".startswith(root):
            return None
        path, base = path[len(root) :] or ".", "."
    joined = posixpath.normpath(posixpath.join(base, path))
    if joined.startswith("../") and path.startswith("../"):
        joined = posixpath.normpath(path[3:])
    if joined == ".":
        return ""
    return None if joined == ".." or joined.startswith("../") else check_key(joined)


def _label_keys(files: Files, images: dict[str, list[str]]) -> tuple[dict[str, str], list[Problem]]:
    """Label files by image where there are any, and label files whose image is missing."""
    wanted = {key: label_key(key) for keys in images.values() for key in keys}
    there = {key for folder in _tops(wanted.values()) for key in files.keys(folder) if key.endswith(".txt")}
    beside_images = {posixpath.dirname(key) for key in wanted}
    spare = {
        key
        for key in there - set(wanted.values())
        if posixpath.dirname(key) not in beside_images and posixpath.basename(key).lower() not in NOT_LABELS
    }
    if spare:  # of images that no list names, perhaps
        spare -= {label_key(key) for folder in _tops(wanted) for key in files.keys(folder)}
    text = "there are labels and no image of this name"
    warnings = [Problem("label without image", key, text) for key in sorted(spare)]
    return {key: label for key, label in wanted.items() if label in there}, warnings


def _tops(keys: Iterable[str]) -> list[str]:
    """The folders of files, without those that lie in another of them."""
    tops: list[str] = []
    for folder in sorted({posixpath.dirname(key) for key in keys}):
        if not any(not top or f"{folder}/".startswith(f"{top}/") for top in tops):
            tops.append(folder)
    return tops


def _read_lines(data: bytes, where: str, classes: int, errors: list[Problem]) -> list[_Line]:
    """The objects of one label file; bad lines go to `errors`."""
    lines = []
    for number, text in enumerate(_text(data).splitlines(), 1):
        fields = text.split()
        if fields:
            line = _read_line(number, fields, classes)
            if isinstance(line, _Line):
                lines.append(line)
            else:
                errors.append(Problem("bad label", f"{where}:{number}", line))
    return lines


def _read_line(number: int, fields: list[str], classes: int) -> _Line | str:
    """One object, or what is wrong with its line."""
    if len(fields) != 5 and (len(fields) < 7 or len(fields) % 2 == 0):
        return f"got {len(fields)} numbers; expected class cx cy w h, or class and three or more points x y"
    try:
        index, *values = map(float, fields)
    except ValueError:
        return f"got {' '.join(fields)[:80]!r}; expected numbers"
    if not (index.is_integer() and 0 <= index < classes):
        return f"class is {fields[0]}; expected 0 to {classes - 1}"
    if len(values) == 4:
        x, y, w, h = values
        if w <= 0 or h <= 0:
            return f"the box has no area: width {w:g}, height {h:g}"
        values = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    if not all(map(math.isfinite, values)):
        return "a coordinate is not a finite number"
    points = np.array(values).reshape(-1, 2)
    fault = fault_of(points)
    return f"the {'box' if len(fields) == 5 else 'outline'} {fault}" if fault else _Line(number, int(index), points)


def _outlines_only(lines: Sequence[_Line], where: str, errors: list[Problem]) -> list[_Line]:
    """The lines with outlines; those with boxes go to `errors`."""
    text = "got a box, and other objects of this dataset have outlines; give all objects outlines, or all of them boxes"
    errors += [Problem("bad label", f"{where}:{line.number}", text) for line in lines if line.is_box]
    return [line for line in lines if not line.is_box]


def _draft_image(key: str, lines: Iterable[_Line], task: Task, origin: Origin) -> DraftImage:
    found = list(lines)
    outlines = [(line.points,) for line in found]
    return DraftImage(
        key=key,
        size=None,
        classes=[line.class_index for line in found],
        boxes=boxes_around(outlines),
        outlines=outlines if task == "segment" else (),
        drive_id=origin[0],
        condition=origin[1],
    )


def _origins(files: Files) -> dict[str, Origin]:
    """Drive and condition by image, from the frames table if there is one."""
    data = files.read_if_there(FRAMES)
    if data is None:
        return {}
    where = files.store.uri_of(FRAMES)
    try:
        table = pq.read_table(arrow_file(data))
    except pa.ArrowException as error:
        raise DatasetError(f"{where}: not a Parquet file ({error}); write it again, or remove it") from None
    if "image" not in table.column_names:
        raise DatasetError(f"{where}: columns are {', '.join(table.column_names)}; expected image, drive_id, condition")
    columns = [
        table[name].cast(pa.string()).to_pylist() if name in table.column_names else [None] * table.num_rows
        for name in ("image", "drive_id", "condition")
    ]
    return {image: (drive_id, condition) for image, drive_id, condition in zip(*columns, strict=True)}


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig", errors="replace")
