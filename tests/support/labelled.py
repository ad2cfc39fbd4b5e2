"""Labelled datasets for tests: small, drawn, with something to learn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import yaml

from roadscan.dataset.records import Dataset, LabelledImage

NAMES = ("square", "disc", "bar")
COLOURS = ((40, 40, 220), (220, 160, 40), (60, 200, 60))
GTSDB = Path(__file__).parents[3] / "shared" / "data" / "gtsdb"


def draw_dataset(
    root: Path, counts: dict[str, int], *, size_hw: tuple[int, int] = (96, 160), task: str = "detect", seed: int = 0
) -> Dataset:
    """A YOLO dataset on disk of shapes in three classes on noise, and the same in memory."""
    rng = np.random.default_rng(seed)
    splits = {}
    for split, count in counts.items():
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        splits[split] = tuple(_draw(root, split, i, size_hw, task, rng) for i in range(count))
    data = {split: f"images/{split}" for split in counts} | {"names": dict(enumerate(NAMES))}
    if task == "semantic":  # else outlines are of objects
        data["task"] = task
    (root / "data.yaml").write_text(yaml.safe_dump(data))
    return Dataset(str(root), task, NAMES, splits)  # type: ignore[arg-type]


def _draw(
    root: Path, split: str, number: int, size_hw: tuple[int, int], task: str, rng: np.random.Generator
) -> LabelledImage:
    height, width = size_hw
    pixels = rng.integers(90, 140, (height, width, 3), dtype=np.uint8)
    outlines, classes = [], []
    for column in range(int(rng.integers(1, 4))):  # one a third of the image, so that none hides another
        kind = int(rng.integers(3))
        side = int(rng.integers(height // 5, height // 3))
        x = column * width // 3 + int(rng.integers(2, max(width // 3 - side - 2, 3)))
        y = int(rng.integers(2, height - side - 2))
        w, h = (side, side) if kind < 2 else (side, max(side // 3, 4))
        angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        if kind == 1:
            outline = np.stack([x + side / 2 * (1 + np.cos(angles)), y + side / 2 * (1 + np.sin(angles))], 1)
        else:
            outline = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float64)
        cv2.fillPoly(pixels, [outline.round().astype(np.int32)], COLOURS[kind])
        outlines.append(outline.astype(np.float32))
        classes.append(kind)
    name = f"{split}-{number:04d}"
    cv2.imwrite(str(root / "images" / split / f"{name}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])
    boxes = np.array([[*o.min(0), *o.max(0)] for o in outlines], np.float32)
    size = np.array([width, height], np.float32)
    lines = []
    for kind, outline, box in zip(classes, outlines, boxes, strict=True):
        values = _xywh(box, size) if task == "detect" else (outline / size).ravel()
        lines.append(" ".join([str(kind), *(f"{value:.7f}" for value in values)]))
    (root / "labels" / split / f"{name}.txt").write_text("\n".join(lines))
    parts = None if task == "detect" else tuple((outline,) for outline in outlines)
    return LabelledImage(
        f"images/{split}/{name}.jpg", width, height, np.array(classes, np.int64), boxes, parts, f"drive-{split}"
    )


def _xywh(box: np.ndarray, size: np.ndarray) -> np.ndarray:
    low, high = box[:2] / size, box[2:] / size
    return np.concatenate([(low + high) / 2, high - low])
