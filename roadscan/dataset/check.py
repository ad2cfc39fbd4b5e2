"""The check of a dataset: every image is decoded, every label looked at, every split compared with the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from roadscan.dataset.census import count_objects
from roadscan.dataset.draft import Problem
from roadscan.dataset.files import Files
from roadscan.dataset.fitness import unfit
from roadscan.dataset.images import Examined, Unreadable, examine, problem_of
from roadscan.dataset.label_maps import BACKGROUND, BadLabelMap, count_pixels, label_map, read_label_map
from roadscan.dataset.read import open_draft
from roadscan.dataset.records import Dataset, LabelledImage
from roadscan.dataset.report import CheckReport
from roadscan.dataset.similar import ALIKE_BITS, WORDS, alike
from roadscan.dataset.staging import content_digest
from roadscan.errors import StorageError
from roadscan.progress import OnCount, OnProgress, counter, silent
from roadscan.storage import MAX_IMAGE_BYTES


def check_dataset(uri: str, *, allow_near_duplicates: bool = False, on_progress: OnProgress = silent) -> CheckReport:
    """A dataset's address -> a report of what is wrong with it.

    Errors, with which it must not be trained on: bad labels, images that are missing, corrupt or of another size than
    their labels say, label maps with values that mean nothing, leaks between splits (a drive, an image, or images that
    look alike in two of them), and whatever a training refuses (`unfit`). Warnings: an image or a label twice, labels
    without an image, what is left out.

    Args:
        uri: as for `read_dataset`.
        allow_near_duplicates: images in two splits that look alike are warnings. A standing vehicle takes such images,
            and so do different vehicles at one place.
        on_progress: called after each image.

    Raises:
        DatasetError: it is in no known format, or its description is wrong.
        StorageError: it cannot be read.
    """
    draft = open_draft(uri)
    found = _examined(draft.files, draft.image_keys, counter(on_progress, "dataset check", "images"))
    reading = draft.finish({key: one.size if isinstance(one, Examined) else one for key, one in found.items()})
    images = {key: one for key, one in found.items() if isinstance(one, Examined)}
    twice, shared = _same_files(reading.dataset, images)
    near = _near_duplicates(reading.dataset, images)
    pixels, bad_maps = _count_pixels(reading.dataset, draft.files) if draft.task == "semantic" else ({}, [])
    errors = [*reading.errors, *bad_maps, *shared, *unfit(draft)]
    warnings = [*reading.warnings, *twice, *_repeated_labels(reading.dataset)]
    (warnings if allow_near_duplicates else errors).extend(near)
    return CheckReport(
        uri=uri,
        digest=content_digest(reading.dataset, draft.files, {key: one.sha256 for key, one in images.items()}),
        task=reading.dataset.task,
        census=count_objects(reading),
        errors=tuple(errors),
        warnings=tuple(warnings),
        pixels=pixels,
    )


def _examined(files: Files, keys: Sequence[str], on_image: OnCount) -> dict[str, Examined | Problem]:
    def one(key: str) -> Examined | Problem:
        try:
            return examine(files.store.read(key, max_bytes=MAX_IMAGE_BYTES))
        except (Unreadable, StorageError) as error:
            return problem_of(key, error)

    return dict(zip(keys, files.each(one, keys, on_image), strict=True))


def _count_pixels(dataset: Dataset, files: Files) -> tuple[dict[str, dict[str, int]], list[Problem]]:
    """Pixels of each class and the background by split, and label maps that cannot be used."""
    n_classes = len(dataset.names)

    def count(image: LabelledImage) -> npt.NDArray[np.int64] | Problem:
        if image.label_map is None:
            return count_pixels(label_map(image, dataset.root, n_classes), n_classes)
        try:
            found = read_label_map(
                files.store.read(image.label_map.key, max_bytes=MAX_IMAGE_BYTES), image, image.label_map, n_classes
            )
        except BadLabelMap as error:
            return Problem("bad label", image.label_map.key, str(error))
        return count_pixels(found, n_classes)

    counts, problems = {}, []
    for split, images in dataset.splits.items():
        found = files.each(count, images)
        problems += [one for one in found if isinstance(one, Problem)]
        total = sum((one for one in found if not isinstance(one, Problem)), np.zeros(n_classes + 1, np.int64))
        counts[split] = dict(zip((*dataset.names, BACKGROUND), total.tolist(), strict=True))
    return counts, problems


def _same_files(dataset: Dataset, images: Mapping[str, Examined]) -> tuple[list[Problem], list[Problem]]:
    """The same bytes more than once in a split, and in two splits."""
    where: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for split, members in dataset.splits.items():
        for image in members:
            where[images[image.key].sha256].append((split, image.key))
    twice, shared = [], []
    for places in where.values():
        first_split, first = places[0]
        for split, key in places[1:]:
            if split == first_split:
                twice.append(Problem("image twice", key, f"the same file as {first}"))
            else:
                shared.append(
                    Problem("image in two splits", key, f"in {split} the same file as {first} in {first_split}")
                )
    return twice, shared


def _near_duplicates(dataset: Dataset, images: Mapping[str, Examined]) -> list[Problem]:
    """Images that look like one of another split, but are not the same file."""
    problems = []
    looks = {
        split: np.array([images[image.key].look for image in members], np.uint64).reshape(-1, WORDS)
        for split, members in dataset.splits.items()
    }
    for one, other in combinations(dataset.splits, 2):
        # Each image of the smaller split, usually not train, is told once: of a slow vehicle many are alike.
        few, many = (one, other) if len(looks[one]) < len(looks[other]) else (other, one)
        for row, closest, bits in alike(looks[few], looks[many]):
            key, partner = dataset.splits[few][row].key, dataset.splits[many][closest].key
            if images[key].sha256 != images[partner].sha256:
                text = (
                    f"in {few} looks like {partner} in {many} ({bits} of 256 bits differ; up to {ALIKE_BITS} is alike)"
                )
                problems.append(Problem("similar images in two splits", key, text))
    return problems


def _repeated_labels(dataset: Dataset) -> list[Problem]:
    """Objects with the same class and the same box as another of their image."""
    found = []
    for images in dataset.splits.values():
        for image in images:
            rows = np.column_stack([image.classes, image.boxes_xyxy.astype(np.float64)])
            _, counts = np.unique(rows, axis=0, return_counts=True)
            if len(counts) < len(rows):
                text = f"{len(rows) - len(counts)} of its {len(rows)} objects have the class and box of another"
                found.append(Problem("label twice", image.key, text))
    return found
