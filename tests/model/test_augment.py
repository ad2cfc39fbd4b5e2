"""Training images: what they hold, and that they depend on (seed, epoch, place) alone."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from support import labelled

from roadscan.errors import DatasetError
from roadscan.model import yolo


def images_of(root: Path, *, task: str = "detect", seed: int = 0, **augment: float) -> yolo.TrainingImages:
    dataset = labelled.draw_dataset(root, {"train": 5}, task=task)
    return yolo.TrainingImages(
        root, dataset.splits["train"], task=task, config=yolo.AugmentConfig(**augment), image_size_px=160,
        input_hw=(96, 160), seed=seed, mosaic_epochs=1,
    )  # fmt: skip


NONE = {"mosaic": 0, "translate": 0, "scale": 0, "fliplr": 0, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0}


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_without_augmentation_it_is_the_image_with_its_boxes(task: str, tmp_path: Path) -> None:
    images = images_of(tmp_path, task=task, **NONE)
    truth = labelled.draw_dataset(tmp_path / "again", {"train": 5}, task=task).splits["train"][2]
    made = images[yolo.Item(0, 0, 2)]
    assert made["img"].shape == (3, 96, 160)
    boxes = made["bboxes"].numpy() * np.array([160, 96, 160, 96], np.float32)
    centres, sizes = boxes[:, :2], boxes[:, 2:]
    got = np.concatenate([centres - sizes / 2, centres + sizes / 2], 1)
    order, expected_order = np.lexsort(got.T), np.lexsort(truth.boxes_xyxy.T)
    assert np.abs(got[order] - truth.boxes_xyxy[expected_order]).max() < 0.6
    assert sorted(made["cls"].view(-1).long().tolist()) == sorted(truth.classes.tolist())
    if task == "segment":
        areas = [float((made["masks"] == i + 1).sum()) * 16 for i in range(len(boxes))]  # 4x4 pixels a mask pixel
        assert sum(areas) == pytest.approx(sum(_area(parts[0]) for parts in truth.outlines or ()), rel=0.3)


def _area(outline: np.ndarray) -> float:
    x, y = outline.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def test_an_item_is_the_same_whatever_was_made_before(tmp_path: Path) -> None:
    images = images_of(tmp_path)
    first = images[yolo.Item(0, 3, 2)]
    for place in (1, 0, 4):
        images[yolo.Item(0, place, place)]
    random.seed(99)
    again = images[yolo.Item(0, 3, 2)]
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("other", [yolo.Item(1, 3, 2), yolo.Item(0, 2, 2)])
def test_another_epoch_or_place_is_another_picture(other: yolo.Item, tmp_path: Path) -> None:
    images = images_of(tmp_path)
    assert not torch.equal(images[yolo.Item(0, 3, 2)]["img"], images[other]["img"])


def test_another_seed_is_another_picture(tmp_path: Path) -> None:
    a, b = images_of(tmp_path / "a"), images_of(tmp_path / "b", seed=1)
    assert not torch.equal(a[yolo.Item(0, 0, 0)]["img"], b[yolo.Item(0, 0, 0)]["img"])


def test_mosaic_is_closed_for_the_last_epochs(tmp_path: Path) -> None:
    images = images_of(tmp_path, **(NONE | {"mosaic": 1}))
    plain = images_of(tmp_path, **NONE)
    item = yolo.Item(1, 0, 0)
    assert torch.equal(images[item]["img"], plain[item]["img"])
    open_ = yolo.Item(0, 0, 0)
    assert not torch.equal(images[open_]["img"], plain[open_]["img"])


def test_the_random_state_of_the_program_is_left_alone(tmp_path: Path) -> None:
    images = images_of(tmp_path)
    random.seed(5)
    np.random.seed(5)
    expected = random.random(), np.random.random()
    random.seed(5)
    np.random.seed(5)
    images[yolo.Item(0, 0, 0)]
    assert (random.random(), np.random.random()) == expected


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    images = images_of(tmp_path)
    (tmp_path / "images" / "train" / "train-0002.jpg").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"train-0002\.jpg: the image cannot be decoded"):
        images[yolo.Item(1, 0, 2)]
