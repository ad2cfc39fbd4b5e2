"""Read a labelled dataset, whatever its format.

Formats: YOLO (`yolo_format`), COCO instances (`coco_format`), and a staged copy (`staging`). An address is a folder, an
``s3://`` prefix, or the dataset's YAML file in it.
"""

from __future__ import annotations

from typing import Any

import yaml

from roadscan.dataset.coco_format import find_coco, places_of, read_coco
from roadscan.dataset.draft import Draft, Reading, refuse
from roadscan.dataset.files import Files
from roadscan.dataset.images import header_sizes
from roadscan.dataset.manifest import MANIFEST, read_manifest
from roadscan.dataset.records import Dataset
from roadscan.dataset.yolo_format import read_yolo
from roadscan.errors import DatasetError
from roadscan.progress import OnCount
from roadscan.storage import open_file, open_store

YOLO_FILE, COCO_FILE = "data.yaml", "coco.yaml"


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
    for key in (YOLO_FILE, COCO_FILE):
        data = files.read_if_there(key)
        if data is not None:
            return _of_yaml(files, key, data)
    places = find_coco(files)
    if places:
        return read_coco(files, places)
    raise DatasetError(
        f"dataset {uri}: expected {YOLO_FILE} (YOLO), {COCO_FILE} or annotations/instances_train.json (COCO) in this "
        "folder; found none; give the dataset's folder, or the address of its YAML file"
    )


def _of_yaml(files: Files, key: str, data: bytes) -> Draft:
    where = files.store.uri_of(key)
    try:
        tree: Any = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError) as error:
        raise DatasetError(f"{where}: not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        raise DatasetError(f"{where}: expected a mapping, got {type(tree).__name__}")
    if any(isinstance(entry, dict) and "annotations" in entry for entry in tree.values()):
        return read_coco(files, places_of(tree, where))
    return read_yolo(files, key, tree)
