"""Where labels lie in a dataset without a YAML file, by the names that each format's tools give them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from roadscan.dataset.description import EXAMPLE, FormatName, SplitConfig
from roadscan.dataset.draft import Problem
from roadscan.errors import DatasetError

SPLIT = re.compile(r"(train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?)(?![a-z])", re.IGNORECASE)
FULL_NAMES = {"tra": "train", "val": "val", "tes": "test"}
ROBOFLOW_COCO = "_annotations.coco.json"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the labels of one format lie.

    Attributes:
        format: which.
        splits: by name; of one named "" the labels themselves say the splits.
        unused: files that look like labels and are of no split.
    """

    format: FormatName
    splits: dict[str, SplitConfig]
    unused: tuple[str, ...] = ()

    def warnings(self) -> list[Problem]:
        """What is not read."""
        text = "it is not read: its name begins with none of train, val and test; name it in the dataset's YAML file"
        return [Problem("file not read", key, text) for key in self.unused]


def split_of(name: str) -> str | None:
    """The split that a name begins with: train2017, Train and train_old are train, validated is none.

    >>> [split_of(name) for name in ("train2017", "Validation", "validated", "default")]
    ['train', 'val', None, None]
    """
    found = SPLIT.match(name)
    return FULL_NAMES[found[1][:3].lower()] if found else None


def find_layouts(keys: Sequence[str], root: str) -> list[Layout]:
    """All keys of a dataset -> the formats whose labels lie there.

    Raises:
        DatasetError: two files are for one split.
    """
    signs = _mapillary(keys)
    if signs.splits:  # whose annotations are a file an image, and no COCO
        return [signs]
    found = [layout for find in FINDERS if (layout := find(keys, root)) and (layout.splits or layout.unused)]
    return [layout for layout in found if layout.splits] or found


def _coco(keys: Sequence[str], root: str) -> Layout | None:
    exported = {key: posixpath.dirname(key) for key in keys if posixpath.basename(key) == ROBOFLOW_COCO}
    if exported:  # beside the images
        return _by_split("coco", {key: split_of(folder) for key, folder in exported.items()}, exported, root)
    files = [key for key in keys if posixpath.dirname(key) == "annotations" and key.lower().endswith(".json")]
    names = {key: posixpath.splitext(posixpath.basename(key))[0].removeprefix("instances_") for key in files}
    if not any(split_of(name) or f"instances_{name}" in key for key, name in names.items()):
        return None
    folders = {posixpath.dirname(key) for key in keys}
    images = {}
    for key, name in names.items():
        split = split_of(name) or name
        places = (f"images/{name}", name, f"images/{split}", split, "images", ".")
        images[key] = next(one for one in places if one == "." or _is_folder(one, folders))
    return _by_split("coco", {key: split_of(name) for key, name in names.items()}, images, root)


def _voc(keys: Sequence[str], root: str) -> Layout | None:
    annotations = {posixpath.dirname(key) for key in keys if key.endswith(".xml") and "/" in key}
    lists = [key for key in keys if f"/{key}".rpartition("/")[0].endswith("/ImageSets/Main") and key.endswith(".txt")]
    folder = next((one for one in annotations if posixpath.basename(one) == "Annotations"), None)
    if folder and lists:
        listed = {posixpath.splitext(posixpath.basename(key))[0]: key for key in lists}
        splits = {split: listed[split] for split in ("train", "val", "test") if split in listed}
        return Layout("voc", {split: SplitConfig(annotations=folder, list=key) for split, key in splits.items()})
    exported = {one: split_of(posixpath.basename(one)) for one in annotations}  # Roboflow's, beside the images
    return _by_split("voc", exported, {one: one for one in exported}, root) if any(exported.values()) else None


def _cvat(keys: Sequence[str], _: str) -> Layout | None:
    return Layout("cvat", {"": SplitConfig(annotations="annotations.xml")}) if "annotations.xml" in keys else None


def _bdd100k(keys: Sequence[str], root: str) -> Layout | None:
    files = {}
    for key in keys:
        name = re.fullmatch(r"(?:.*/)?(?:bdd100k_labels_images_|det_)(\w+)\.json", key)
        if name:
            files[key] = split_of(name[1])
    folders = {posixpath.dirname(key) for key in keys}
    images = {key: f"images/100k/{split}" for key, split in files.items()}
    return _by_split("bdd100k", files, {k: v if _is_folder(v, folders) else "." for k, v in images.items()}, root)


def _mapillary(keys: Sequence[str]) -> Layout:
    lists = {}
    for key in keys:
        name = re.fullmatch(r"((?:.*/)?)splits/(train|val|test)\.txt", key)
        if name:
            lists[name[2]] = key, f"{name[1]}annotations"
    folders = {posixpath.dirname(key) for key in keys}
    splits = {
        split: SplitConfig(annotations=folder, list=key) for split, (key, folder) in lists.items() if folder in folders
    }
    return Layout("mapillary", splits)


def _by_split(name: FormatName, files: dict[str, str | None], images: dict[str, str], root: str) -> Layout:
    """A layout of one file or folder of labels a split.

    Raises:
        DatasetError: two are for one split.
    """
    splits: dict[str, SplitConfig] = {}
    for key, split in files.items():
        if split in splits:
            raise DatasetError(
                f"dataset {root}: two files for {split}: {splits[split].annotations} and {key}; remove one, or say in "
                f"dataset.yaml which it is:\n{EXAMPLE}"
            )
        if split:
            splits[split] = SplitConfig(annotations=key, images=images[key] or ".")
    return Layout(name, splits, tuple(key for key, split in files.items() if split is None))


def _is_folder(name: str, folders: Iterable[str]) -> bool:
    return any(f"{one}/".startswith(f"{name}/") for one in folders)


FINDERS: tuple[Callable[[Sequence[str], str], Layout | None], ...] = (_coco, _voc, _cvat, _bdd100k)
