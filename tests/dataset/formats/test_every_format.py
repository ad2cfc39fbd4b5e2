"""Whatever format labels come in, the same truth is read, checked, trained on and scored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.datasets import plain
from support.distributed import config_of
from support.exports import COUNTS, WRITERS
from support.labelled import NAMES
from support.written import put

from roadscan.dataset.check import check_dataset
from roadscan.dataset.formats import FORMATS
from roadscan.dataset.formats.trees import Folder
from roadscan.dataset.labels import BadLabel
from roadscan.dataset.read import read_dataset
from roadscan.dataset.staging import stage
from roadscan.demo.server import S3Server
from roadscan.errors import DatasetError
from roadscan.evaluate.detection.evaluation import evaluate
from roadscan.model import yolo
from roadscan.storage import open_store
from roadscan.train import loop
from roadscan.train.ranks import SingleProcess
from roadscan.train.result import MODEL, write_result

every_format = pytest.mark.parametrize("name", WRITERS)


@every_format
def test_the_same_truth_is_read(tmp_path: Path, name: str) -> None:
    truth = WRITERS[name](tmp_path)
    read = read_dataset(str(tmp_path))
    assert (read.task, set(read.names)) == ("detect", set(NAMES))
    assert {split: len(images) for split, images in read.splits.items() if images} == COUNTS
    for split in COUNTS:
        found = {Path(image.key).stem: image for image in read.splits[split]}
        assert all((tmp_path / image.key).is_file() for image in found.values())
        for image in truth.splits[split]:
            other = found[Path(image.key).stem]
            assert (other.width_px, other.height_px) == (image.width_px, image.height_px)
            assert [read.names[c] for c in other.classes] == [NAMES[c] for c in image.classes]
            np.testing.assert_allclose(other.boxes_xyxy, image.boxes_xyxy, atol=0.02)  # written with two decimals


def _changed(tree: Any, junk: Any) -> Iterator[Any]:
    """The tree with each of its values in turn replaced by junk, and with each in turn left out."""
    yield junk
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        for other in _changed(tree[key], junk):
            yield tree | {key: other} if isinstance(tree, dict) else [*tree[:key], other, *tree[key + 1 :]]
        if isinstance(tree, dict):
            yield {name: value for name, value in tree.items() if name != key}


@pytest.mark.parametrize(
    "junk", [None, "x", "", -1, 1e400, float("nan"), True, [], [1], [[1, "a"]], {}, {"a": None}], ids=repr
)
@pytest.mark.parametrize("name", ["coco", "bdd100k", "mapillary", "label_studio"])
def test_what_is_odd_in_json_is_told_and_never_a_traceback(tmp_path: Path, name: str, junk: Any) -> None:
    if name == "coco":
        image = {"id": 1, "file_name": "a.jpg", "width": 9, "height": 9, "drive_id": "d"}
        outlines = [[[1, 1, 5, 1, 5, 5]], {"size": [9, 9], "counts": [10, 5, 66]}, []]
        annotations = [
            {"id": 1, "image_id": 1, "category_id": 2, "bbox": [1, 1, 5, 5], "iscrowd": 0, "segmentation": one}
            for one in outlines
        ]
        categories = [{"id": 2, "name": "sign", "supercategory": "none"}]
        tree: Any = {"images": [image], "annotations": annotations, "categories": categories}
    else:
        WRITERS[name.replace("_", " ")](tmp_path)
        key = {"bdd100k": "labels/det_20/det_val", "mapillary": "annotations/val-0000", "label_studio": "project-4"}[
            name
        ]
        tree = json.loads((tmp_path / f"{key}.json").read_text())
        tree = tree[:1] if isinstance(tree, list) else tree
    count = 0
    for changed in _changed(tree, junk):
        one = Folder({"a.json": changed}) if name == "mapillary" else changed
        FORMATS[name].looks(one)
        try:
            records = FORMATS[name].read(one, "a.json")
        except (BadLabel, DatasetError):
            continue
        count += 1
        assert all(isinstance(image.name, str) and image.name for image in records.images)
        assert all(
            np.isfinite(part).all() for image in records.images for found in image.objects for part in found.parts
        )
        assert all(isinstance(found.class_name, str) for image in records.images for found in image.objects)
    assert count > 10


@every_format
def test_it_is_fit_to_train_on(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path)
    report = check_dataset(str(tmp_path), allow_near_duplicates=True)  # of noise
    assert [str(error) for error in report.errors] == []
    assert {split: count.images for split, count in report.census.items() if count.images} == COUNTS


@every_format
def test_it_makes_a_batch_to_train_on(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path)
    dataset = read_dataset(str(tmp_path))
    config = config_of(tmp_path)
    images = yolo.TrainingImages(
        tmp_path, dataset.splits["train"], task="detect", config=config.augment, input_hw=(160, 160), image_size_px=160,
        seed=0, mosaic_epochs=0,
    )  # fmt: skip
    batch = yolo.collate([images[yolo.Item(0, place, place)] for place in range(COUNTS["train"])])
    assert len(batch["cls"]) == sum(len(image.classes) for image in dataset.splits["train"])


@pytest.mark.s3
@pytest.mark.parametrize("name", ["voc", "mapillary", "label studio"])
def test_it_is_staged_from_a_bucket(s3: S3Server, tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / "disk")
    uri = f"s3://raw/{tmp_path.name}"
    for file in (tmp_path / "disk").rglob("*"):
        if file.is_file():
            put(uri, file.relative_to(tmp_path / "disk").as_posix(), file.read_bytes())
    staged, on_disk = stage(uri, tmp_path / "cache"), read_dataset(str(tmp_path / "disk"))
    assert plain(staged) == plain(on_disk)
    assert plain(read_dataset(staged.root)) == plain(on_disk)  # from its manifest


@pytest.mark.slow
@every_format
def test_it_is_trained_on_and_scored(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / "data")
    dataset = read_dataset(str(tmp_path / "data"))
    config = config_of(tmp_path, epochs=1)
    cpu = torch.device("cpu")
    state = loop.train(config, dataset, None, SingleProcess(tmp_path / "run", cpu))
    assert 0 < state.history[-1]["cls_loss"] < np.inf
    write_result(state, dataset, config, "scratch", open_store(tmp_path / "run"), cpu)
    found = evaluate(str(tmp_path / "run" / MODEL), str(tmp_path / "data"), resamples=10)
    assert set(found.split.names) == set(NAMES)
    expected = sum(len(image.classes) for image in dataset.splits["val"])
    assert found.measured["box"].scores.instances == expected
