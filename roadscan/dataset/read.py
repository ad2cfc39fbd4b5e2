"""Read a labelled dataset, whatever its format.

An address is a folder, an ``s3://`` prefix, or the dataset's YAML file in it. Labels are of the formats in `formats`;
which one, the YAML file says or the files look like. A copy that was staged has them in its manifest.
"""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from roadscan.dataset.assemble import Labelling, assemble
from roadscan.dataset.description import (
    EXAMPLE,
    EXAMPLE_OF_LISTS,
    Settings,
    SplitConfig,
    read_description,
    read_settings,
)
from roadscan.dataset.draft import Draft, Problem, Reading, refuse
from roadscan.dataset.files import Files
from roadscan.dataset.formats import FORMATS
from roadscan.dataset.formats.label_maps import read_label_maps
from roadscan.dataset.formats.layouts import find_layouts
from roadscan.dataset.formats.trees import SUFFIXES, read_tree
from roadscan.dataset.formats.yolo import read_yolo
from roadscan.dataset.images import SUFFIXES as IMAGES
from roadscan.dataset.images import header_sizes
from roadscan.dataset.labels import BadLabel, Records
from roadscan.dataset.manifest import MANIFEST, read_manifest
from roadscan.dataset.records import Dataset
from roadscan.dataset.resolve import resolved
from roadscan.errors import DatasetError, Malformed
from roadscan.progress import OnCount
from roadscan.storage import check_key, open_file, open_store
from roadscan.yamltext import as_text, read_typed

YAML_FILES = ("data.yaml", "dataset.yaml", "coco.yaml")  # the first that is there describes the dataset


def read_dataset(uri: str) -> Dataset:
    """An address -> the dataset there, without errors.

    Sizes of images come from their headers, and where the labels give them, as in COCO, from the labels.

    Args:
        uri: the dataset's folder or ``s3://`` prefix, or its YAML file.

    Raises:
        DatasetError: it is in no known format, or has errors: bad labels, missing images, headers that cannot be read.
        StorageError: it cannot be read.
    """
    reading = inspect(uri)
    refuse(reading.errors, uri)
    return reading.dataset


def inspect(uri: str, on_image: OnCount | None = None) -> Reading:
    """An address -> the dataset there as far as it can be read, and what is wrong with it.

    Args:
        uri: as for `read_dataset`.
        on_image: called with (images done, images in all) while image headers are read.

    Raises:
        DatasetError: it is in no known format, or its description is wrong.
        StorageError: it cannot be read.
    """
    draft = open_draft(uri)
    return draft.finish({} if draft.has_sizes else header_sizes(draft.files, draft.image_keys, on_image))


def open_draft(uri: str) -> Draft:
    """An address -> the labels of the dataset there, without its images.

    Raises:
        DatasetError: it is in no known format, or its description is wrong.
        StorageError: it cannot be read.
    """
    if uri.endswith((".yaml", ".yml")):
        store, key = open_file(uri)
        files = Files(store)
        return _of_yaml(files, key, files.read(key))
    files = Files(open_store(uri))
    held = files.read_if_there(MANIFEST)
    if held is not None:
        return read_manifest(held, files)[0]
    for key in YAML_FILES:
        data = files.read_if_there(key)
        if data is not None:
            return _of_yaml(files, key, data)
    return _of_layout(files, uri, Settings())


def _of_yaml(files: Files, key: str, data: bytes) -> Draft:
    where = files.store.uri_of(key)
    try:
        tree: Any = as_text(read_typed(data))
    except Malformed as error:
        raise DatasetError(f"{where}: {error}") from None
    if not isinstance(tree, dict):
        raise DatasetError(f"{where}: expected a mapping, got {'nothing' if tree is None else type(tree).__name__}")
    if tree and tree.keys() <= Settings.model_fields.keys() and tree.get("format") != "yolo":
        return _of_layout(files, files.store.uri, read_settings(tree, where))
    if "label_maps" in tree or "masks_dir" in tree:
        return read_label_maps(files, key, tree, read_settings(tree, where))
    of_files = any(isinstance(entry, dict) and "annotations" in entry for entry in tree.values())
    if tree.get("format") in (None, "yolo") and not of_files:
        settings = read_settings(tree, where)
        labelling = read_yolo(files, key, tree, settings.path_prefix)
        labelling.warnings += _other_labels(files, key, labelling)
        return _finished(files, labelling, settings)
    described = read_description(tree, where)
    splits = {split: found for split in ("train", "val", "test") if (found := getattr(described, split))}
    return _finished(files, _read_splits(files, splits, described, where), described)


def _of_layout(files: Files, uri: str, settings: Settings) -> Draft:
    """A dataset whose YAML file names no splits, or that has none: labels lie where a format's tools put them."""
    keys = files.keys("")
    layouts = [one for one in find_layouts(keys, uri) if settings.format in (None, one.format)]
    if len(layouts) != 1 or not layouts[0].splits:
        raise DatasetError(f"dataset {uri}: {_unknown(keys, [one.format for one in layouts if one.splits])}")
    (layout,) = layouts
    labelling = _read_splits(files, layout.splits, settings.model_copy(update={"format": layout.format}), uri)
    labelling.warnings += layout.warnings()
    return _finished(files, labelling, settings)


def _unknown(keys: Sequence[str], formats: Sequence[str]) -> str:
    if formats:
        return f"labels of {' and of '.join(formats)} are there; say which in dataset.yaml, as 'format: {formats[0]}'"
    described = [key for key in keys if "/" not in key and key.endswith((".yaml", ".yml")) and key not in YAML_FILES]
    labels = [key for key in keys if key.lower().endswith(SUFFIXES)]
    if described:
        there = f"found {', '.join(described[:4])}: give the address of that file, if it describes the dataset"
    elif labels:
        more = f" and {len(labels) - 4} more" if len(labels) > 4 else ""
        example = EXAMPLE if len(labels) > 1 else EXAMPLE_OF_LISTS.format(labels[0])
        there = f"found {', '.join(labels[:4])}{more}: say in dataset.yaml which split they are of, as\n{example}"
    else:
        there = "found none; give the dataset's folder, or the address of its YAML file"
    return f"expected {', '.join(YAML_FILES)}, or labels of {', '.join(FORMATS)} by split in this folder; {there}"


def _read_splits(files: Files, splits: Mapping[str, SplitConfig], settings: Settings, where: str) -> Labelling:
    """The labels of each split, whose images are found by name."""
    read: dict[str, Records] = {}
    labelling = Labelling(where)
    for split, place in splits.items():
        key = posixpath.normpath(place.annotations)
        if key not in read:
            read[key] = _records(files, check_key(key), settings.format)
            _take_notes(read[key], key, labelling)
        for name, images in resolved(files, split, place, read[key], settings.path_prefix, labelling):
            labelling.splits[name] = images
    labelling.names = _common_names(read, where)
    return labelling


def _records(files: Files, key: str, format_: str | None) -> Records:
    """What a file or folder of labels says, in a format that is given or that it looks like.

    Raises:
        DatasetError: it looks like none, or is not of the format.
    """
    tree = read_tree(files, key)
    chosen = FORMATS[format_] if format_ else next((one for one in FORMATS.values() if one.looks(tree)), None)
    if chosen is None:
        known = "; ".join(f"{name} ({one.what})" for name, one in FORMATS.items())
        raise DatasetError(f"{files.store.uri_of(key)}: looks like none of {known}; say its 'format'")
    try:
        return chosen.read(tree, key)
    except (BadLabel, DatasetError) as error:
        raise DatasetError(f"{files.store.uri_of(key)}: {error}") from None


def _take_notes(records: Records, key: str, labelling: Labelling) -> None:
    """What was met while a file was read, once however many splits it has."""
    labelling.errors += records.errors
    labelling.warnings += records.warnings
    labelling.no_objects += records.no_objects
    labelling.warnings += [
        Problem("label left out", key, f"left out: {count} {what}") for what, count in sorted(records.left_out.items())
    ]


def _common_names(read: Mapping[str, Records], where: str) -> tuple[str, ...]:
    """The classes that the files name, in the first one's order; empty where files do not tell.

    Raises:
        DatasetError: two name different ones.
    """
    names: tuple[str, ...] = ()
    for key, records in read.items():
        if names and records.names and set(names) != set(records.names):
            raise DatasetError(
                f"{where}: {key}: categories are {list(records.names)}, in another split {list(names)}; make them agree"
            )
        names = names or records.names
    return names


def _other_labels(files: Files, yaml_key: str, labelling: Labelling) -> list[Problem]:
    """Labels of another format beside a dataset in which no image has a label."""
    if any(image.objects for images in labelling.splits.values() for image in images):
        return []
    places = [place for one in find_layouts(files.keys(""), files.store.uri) for place in one.splits.values()]
    text = f"it is not read, since {yaml_key} describes labels of YOLO; take that away, or say in it\n{EXAMPLE}"
    return [Problem("file not read", place.annotations, text) for place in places]


def _finished(files: Files, labelling: Labelling, settings: Settings) -> Draft:
    """The draft, with what could not be read for its name."""
    draft = assemble(files, labelling, settings)
    text = "its name is not in Unicode normalisation form C, as a Mac writes it; rename it to"
    errors = [
        Problem("name not in NFC", key, f"{text} {unicodedata.normalize('NFC', posixpath.basename(key))!r}")
        for key in sorted(files.decomposed)
        if key.lower().endswith((*SUFFIXES, *IMAGES, ".txt"))
    ]
    return replace(draft, errors=[*draft.errors, *errors])
