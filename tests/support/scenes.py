"""Made-up images with truth and detections, and the two public COCO evaluations to compare with."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

import faster_coco_eval
import numpy as np
from pycocotools import mask as coco
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from roadscan.evaluate.detection import ImageResult, Objects

SIZE_HW = (240, 320)


def objects(boxes=(), classes=(), scores=None, masks=None):
    """`Objects` from plain lists."""
    return Objects(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(classes, np.int64),
        None if scores is None else np.array(scores, np.float32),
        masks,
    )


def image(truth, found, *, key="a", **more):
    """One image; `truth` and `found` as the arguments of `objects`."""
    return ImageResult(key, objects(*truth), objects(*found) if found else objects(scores=()), **more)


@dataclass(frozen=True)
class Recipe:
    """How scenes are made: numbers are upper bounds of what an image has."""

    images: int = 30
    classes: int = 4
    truths: int = 8
    false: int = 20
    jitter: float = 0.15  # of the sides
    levels: int | None = 20  # different scores; None: all differ
    masks: bool = False
    drives: int | None = None
    absent: int | None = None  # a class without truth
    crowded: bool = False  # every truth has another one almost on it


ANY = Recipe()


def make_scenes(seed: int, recipe: Recipe = ANY) -> list[ImageResult]:
    rng = np.random.default_rng(seed)
    results = []
    for number in range(recipe.images):
        truth = _boxes(rng, rng.integers(recipe.truths + 1))
        if recipe.crowded:
            truth = np.repeat(truth, 2, axis=0) + rng.integers(-4, 5, (2 * len(truth), 4)) / 2
            truth = np.sort(truth.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
        classes = rng.integers(recipe.classes, size=len(truth))
        if recipe.absent is not None:
            keep = classes != recipe.absent
            truth, classes = truth[keep], classes[keep]
        seen = rng.integers(3, size=len(truth))  # found not at all, once or twice
        near = np.repeat(truth, seen, axis=0)
        sides = np.tile(near[:, 2:] - near[:, :2], 2)
        near = near + rng.normal(0, 1, near.shape) * sides * recipe.jitter * rng.random((len(near), 1))
        near = np.sort(near.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
        false = _boxes(rng, rng.integers(recipe.false + 1))
        boxes = np.concatenate([near, false])
        of = np.concatenate([np.repeat(classes, seen), rng.integers(recipe.classes, size=len(false))])
        of = np.where(rng.random(len(of)) < 0.1, rng.integers(recipe.classes, size=len(of)), of)
        good = np.arange(len(of)) < len(near)
        scores = rng.beta(np.where(good, 3, 1), np.where(good, 2, 5))
        if recipe.levels:
            scores = np.round(scores * recipe.levels) / recipe.levels
        shuffled = rng.permutation(len(of))
        boxes, of, scores = boxes[shuffled], of[shuffled], scores[shuffled]
        masks = [tuple(_mask(rng, box) for box in group) if recipe.masks else None for group in (truth, boxes)]
        results.append(
            ImageResult(
                f"{number:05d}",
                objects(truth, classes, None, masks[0]),
                objects(boxes, of, scores, masks[1]),
                drive_id=None if recipe.drives is None else f"d{number % recipe.drives}",
                conditions=(("day",), ("night", "rain"), ())[number % 3],
            )
        )
    return results


def _boxes(rng, n):
    """Sides from 6 to 200 pixels, so that there are small, medium and large ones; corners on the image."""
    sides = 6 * (200 / 6) ** rng.random((n, 2))
    start = rng.random((n, 2)) * (np.array(SIZE_HW[::-1]) - sides)
    return np.concatenate([start, start + sides], axis=1)


def _mask(rng, box):
    """An ellipse in the box, with a bite taken out of it at random."""
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    centre, radius = (box[:2] + box[2:]) / 2, np.maximum(box[2:] - box[:2], 2) / 2
    inside = ((x - centre[0]) / radius[0]) ** 2 + ((y - centre[1]) / radius[1]) ** 2 <= 1
    inside &= x - box[0] > rng.integers(2) * radius[0] / 3
    return coco.encode(np.asfortranarray(inside.astype(np.uint8)))


def public_average_precision(results, n_classes, *, kind="box", faster=False):
    """(area, class, threshold) average precision by pycocotools or faster-coco-eval; NaN for classes without truth."""
    truth, found = coco_files(results, n_classes, kind)
    with contextlib.redirect_stdout(io.StringIO()):
        known = (faster_coco_eval.COCO if faster else COCO)()
        known.dataset = truth
        known.createIndex()
        evaluation = (faster_coco_eval.COCOeval_faster if faster else COCOeval)(
            known, known.loadRes(found), "bbox" if kind == "box" else "segm"
        )
        evaluation.evaluate()
        evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"])[..., -1]  # thresholds, recalls, classes, areas; 100 detections
    return np.where(precision < 0, np.nan, precision).mean(axis=1).transpose(2, 1, 0)


def coco_files(results, n_classes, kind):
    truth, found = [], []
    for number, result in enumerate(results, start=1):
        for what, rows in ((result.truth, truth), (result.found, found)):
            for i, (left, top, right, bottom) in enumerate(what.boxes_xyxy.astype(np.float64).tolist()):
                row = {
                    "id": len(rows) + 1,
                    "image_id": number,
                    "category_id": int(what.classes[i]) + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": 0,
                }
                if kind == "mask":
                    row["segmentation"] = what.masks[i]
                    row["area"] = float(coco.area(what.masks[i]))
                if what.scores is not None:
                    row["score"] = float(what.scores[i])
                if what.scores is not None and kind == "mask":
                    del row["bbox"]
                rows.append(row)
    images = [{"id": i, "height": SIZE_HW[0], "width": SIZE_HW[1]} for i in range(1, len(results) + 1)]
    classes = [{"id": i, "name": str(i)} for i in range(1, n_classes + 1)]
    return {"images": images, "annotations": truth, "categories": classes, "info": {}}, found
