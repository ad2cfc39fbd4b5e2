"""Whether a dataset can be trained on: the one judgement of `roadscan dataset check` and of a training."""

from __future__ import annotations

from roadscan.dataset.draft import Draft, Problem
from roadscan.dataset.records import Dataset
from roadscan.dataset.split import drive_leaks

NEEDED = {"train": "to learn from", "val": "to choose the best epoch by"}


def unfit(dataset: Dataset | Draft) -> list[Problem]:
    """A dataset -> why it cannot be trained on, beside what is wrong with its labels and images.

    A split that is missing or has no images, one without any object, a drive in two splits.
    """
    problems = drive_leaks(dataset)
    without_file = dataset.without_label_file if isinstance(dataset, Draft) else frozenset()
    for split, why in NEEDED.items():
        images = dataset.splits.get(split, ())
        if not images:
            has = ", ".join(name for name, found in dataset.splits.items() if found) or "none"
            problems.append(Problem("missing split", f"split {split}", f"no images; got {has}; expected images {why}"))
        elif not any(len(image.classes) or image.label_map for image in images):
            bare = sum(image.key in without_file for image in images)
            files = f"{bare} of its {len(images)} images have no label file: are the labels where they belong?"
            text = f"no objects: {files if bare else 'all of its images are background'}"
            problems.append(Problem("split without objects", f"split {split}", text))
    return problems
