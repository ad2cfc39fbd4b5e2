"""Training images: what they hold, and that they depend on (seed, epoch, place) alone."""

from __future__ import annotations

import random
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support import labelled

from roadscan.dataset.records import LabelledImage
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


@pytest.mark.parametrize("field", ["mosaic", "mixup", "copy_paste", "paste_rare"])
def test_what_mixes_images_brings_its_objects_and_is_closed_for_the_last_epochs(field: str, tmp_path: Path) -> None:
    images = images_of(tmp_path, task="segment", **(NONE | {field: 1, "rare_below": 1}))
    plain = images_of(tmp_path, task="segment", **NONE)
    items = [yolo.Item(0, place, place) for place in range(5)]
    assert sum(not torch.equal(images[item]["img"], plain[item]["img"]) for item in items) > 2
    assert sum(len(images[item]["cls"]) for item in items) > sum(len(plain[item]["cls"]) for item in items)
    for item in items:
        closed = item._replace(epoch=1)
        assert all(torch.equal(images[closed][name], plain[closed][name]) for name in images[closed])


SIZE_HW = 96, 160
COMMON, RARE = 0, 1


def _write(root: Path, name: str, objects: dict[int, tuple[int, int, int, int]], triangles: bool) -> LabelledImage:
    """An image of noise with an object of each class, xyxy: class 0 in grey 0, class 1 in grey 255."""
    pixels = np.random.default_rng(len(name)).integers(90, 140, (*SIZE_HW, 3), dtype=np.uint8)
    outlines = []
    for kind, (left, top, right, bottom) in objects.items():
        corners = [[left, top], [right, top], [right, bottom], [left, bottom]][: 3 if triangles else 4]
        outlines.append(np.array(corners, np.float32))
        cv2.fillPoly(pixels, [np.array(corners, np.int32)], [255 * kind] * 3)
    cv2.imwrite(str(root / name), pixels)
    boxes = np.array([*objects.values()], np.float32).reshape(-1, 4)
    parts = tuple((one,) for one in outlines) if triangles else None
    return LabelledImage(name, *SIZE_HW[::-1], np.array([*objects], np.int64), boxes, parts)


def _pasted(root: Path, *onto: dict[int, tuple[int, int, int, int]], triangles: bool = False) -> dict[str, np.ndarray]:
    """The second image, with what is pasted into it; the rare object is in the first one."""
    given = [{COMMON: (4, 4, 34, 34), RARE: (100, 20, 140, 60)}, *onto, {COMMON: (4, 4, 34, 34)}]
    images = [_write(root, f"{'i' * (k + 1)}.png", objects, triangles) for k, objects in enumerate(given)]
    made = yolo.TrainingImages(
        root, images, task="segment" if triangles else "detect", image_size_px=160, input_hw=SIZE_HW, seed=0,
        config=yolo.AugmentConfig(**NONE, paste_rare=1, rare_below=0.5), mosaic_epochs=1,
    )[yolo.Item(0, 0, 1)]  # fmt: skip
    xy, half = made["bboxes"].numpy()[:, :2] * SIZE_HW[::-1], made["bboxes"].numpy()[:, 2:] * SIZE_HW[::-1] / 2
    boxes = np.concatenate([xy - half, xy + half], 1).round().astype(int)
    return {"pixels": made["img"].numpy()[0], "classes": made["cls"].numpy().ravel().astype(int), "boxes": boxes}


@pytest.mark.parametrize("onto", [{COMMON: (40, 40, 70, 70)}, {}], ids=["beside another", "into an empty image"])
def test_a_rare_object_is_pasted_where_it_was_and_common_ones_are_not(
    onto: dict[int, tuple[int, int, int, int]], tmp_path: Path
) -> None:
    made = _pasted(tmp_path, onto)
    assert made["classes"].tolist() == [*onto, RARE]
    assert made["boxes"].tolist() == [[*box] for box in [*onto.values(), (100, 20, 140, 60)]]
    assert (made["pixels"][21:59, 101:139] == 255).all()
    outside = made["pixels"].copy()
    outside[20:61, 100:141] = 0
    assert (outside < 255).all()
    assert (made["pixels"][5:33, 5:33] > 0).all()  # where the first image's common object is


def test_no_object_is_hidden_by_a_pasted_one(tmp_path: Path) -> None:
    made = _pasted(tmp_path, {COMMON: (120, 20, 150, 60)})  # two thirds of it would be
    assert made["classes"].tolist() == [COMMON]
    assert (made["pixels"] < 255).all()


def test_what_a_pasted_box_shows_of_others_is_pasted_and_labelled_too(tmp_path: Path) -> None:
    """A common object that reaches into the rare one's box: its half would stand there without a label."""
    images = [
        _write(tmp_path, "i.png", {COMMON: (90, 30, 120, 50), RARE: (100, 20, 140, 60)}, False),
        _write(tmp_path, "ii.png", {}, False),
    ]
    made = yolo.TrainingImages(
        tmp_path, images, task="detect", image_size_px=160, input_hw=SIZE_HW, seed=0, mosaic_epochs=1,
        config=yolo.AugmentConfig(**NONE, paste_rare=1, rare_below=1),
    )[yolo.Item(0, 0, 1)]  # fmt: skip
    assert sorted(made["cls"].ravel().tolist()) == [COMMON, RARE]


def test_of_outlines_only_what_they_hold_is_pasted(tmp_path: Path) -> None:
    made = _pasted(tmp_path, {COMMON: (40, 40, 70, 70)}, triangles=True)
    assert sorted(made["classes"].tolist()) == [COMMON, RARE]
    assert made["pixels"][25, 130] == 255
    assert made["pixels"][55, 105] < 255  # in the box, below the triangle


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
