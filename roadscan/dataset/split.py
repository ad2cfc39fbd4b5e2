"""Split labelled images into training, validation and test by whole survey drives.

Frames of one drive show the same assets again and again. With one drive in two splits a model is scored on what it was
trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from roadscan.arrays import Floats
from roadscan.dataset.draft import Draft, Problem
from roadscan.dataset.records import Dataset, LabelledImage
from roadscan.errors import DatasetError

ROUNDS = 20  # of improvement; it ends earlier when no move helps


def split_by_drive(
    images: Sequence[LabelledImage], shares: Mapping[str, float], seed: int = 0
) -> dict[str, tuple[LabelledImage, ...]]:
    """Split images so that each split gets its share of every class, of images, and whole drives only.

    Largest drives first, each goes where it brings the counts nearest to the shares; then drives move as long as that
    helps. The result does not depend on the order of the images, except for theirs within a split.

    Args:
        images: an image without a drive is a drive of its own.
        shares: of each split, in any unit, such as ``{"train": 0.8, "val": 0.1, "test": 0.1}``.
        seed: of the choice between drives that are equally good.

    Raises:
        DatasetError: a share is not above 0, or there are fewer drives than splits.
    """
    names, wanted = list(shares), np.array(list(shares.values()), np.float64)
    if not names or not (np.isfinite(wanted).all() and (wanted > 0).all()):
        raise DatasetError(f"shares: got {dict(shares)}; expected at least one split, each with a share above 0")
    drives = sorted({_drive(image) for image in images})
    if len(drives) < len(names):
        raise DatasetError(
            f"{len(drives)} drives cannot fill the {len(names)} splits {', '.join(names)}, since a drive is never cut; "
            "label frames of more drives, or ask for fewer splits"
        )
    number = {drive: index for index, drive in enumerate(drives)}
    counts = _counts(images, [number[_drive(image)] for image in images], len(drives))
    order = np.random.default_rng(seed).permutation(len(drives))
    split_of = np.empty(len(drives), np.int64)
    split_of[order] = _assign(counts[order], wanted / wanted.sum())
    by_image = [int(split_of[number[_drive(image)]]) for image in images]
    return {
        name: tuple(image for image, split in zip(images, by_image, strict=True) if split == index)
        for index, name in enumerate(names)
    }


def hold_out(dataset: Dataset, share: float, seed: int = 0) -> Dataset:
    """The dataset with part of its training split as its validation split, for tuning.

    What tuning chooses is then not chosen on the real validation split, which is left out; other splits stay.

    Args:
        dataset: with a training split.
        share: of the training split to hold out, above 0 and below 1.
        seed: as for `split_by_drive`.

    Raises:
        DatasetError: there are fewer than two drives to train on, or the share is out of bounds.
    """
    if not 0 < share < 1:
        raise DatasetError(f"share to hold out: got {share}; expected a number above 0 and below 1, such as 0.2")
    parts = split_by_drive(dataset.splits.get("train", ()), {"train": 1 - share, "val": share}, seed)
    return replace(dataset, splits={**dataset.splits, **parts})


def drive_leaks(dataset: Dataset | Draft) -> list[Problem]:
    """Drives that are in more than one split."""
    keys: dict[str, dict[str, list[str]]] = {}
    for split, images in dataset.splits.items():
        for image in images:
            if image.drive_id is not None:
                keys.setdefault(image.drive_id, {}).setdefault(split, []).append(image.key)
    why = "expected all images of a drive in one split, since they show the same assets"
    return [
        Problem("drive in two splits", drive_id, "; ".join([*map(_leak_in_words, found.items()), why]))
        for drive_id, found in sorted(keys.items())
        if len(found) > 1
    ]


def _leak_in_words(found: tuple[str, list[str]]) -> str:
    split, keys = found
    return f"{len(keys)} of its images are in {split} ({keys[0]}{', …' if len(keys) > 1 else ''})"


def _drive(image: LabelledImage) -> tuple[str, str]:
    return ("drive", image.drive_id) if image.drive_id is not None else ("image", image.key)


def _counts(images: Sequence[LabelledImage], rows: list[int], drives: int) -> Floats:
    """(drives, classes + 1) objects of each class, and images, as shares of all; classes without objects are 0."""
    width = 1 + max((int(image.classes.max(initial=-1)) for image in images), default=-1)
    counts = np.zeros((drives, width + 1))
    for row, image in zip(rows, images, strict=True):
        counts[row, :width] += np.bincount(image.classes, minlength=width)
        counts[row, width] += 1
    shares: Floats = counts / np.maximum(counts.sum(0), 1)
    return shares


def _assign(counts: Floats, shares: Floats) -> npt.NDArray[np.int64]:
    """The split of each drive; of equals the earlier drive goes first."""
    split_of = np.full(len(counts), -1)
    filled = np.zeros((len(shares), counts.shape[1]))
    for drive in np.argsort(-counts.max(1), kind="stable"):
        split_of[drive] = best = int(_cost_of_adding(filled, counts[drive], shares).argmin())
        filled[best] += counts[drive]
    _fill_empty(split_of, counts, filled, shares)
    for _ in range(ROUNDS):
        if not _move(split_of, counts, filled, shares):
            break
    return split_of


def _cost_of_adding(filled: Floats, drive: Floats, shares: Floats) -> Floats:
    """For each split, how much a drive in it changes the cost: squared distance from the share, over the share."""
    off = filled - shares[:, None]
    cost: Floats = ((2 * off + drive) * drive).sum(1) / shares
    return cost


def _fill_empty(split_of: npt.NDArray[np.int64], counts: Floats, filled: Floats, shares: Floats) -> None:
    """Give each split without drives the smallest drive of a split that keeps others."""
    for split in range(len(shares)):
        if (split_of == split).any():
            continue
        spare = np.flatnonzero(np.bincount(split_of, minlength=len(shares))[split_of] > 1)
        drive = int(spare[counts[spare].max(1).argmin()])
        filled[split_of[drive]] -= counts[drive]
        filled[split] += counts[drive]
        split_of[drive] = split


def _move(split_of: npt.NDArray[np.int64], counts: Floats, filled: Floats, shares: Floats) -> bool:
    """Move each drive to where it lowers the cost, unless it is the last of its split; whether one moved."""
    moved = False
    for drive in range(len(counts)):
        old = int(split_of[drive])
        if (split_of == old).sum() == 1:
            continue
        filled[old] -= counts[drive]
        costs = _cost_of_adding(filled, counts[drive], shares)
        best = int(costs.argmin())
        split_of[drive] = best = best if costs[best] < costs[old] - 1e-12 else old
        filled[best] += counts[drive]
        moved |= best != old
    return moved
