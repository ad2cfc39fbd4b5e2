"""Bring a dataset to this node's own disk, once a node however many workers ask for it.

    CACHE_DIR/
      <sha256 of what the dataset is made of>/     a complete copy
        images/train/….jpg …                       the images, at their keys
        roadscan-dataset.parquet                   labels, sizes and digests (`manifest`)
      .<…>-<random>.partial/                       a copy under way; renamed when it is complete
      .<…>.lock  .<…>.checked                      whose turn it is; when an address was last looked at

A copy is named by key, size and tag of every file that it comes from, so a dataset that changes gets a new one. A
process may die at any moment: its lock is released, and the next one removes what it left. A dataset that is on a disk
already is used where it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadscan.dataset.draft import Draft, Problem, Size, refuse
from roadscan.dataset.files import Files
from roadscan.dataset.images import Unreadable, header_size, problem_of
from roadscan.dataset.manifest import FORMAT, MANIFEST, StagedImage, manifest_bytes, read_manifest
from roadscan.dataset.read import open_draft, read_dataset
from roadscan.dataset.records import Dataset, LabelledImage
from roadscan.errors import DatasetError, Malformed, NotFound, StorageError
from roadscan.parsing import read_json
from roadscan.progress import OnCount
from roadscan.storage import MAX_IMAGE_BYTES, DiskStore, Stat, check_key, open_store, sha256_hex, write_synced

READING = 2  # changes where the same files are read as other labels, so that no copy of before is used


def stage(uri: str, cache_dir: str | Path, *, on_image: OnCount | None = None) -> Dataset:
    """An address -> the dataset in a folder of this node, fetched unless it is here already.

    Args:
        uri: as for `read_dataset`.
        cache_dir: folder on this node's disk, shared by all processes of the node.
        on_image: called with (images fetched, images in all).

    Returns:
        The dataset; its root is a folder of this node.

    Raises:
        DatasetError: it has errors, or changed while it was fetched.
        StorageError: it cannot be read, or the folder cannot be written.
    """
    if isinstance(open_store(uri), DiskStore):
        return read_dataset(uri)
    asked_s = time.time()
    cache = Path(cache_dir).expanduser().resolve()
    with disk_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
    address = sha256_hex(uri.rstrip("/").encode())[:16]
    with locked(cache, address):
        name = _checked_since(cache, address, asked_s)
        dataset = _complete(cache / name) if name else None
        if dataset is None:
            began_s = time.time()
            dataset, name = _stage(uri, cache, on_image)
            _write_checked(cache, address, name, began_s)
    return dataset


def dataset_digest(dataset: Dataset) -> str:
    """SHA-256 over all that training and evaluation see of a dataset: names, splits, labels and the images' bytes.

    It does not depend on where the dataset lies. Images of a staged copy are not read again.

    Raises:
        StorageError: an image cannot be read.
    """
    files = Files(open_store(dataset.root))
    data = files.read_if_there(MANIFEST)
    held = read_manifest(data, files)[1] if data is not None else {}
    return content_digest(dataset, files, {key: one.sha256 for key, one in held.items()})


def content_digest(dataset: Dataset, files: Files, known: Mapping[str, str]) -> str:
    """The digest of a dataset, as `dataset_digest`.

    Args:
        dataset: the labels.
        files: the images and label maps; those are read whose digest is not known.
        known: SHA-256 by key.

    Raises:
        StorageError: a file cannot be read.
    """
    images = [image for of_split in dataset.splits.values() for image in of_split]
    maps = {image.label_map.key for image in images if image.label_map is not None}
    keys = sorted(({image.key for image in images} | maps) - known.keys())
    digests = files.each(lambda key: sha256_hex(files.store.read(key)), keys)
    sha256_by_key = {**known, **dict(zip(keys, digests, strict=True))}
    whole = hashlib.sha256(json.dumps(["roadscan.dataset/1", dataset.task, dataset.names]).encode())
    for split in sorted(dataset.splits):
        for image in sorted(dataset.splits[split], key=lambda image: image.key):
            outlines = [[part.astype("<f4").tobytes().hex() for part in parts] for parts in image.outlines or ()]
            labels = [image.classes.astype("<i8").tobytes().hex(), image.boxes_xyxy.astype("<f4").tobytes().hex()]
            fields = [split, image.key, sha256_by_key[image.key], image.width_px, image.height_px, *labels, outlines]
            fields += [image.drive_id, *_circumstances(image)]
            if image.label_map is not None:
                palette = image.label_map.palette
                fields += [sha256_by_key[image.label_map.key], palette.of_colours, sorted(palette.meaning.items())]
            whole.update(json.dumps(fields).encode())
    return whole.hexdigest()


def _circumstances(image: LabelledImage) -> list[Any]:
    """Conditions and occlusions; of at most one condition and no occlusion as it was before there could be more."""
    return [*(image.conditions or (None,)), *([image.occlusions] if image.occlusions else [])]


def _stage(uri: str, cache: Path, on_image: OnCount | None) -> tuple[Dataset, str]:
    """The dataset on this node and its folder's name, by looking at every file of it in the object store."""
    draft = open_draft(uri)
    stats = _stats(draft, uri)
    name = _name(draft.files.was_read, stats)
    with locked(cache, name):
        dataset = _complete(cache / name)
        if dataset is None:
            _fetch(draft, stats, uri, cache / name, on_image)
            dataset = _complete(cache / name)
    if dataset is None:
        raise StorageError(
            f"{cache / name}: files vanish from it as soon as they are written; set another cache folder"
        )
    return dataset, name


def _stats(draft: Draft, uri: str) -> dict[str, Stat]:
    """Size and tag of every image and label map.

    Raises:
        DatasetError: the labels have errors, or an image is missing.
    """
    keys, store = [*draft.image_keys, *draft.label_map_keys], draft.files.store

    def stat_of(key: str) -> Stat | Problem:
        try:
            return store.stat(key)
        except NotFound as error:
            return problem_of(key, error)

    refuse(draft.errors, uri)
    found = draft.files.each(stat_of, keys)
    refuse([one for one in found if isinstance(one, Problem)], uri)
    return {key: one for key, one in zip(keys, found, strict=True) if isinstance(one, Stat)}


def _name(labels: Mapping[str, Stat], images: Mapping[str, Stat]) -> str:
    """The name of a copy: the digest of key, size and tag of all files, and of the way labels are kept."""
    files = sorted((key, stat.size, stat.tag) for key, stat in {**labels, **images}.items())
    return sha256_hex(json.dumps([FORMAT, READING, files]).encode())


def _complete(folder: Path) -> Dataset | None:
    """The dataset in a folder, if the folder has a manifest and all of its images, whole."""
    try:
        data = (folder / MANIFEST).read_bytes()
        draft, held = read_manifest(data, Files(open_store(folder)))
        whole = all((folder / key).stat().st_size == one.size_bytes for key, one in held.items())
    except (OSError, DatasetError):  # something cleans the disk up, or it lost power
        return None
    return draft.finish({}).dataset if whole else None


def _fetch(draft: Draft, stats: Mapping[str, Stat], uri: str, folder: Path, on_image: OnCount | None) -> None:
    """Make the folder, complete or not at all; the lock of its name is ours."""
    for left in folder.parent.glob(f".{folder.name}-*.partial"):
        shutil.rmtree(left, ignore_errors=True)
    partial = folder.parent / f".{folder.name}-{secrets.token_hex(4)}.partial"
    keys = [*draft.image_keys, *draft.label_map_keys]
    try:
        found = draft.files.each(lambda key: _fetch_image(draft.files, key, stats[key], partial), keys, on_image)
        sizes = {key: size for key, (size, _) in zip(keys, found, strict=True)}
        reading = draft.finish(sizes)
        unreadable = [size for key in draft.label_map_keys if isinstance(size := sizes[key], Problem)]
        refuse([*reading.errors, *unreadable], uri)
        held = {key: one for key, (_, one) in zip(keys, found, strict=True)}
        _write(partial / MANIFEST, manifest_bytes(reading.dataset, held), durable=True)
        with disk_errors(folder):
            if folder.exists():
                shutil.rmtree(folder)  # damaged, else it would have been used
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fetch_image(files: Files, key: str, expected: Stat, partial: Path) -> tuple[Size | Problem, StagedImage]:
    data, tag = files.store.read_tagged(key, max_bytes=MAX_IMAGE_BYTES)
    if (len(data), tag) != (expected.size, expected.tag):
        raise DatasetError(f"{files.store.uri_of(key)}: changed while the dataset was fetched; start again")
    _write(partial / check_key(key), data)
    try:
        size: Size | Problem = header_size(data)
    except Unreadable as error:
        size = problem_of(key, error)
    return size, StagedImage(len(data), sha256_hex(data))


def _write(path: Path, data: bytes, *, durable: bool = False) -> None:
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if durable:
            write_synced(path, data)
        else:
            path.write_bytes(data)


@dataclass(frozen=True)
class _Checked:
    """When this node last looked at every file of a dataset, and the name that its copy had."""

    name: str
    at_s: float


def _checked_since(cache: Path, address: str, since_s: float) -> str | None:
    """The name that the address's copy had at a moment after `since_s`, if another process of this node looked then.

    So of many workers that start together one asks the object store about every file.
    """
    try:
        record = read_json((cache / f".{address}.checked").read_bytes(), _Checked)
    except (OSError, Malformed):
        return None
    return record.name if record.at_s >= since_s else None


def _write_checked(cache: Path, address: str, name: str, at_s: float) -> None:
    _write(cache / f".{address}.checked", json.dumps({"name": name, "at_s": at_s}).encode())


@contextmanager
def locked(cache: Path, name: str) -> Iterator[None]:
    """Hold a lock of this node; the kernel releases it when the process dies."""
    with disk_errors(cache):
        lock = (cache / f".{name}.lock").open("w")
    with lock:
        with disk_errors(cache):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """The disk's errors as roadscan's."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path}: {error.strerror or error}; expected a cache folder that can be written, with room for the images"
        ) from None
