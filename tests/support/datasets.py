"""Datasets, to compare."""

from __future__ import annotations

import dataclasses

import numpy as np

from roadscan.dataset.records import Dataset


def plain(dataset: Dataset) -> object:
    """A dataset as lists, to compare."""
    return dataset.task, dataset.names, {
        split: [
            [
                value.tolist() if isinstance(value, np.ndarray) else value
                for value in (getattr(image, field.name) for field in dataclasses.fields(image))
                if not isinstance(value, tuple)
            ]
            + [[[part.tolist() for part in parts] for parts in image.outlines or ()]]
            for image in images
        ]
        for split, images in dataset.splits.items()
    }  # fmt: skip
