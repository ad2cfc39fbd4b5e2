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
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np

from roadscan.dataset.assemble import Labelling
from roadscan.dataset.draft import SPLITS, Points, Problem, check_names, fault_of
from roadscan.dataset.files import Files
from roadscan.dataset.images import SUFFIXES
from roadscan.dataset.labels import ImageRecord, LabelledObject, whole
from roadscan.errors import DatasetError
from roadscan.filenames import FileNames, to_key
from roadscan.storage import DiskStore, check_key

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
    found = Labelling(where, names=_names(tree, where))
    images = _Images(files, tree, prefix, where, found)
    keys = {}
    for split, entries in _split_entries(tree, where).items():
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


def _names(tree: dict[str, Any], where: str) -> tuple[str, ...]:
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


def _split_entries(tree: dict[str, Any], where: str) -> dict[str, list[str]]:
    """Folders or lists of images by split, as written."""
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


class _Images:
    """Finds the images of a split, by what the YAML file and its lists say."""

    def __init__(self, files: Files, tree: dict[str, Any], prefix: str | None, where: str, found: Labelling) -> None:
        self._files, self._where, self._prefix, self._found = files, where, prefix, found
        path = tree.get("path")
        self._path = _slashes(path) if isinstance(path, str) and path else "."
        self._bases = [".", *([self._path] if not _is_elsewhere(self._path) else [])][::-1]
        self._names: FileNames | None = None

    def of_split(self, split: str, entries: list[str]) -> list[str] | None:
        """Keys of a split's images, each once, in order; None for a test split that is named and not there."""
        keys: list[str] = []
        for entry in entries:
            found = self._list(entry) if entry.lower().endswith(".txt") else self._folder(entry)
            if not found and split == "test":
                text = f"test: there are no images in {entry!r}, so there is no test split"
                self._found.warnings.append(Problem("missing split", self._where, text))
                return None
            if not found:
                raise DatasetError(f"{self._where}: {self._no_images(entry)}")
            keys += found
        return list(dict.fromkeys(keys))

    def _folder(self, entry: str) -> list[str]:
        places = [key for base in self._bases if (key := self._inside(entry, base)) is not None]
        for key in places:
            found = [one for one in self._files.keys(key) if one.lower().endswith(SUFFIXES)]
            if found:
                return found
        return self._moved_folder(entry) if not places else []

    def _moved_folder(self, entry: str) -> list[str]:
        """The images of the folder that a path of another machine ends with."""
        parts = [part for part in _slashes(entry).split("/") if part not in ("", ".", "..")]
        keys = [one for one in self._files.keys("") if one.lower().endswith(SUFFIXES)]
        for start in range(1, len(parts) - 1):
            folder = "/".join(parts[start:])
            found = [key for key in keys if key.startswith(f"{folder}/")]
            if found:
                text = f"{entry!r} is not below {self._files.store.uri}; its {folder!r} is taken, which is"
                self._found.warnings.append(Problem("path elsewhere", self._where, text))
                return found
        raise DatasetError(f"{self._where}: {entry!r} leads out of {self._files.store.uri}; expected a path below it")

    def _list(self, entry: str) -> list[str]:
        """Images that a .txt file names: ``./`` is the file's own folder, other paths start at the root."""
        places = [key for base in self._bases if (key := self._inside(entry, base)) is not None]
        if not places:
            raise DatasetError(
                f"{self._where}: {entry!r} leads out of {self._files.store.uri}; expected a path below it"
            )
        data = [(key, text) for key in places if (text := self._files.read_if_there(key)) is not None]
        if not data:
            raise DatasetError(f"{self._where}: there is no file {entry!r}; expected a list of images")
        list_key, text = data[0]
        keys = []
        for number, line in enumerate(_text(text).splitlines(), 1):
            if line.strip():
                key = self._listed(line.strip(), posixpath.dirname(list_key) or ".")
                where = f"{list_key}:{number}"
                if key:
                    keys.append(key)
                else:
                    hint = self._all_names().hint(line)
                    problem = f"{line.strip()!r} leads out of the dataset{f'; {hint}' if hint else ''}"
                    self._found.errors.append(Problem("missing image", where, problem))
        return keys

    def _listed(self, line: str, folder: str) -> str | None:
        cut = to_key(line, self._files.store.uri, self._prefix)
        base = folder if line.startswith("./") else self._bases[0]
        return self._inside(cut, base) or self._all_names().find(line)

    def _inside(self, path: str, base: str) -> str | None:
        """The key of a path, ``""`` for the root itself; None if it leads out of the root."""
        path, store = _slashes(path), self._files.store
        if _is_elsewhere(path):
            root = f"{store.uri}/" if isinstance(store, DiskStore) else None
            if root is None or not f"{path}/".startswith(root):
                return None
            path, base = path[len(root) :] or ".", "."
        joined = posixpath.normpath(posixpath.join(base, path))
        if joined.startswith("../") and path.startswith("../"):
            joined = posixpath.normpath(path[3:])
        if joined == ".":
            return ""
        return None if joined == ".." or joined.startswith("../") else check_key(unicodedata.normalize("NFC", joined))

    def _all_names(self) -> FileNames:
        if self._names is None:
            keys = [key for key in self._files.keys("") if key.lower().endswith(SUFFIXES)]
            self._names = FileNames(keys, self._files.store.uri, self._prefix)
        return self._names

    def _no_images(self, entry: str) -> str:
        """What is there instead of images that are not."""
        odd = sorted(key for key in self._files.decomposed if key.lower().endswith(SUFFIXES))
        if odd:
            return (
                f"the names of {len(odd)} images, such as {odd[0]!r}, are not in Unicode normalisation form C, as a "
                "Mac writes them; rename them, and their labels, so that they are"
            )
        keys = [key for key in self._files.keys("") if key.lower().endswith(SUFFIXES)]
        folders = sorted({posixpath.dirname(key) or "." for key in keys})
        there = (
            f"images are in {', '.join(folders[:4])}" if folders else f"there are no {', '.join(SUFFIXES)} files at all"
        )
        path = f" below path {self._path!r}, or beside the YAML file" if self._path != "." else ""
        return f"there are no images in {entry!r}{path}; {there}"


def _is_elsewhere(path: str) -> bool:
    return posixpath.isabs(path) or "://" in path or path[1:3] == ":/"


def _slashes(path: str) -> str:
    return path.replace("\\", "/")


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
    for number, text in enumerate(_text(data).splitlines(), 1):
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


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig", errors="replace")
