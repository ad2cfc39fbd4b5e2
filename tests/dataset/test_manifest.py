"""What goes into a manifest comes out of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.datasets import plain

from roadscan.dataset.files import Files
from roadscan.dataset.manifest import StagedImage, manifest_bytes, read_manifest
from roadscan.dataset.records import Dataset, LabelledImage
from roadscan.errors import DatasetError
from roadscan.storage import open_store


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    task = draw(st.sampled_from(["detect", "segment"]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    splits = {}
    for split in draw(st.lists(st.sampled_from(["train", "val", "test"]), unique=True)):
        images = []
        for number in range(draw(st.integers(0, 3))):
            count, (width, height) = draw(st.integers(0, 3)), rng.integers(1, 5000, 2).tolist()
            corners = np.sort(rng.random((count, 2, 2)), 1) * (width, height)
            outlines = tuple(
                tuple(
                    (rng.random((int(rng.integers(3, 6)), 2)) * (width, height)).astype(np.float32)
                    for _ in range(int(rng.integers(1, 3)))
                )
                for _ in range(count)
            )
            images.append(
                LabelledImage(
                    key=f"images/{split}/ป้าย {number}.jpg",
                    width_px=width,
                    height_px=height,
                    classes=rng.integers(0, 3, count),
                    boxes_xyxy=corners.reshape(-1, 4).astype(np.float32),
                    outlines=outlines if task == "segment" else None,
                    drive_id=draw(st.sampled_from([None, "d-1"])),
                    conditions=draw(st.sampled_from([(), ("night",), ("night", "rain")])),
                    occlusions=draw(st.sampled_from([(), (None, "not occluded", "occluded")[:count]])),
                )
            )
        splits[split] = tuple(images)
    return Dataset("/data", task, ("a", "b", "ค"), splits)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(datasets())
def test_all_of_a_dataset_comes_back_to_the_bit(dataset: Dataset) -> None:
    staged = {image.key: StagedImage(7, image.key[-6:]) for images in dataset.splits.values() for image in images}
    draft, again = read_manifest(manifest_bytes(dataset, staged), Files(open_store("/data")))
    reading = draft.finish({})
    assert plain(reading.dataset) == plain(dataset)
    assert reading.dataset.root == "/data"
    assert (again, reading.errors, reading.warnings) == (staged, (), ())
    for images in reading.dataset.splits.values():
        for image in images:
            assert (image.classes.dtype, image.boxes_xyxy.dtype) == (np.int64, np.float32)
            assert image.boxes_xyxy.shape == (len(image.classes), 4)


@pytest.mark.parametrize("data", [b"", b"no parquet", manifest_bytes(Dataset("/d", "detect", ("a",), {}), {})[:-20]])
def test_a_damaged_manifest_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"roadscan-dataset.parquet: damaged"):
        read_manifest(data, Files(open_store(tmp_path)))
