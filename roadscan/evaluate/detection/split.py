"""The images that models are scored on: one split of a dataset, of the classes that the models know too."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from roadscan.dataset.records import LabelledImage, LabelMapFile, Task
from roadscan.dataset.staging import dataset_digest, stage
from roadscan.errors import DatasetError, ModelError

#: Where datasets from object storage are kept, unless the caller says otherwise.
CACHE_DIR = Path(tempfile.gettempdir()) / "roadscan-datasets"

FALLBACK = {"test": "val"}  # what is scored where a dataset lacks a split
FEW_DRIVES = 20  # with fewer, intervals over drives are too narrow


@dataclass(frozen=True)
class Split:
    """Labelled images to score on.

    Attributes:
        uri: of the dataset, as given.
        digest: of the split's labels and images, so that two evaluations can be seen to be on the same.
        root: folder on this machine that the images' keys are below.
        task: of the dataset.
        name: of the split.
        names: classes that are scored.
        left_out: classes of the dataset that no model could find, so that they are not scored.
        images: class indices count in `names`.
        notes: what a reader of the scores should know, a sentence each.
    """

    uri: str
    digest: str
    root: Path
    task: Task
    name: str
    names: tuple[str, ...]
    left_out: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    notes: tuple[str, ...]

    @property
    def loose(self) -> int:
        """Images without a drive."""
        return sum(image.drive_id is None for image in self.images)

    @property
    def drives(self) -> int:
        """Drives, where an image without one is a drive of its own."""
        return len({image.drive_id for image in self.images if image.drive_id is not None}) + self.loose

    def of_classes(self, known: Collection[str], *, whose: str) -> Split:
        """The same images with the objects of some classes alone.

        Args:
            known: class names, of a model.
            whose: the model, for the message.

        Raises:
            ModelError: there is no class in common.
        """
        names = tuple(name for name in self.names if name in known)
        if not names:
            raise ModelError(
                f"model {whose}: it knows {_listed(known)}, and {self.uri} has labels of {_listed(self.names)}; "
                "no class is in common, so there is nothing to score; class names must be spelled the same"
            )
        number = np.array([names.index(name) if name in names else -1 for name in self.names], np.int64)
        left_out = (*self.left_out, *(name for name in self.names if name not in names))
        return replace(self, names=names, left_out=left_out, images=tuple(_kept(i, number) for i in self.images))

    def to_dict(self) -> dict[str, Any]:
        """What was scored on, for JSON."""
        return {
            "data": self.uri,
            "digest": self.digest,
            "task": self.task,
            "split": self.name,
            "images": len(self.images),
            "drives": self.drives,
            "images_without_drive": self.loose,
            "classes": list(self.names),
            "classes_of_data_alone": list(self.left_out),
        }


def open_split(uri: str, name: str = "test", cache_dir: Path = CACHE_DIR) -> Split:
    """Bring a dataset to this machine and choose a split.

    Args:
        uri: the dataset, a folder or ``s3://`` address.
        name: of the split. Where there is no test split, val is taken, and a note says so.
        cache_dir: where datasets from object storage are kept.

    Raises:
        DatasetError: the dataset cannot be read, or has no image in the split.
    """
    dataset = stage(uri, cache_dir)
    available = [split for split, images in dataset.splits.items() if images]
    chosen = name if name in available else FALLBACK.get(name, name)
    if chosen not in available:
        raise DatasetError(f"{uri}: no images in split {name!r}; expected one of {_listed(available)}")
    notes = [f"the dataset has no {name} split, so its {chosen} split is scored"] if chosen != name else []
    split = Split(
        uri=uri,
        digest=dataset_digest(replace(dataset, splits={chosen: dataset.splits[chosen]})),
        root=Path(dataset.root),
        task=dataset.task,
        name=chosen,
        names=tuple(dataset.names),
        left_out=(),
        images=tuple(dataset.splits[chosen]),
        notes=tuple(notes),
    )
    return replace(split, notes=(*split.notes, *_notes_on_drives(split)))


def open_objects(uri: str, name: str = "test", cache_dir: Path = CACHE_DIR) -> Split:
    """As `open_split`, for models that find objects.

    Raises:
        DatasetError: as `open_split`, or the dataset is of label maps.
    """
    split = open_split(uri, name, cache_dir)
    if any(image.label_map is not None for image in split.images):
        raise DatasetError(
            f"{uri}: its label maps have no objects; a model for detect or segment needs boxes or outlines"
        )
    return split


def _notes_on_drives(split: Split) -> list[str]:
    notes = []
    if split.loose == len(split.images):
        notes.append("no image says which drive it is of: each counts as a drive, so the intervals are too narrow")
    elif split.loose:
        notes.append(f"{split.loose} of {len(split.images)} images say no drive: each counts as a drive of its own")
    if split.drives < 2:
        notes.append("all images are of one drive: there are no intervals over drives")
    elif split.drives < FEW_DRIVES:
        notes.append(f"there are only {split.drives} drives: with fewer than {FEW_DRIVES}, intervals are too narrow")
    return notes


def _kept(image: LabelledImage, number: np.ndarray[tuple[int], np.dtype[np.int64]]) -> LabelledImage:
    """The image with the objects whose class has a new number, which is not -1."""
    classes = number[image.classes]
    rows = np.flatnonzero(classes >= 0)
    outlines = None if image.outlines is None else tuple(image.outlines[row] for row in rows)
    return replace(
        image,
        classes=classes[rows],
        boxes_xyxy=image.boxes_xyxy[rows],
        outlines=outlines,
        occlusions=tuple(image.occlusions[row] for row in rows) if image.occlusions else (),
        label_map=None if image.label_map is None else _renumbered(image.label_map, number),
    )


def _renumbered(file: LabelMapFile, number: np.ndarray[tuple[int], np.dtype[np.int64]]) -> LabelMapFile:
    """The label map with the new numbers of its classes; those without one become background."""
    meaning = {value: int(number[old]) if old >= 0 else old for value, old in file.palette.meaning.items()}
    return replace(file, palette=replace(file.palette, meaning=meaning))


def _listed(names: Collection[str] | Sequence[str], most: int = 12) -> str:
    shown = [*names][:most]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")
