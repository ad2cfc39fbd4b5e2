"""Windows of photographs, cut around their objects at the photographs' own resolution, as a labelled dataset."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from roadscan.dataset.read import read_dataset

WINDOW_PX = 320


def cut_windows(data: str, out: Path) -> None:
    """A dataset -> one of windows around its training objects, and some without; every tenth image for validation."""
    dataset, rng = read_dataset(data), np.random.default_rng(0)
    for number, image in enumerate(dataset.splits["train"]):
        split = "val" if number % 10 == 9 else "train"
        pixels = cv2.imread(str(Path(dataset.root) / image.key))
        boxes = image.boxes_xyxy
        spread = rng.uniform(-0.35 * WINDOW_PX, 0.35 * WINDOW_PX, (len(boxes), 2))
        centres = list((boxes[:, :2] + boxes[:, 2:]) / 2 + spread)
        if number % 3 == 0:
            centres.append(rng.uniform(0, 1, 2) * [image.width_px, image.height_px])
        for k, centre in enumerate(centres):
            most = [image.width_px - WINDOW_PX, image.height_px - WINDOW_PX]
            x, y = np.clip(centre - WINDOW_PX / 2, 0, most).astype(int)
            _write_window(out, split, f"{Path(image.key).stem}-{k}", pixels[y : y + WINDOW_PX, x : x + WINDOW_PX],
                          image.classes, boxes - [x, y, x, y])  # fmt: skip
    names = ", ".join(f"{index}: {name}" for index, name in enumerate(dataset.names))
    (out / "data.yaml").write_text(f"path: .\ntrain: images/train\nval: images/val\nnames: {{{names}}}\n")


def _write_window(out: Path, split: str, name: str, pixels: np.ndarray, classes: np.ndarray, boxes: np.ndarray) -> None:
    shown = np.clip(boxes, 0, WINDOW_PX)
    share = (shown[:, 2:] - shown[:, :2]).prod(1) / (boxes[:, 2:] - boxes[:, :2]).prod(1)
    rows = np.concatenate([(shown[:, :2] + shown[:, 2:]) / 2, shown[:, 2:] - shown[:, :2]], 1)[share > 0.5] / WINDOW_PX
    for folder in ("images", "labels"):
        (out / folder / split).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(out / "images" / split / f"{name}.png"), pixels)
    lines = [
        f"{index} {' '.join(f'{v:.6f}' for v in row)}\n" for index, row in zip(classes[share > 0.5], rows, strict=True)
    ]
    (out / "labels" / split / f"{name}.txt").write_text("".join(lines))
