"""Images through a detector, beside their truth."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco
from support import labelled

from roadscan.evaluate.detection.predict import map_ahead, predict
from roadscan.evaluate.detection.results import Objects
from roadscan.evaluate.detection.scores import score
from roadscan.model.detector import Detections

SIZE_HW = (200, 320)  # 100 x 160 in 160, with 14 rows above and below


class Oracle:
    """Finds what is there: boxes, and logits that are positive where a prototype cell's middle is in the object."""

    def __init__(self, images: tuple[Any, ...], top: int) -> None:
        self._images, self._top = iter(images), top

    def infer(self, pixels_bhwc: np.ndarray) -> list[Detections]:
        assert pixels_bhwc.shape[1:] == (128, 160, 3)
        return [self._find(next(self._images)) for _ in pixels_bhwc]

    def _find(self, image: Any) -> Detections:
        boxes = image.boxes_xyxy * 0.5 + np.array([0, self._top] * 2)
        y, x = (np.mgrid[:32, :40] + 0.5) * 4
        logits = [self._inside(parts[0] * 0.5 + np.array([0, self._top]), x, y) for parts in image.outlines]
        names = tuple(labelled.NAMES[i] for i in image.classes)
        scores = np.linspace(0.9, 0.5, len(names), dtype=np.float32)
        return Detections(boxes.astype(np.float32), scores, names, np.array(logits, np.float32) - 0.5)

    @staticmethod
    def _inside(outline: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        ahead = np.roll(outline, -1, 0)
        sides = [(b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) for a, b in zip(outline, ahead, strict=True)]
        return (np.array(sides) >= 0).all(0)  # the outlines are convex


@pytest.mark.parametrize(("mask_size", "size"), [("image", [200, 320]), ("grid", [32, 40])])
def test_what_is_right_scores_right_in_pixels_and_on_the_grid(mask_size: Any, size: list[int], tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"val": 6}, size_hw=SIZE_HW, task="segment")
    images = dataset.splits["val"]
    found = predict(Oracle(images, 14), tmp_path, images, dataset.names, image_size_px=160, mask_size=mask_size)  # type: ignore[arg-type]
    results = list(found)
    masks = [mask for one in results for mask in (*one.found.masks, *one.truth.masks)]
    assert {tuple(mask["size"]) for mask in masks} == {tuple(size)}
    assert min(coco.area(mask) for mask in masks) > 0
    assert score(results, dataset.names).map50 == pytest.approx(1)
    assert score(results, dataset.names, kind="mask").map50 == pytest.approx(1)


def test_the_truth_is_made_once(tmp_path: Path) -> None:
    dataset = labelled.draw_dataset(tmp_path, {"val": 3}, size_hw=SIZE_HW, task="segment")
    images, truths = dataset.splits["val"], {}
    for _ in range(2):
        results = list(
            predict(
                Oracle(images, 14), tmp_path, images, dataset.names, image_size_px=160, mask_size="grid", truths=truths
            )  # type: ignore[arg-type]
        )
    kept: dict[str, Objects] = truths
    assert kept.keys() == {image.key for image in images}
    assert all(one.truth is kept[one.key] for one in results)


def test_threads_that_load_ahead_keep_the_order_and_do_not_run_away() -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def load(number: int) -> int:
        with lock:
            begun.append(number)
        return number * number

    loaded = map_ahead(load, range(50), 4, 6)
    assert next(loaded) == 0
    loaded.close()  # waits for those under way
    assert max(begun) < 8
    assert list(map_ahead(load, range(50), 4, 6)) == [number * number for number in range(50)]
    assert list(map_ahead(load, [], 1, 6)) == []
