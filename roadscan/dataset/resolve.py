"""Image names as labels have them -> keys of the images that there are, split by split."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import replace

from roadscan.dataset.assemble import Labelling
from roadscan.dataset.description import EXAMPLE_OF_LISTS, SplitConfig
from roadscan.dataset.draft import Problem
from roadscan.dataset.files import Files
from roadscan.dataset.images import SUFFIXES
from roadscan.dataset.labels import ImageRecord, Records
from roadscan.errors import DatasetError
from roadscan.filenames import FileNames


def resolved(
    files: Files, split: str, place: SplitConfig, records: Records, prefix: str | None, found: Labelling
) -> Iterator[tuple[str, list[ImageRecord]]]:
    """The splits in one file of labels, each with its images, whose names are keys.

    Args:
        files: the dataset.
        split: name of the split; "" where the labels say which split an image is of.
        place: where its labels and images are.
        records: what the labels say.
        prefix: what to cut from names that were written elsewhere.
        found: what is wrong is noted there.

    Raises:
        DatasetError: the labels should say the splits, and do not.
    """
    folder = "" if posixpath.normpath(place.images) == "." else posixpath.normpath(place.images)
    names = FileNames((key for key in files.keys(folder) if key.lower().endswith(SUFFIXES)), files.store.uri, prefix)
    wanted = _listed(files, place, names, folder, split, found) if place.list else None
    splits: dict[str, list[ImageRecord]] = {}
    seen: dict[str, str] = {}
    for image in records.images:
        key = names.find(image.name, folder) or (names.find(image.also, folder) if image.also else None)
        if wanted is not None and key not in wanted:
            continue
        if key is None:
            found.errors.append(_missing(image, names, folder))
        elif key in seen:
            text = f"{image.name} is listed twice, first as {seen[key]}"
            found.errors.append(Problem("bad label", image.where, text))
        else:
            seen[key] = image.where
            of_split = split or image.split or ""
            splits.setdefault(of_split, []).append(replace(image, name=key))
    if "" in splits:
        raise DatasetError(
            f"{found.where}: {place.annotations} does not say which split {len(splits[''])} of its images are of; give "
            f"lists of images in dataset.yaml:\n{EXAMPLE_OF_LISTS.format(place.annotations)}"
        )
    if wanted is not None:
        _tell_unlabelled(wanted - seen.keys(), split, splits, place, found)
    yield from splits.items() if splits or not split else [(split, [])]


def _missing(image: ImageRecord, names: FileNames, folder: str) -> Problem:
    hint = names.hint(image.name, folder)
    text = f"there is no such image, and {image.where} names it{f'; {hint}' if hint else ''}"
    return Problem("missing image", names.joined(image.name, folder), text)


def _listed(files: Files, place: SplitConfig, names: FileNames, folder: str, split: str, found: Labelling) -> set[str]:
    """Keys of the images that a list names, one a line; a second column, as VOC has it, is passed over."""
    list_key = posixpath.normpath(place.list or "")
    wanted = set()
    for number, line in enumerate(files.read(list_key).decode("utf-8-sig", errors="replace").splitlines(), 1):
        if line.strip():
            key = names.find(line, folder) or names.find(line.split()[0], folder)
            if key:
                wanted.add(key)
            elif split != "test":
                hint = names.hint(line, folder)
                text = f"there is no image {line.strip()!r}{f'; {hint}' if hint else ''}"
                found.errors.append(Problem("missing image", f"{list_key}:{number}", text))
    return wanted


def _tell_unlabelled(
    without: set[str], split: str, splits: dict[str, list[ImageRecord]], place: SplitConfig, found: Labelling
) -> None:
    """Images of a list that no label file names; all of a test split are common, since its labels are kept back."""
    if split == "test" and split not in splits:
        text = f"none of the images in {place.list} has labels, so there is no test split"
        found.warnings.append(Problem("missing split", place.list or split, text))
        splits[split] = []
        return
    text = f"{place.list} names it for {split}, and there are no labels of it; label it, or take it off the list"
    found.errors += [Problem("bad label", key, text) for key in sorted(without)]
