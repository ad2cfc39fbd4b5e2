"""Small labelled datasets, written file by file, on a disk or in a bucket."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from roadscan.storage import DiskStore, open_store

NAMES = ("sign", "pole", "rail")
WIDTH, HEIGHT = 96, 64


def picture(seed: int, *, width: int = WIDTH, height: int = HEIGHT, quality: int = 95) -> bytes:
    """A JPEG of soft blotches; two seeds look nothing like each other."""
    blotches = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    pixels = cv2.resize(blotches, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def put(root: str | Path, key: str, data: bytes) -> None:
    """Write a file, on a disk without waiting until it is there."""
    store = open_store(root)
    if isinstance(store, DiskStore):
        store.path(key).parent.mkdir(parents=True, exist_ok=True)
        store.path(key).write_bytes(data)
    else:
        store.write(key, data)


@dataclass
class Written:
    """A YOLO dataset to write: labels are the text of their files, None for no file.

    Attributes:
        images: bytes by key.
        labels: text by key.
        origins: (drive_id, condition) by image key, for the frames table; empty for none.
    """

    images: dict[str, bytes] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    origins: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    names: Sequence[str] = NAMES
    extra: dict[str, Any] = field(default_factory=dict)

    def add(
        self, split: str, name: str, label: str | None, *, seed: int | None = None, drive_id: str | None = None
    ) -> str:
        """Add one image; its key."""
        key = f"images/{split}/{name}.jpg"
        self.images[key] = picture(len(self.images) if seed is None else seed)
        if label is not None:
            self.labels[f"labels/{split}/{name}.txt"] = label
        if drive_id is not None:
            self.origins[key] = (drive_id, "day")
        return key

    def write(self, root: str | Path) -> str:
        """Write it below a root; the root."""
        splits = dict.fromkeys(key.split("/")[1] for key in self.images)
        tree = {split: f"images/{split}" for split in splits} | {"names": list(self.names)} | self.extra
        put(root, "data.yaml", yaml.safe_dump(tree).encode())
        for key, data in self.images.items():
            put(root, key, data)
        for key, text in self.labels.items():
            put(root, key, text.encode())
        if self.origins:
            rows = [{"image": key, "drive_id": d, "condition": c} for key, (d, c) in self.origins.items()]
            sink = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows), sink)
            put(root, "frames.parquet", sink.getvalue())
        return str(root)


def good(images: int = 3, drives: int = 2) -> Written:
    """Train and val, some images each, nothing wrong; each split has drives of its own."""
    made = Written()
    for split in ("train", "val"):
        for number in range(images):
            x = 0.2 + 0.1 * number
            label = f"{number % 3} {x:.6f} 0.5 0.2 0.3\n1 0.7 {x:.6f} 0.1 0.25\n"
            made.add(split, f"{split}{number}", label, drive_id=f"{split}-{number % drives}")
    return made


def write_coco(
    root: str | Path,
    split: str,
    images: Sequence[Mapping[str, Any]],
    annotations: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write one split of a COCO dataset; its images are pictures of their own size."""
    if categories is None:
        categories = [{"id": index, "name": name} for index, name in enumerate(NAMES)]
    tree = {"images": images, "annotations": annotations, "categories": categories}
    put(root, f"annotations/instances_{split}.json", json.dumps(tree).encode())
    for number, image in enumerate(images):
        data = picture(hash(split) % 1000 + number, width=image["width"], height=image["height"])
        put(root, f"images/{split}/{image['file_name']}", data)
