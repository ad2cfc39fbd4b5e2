"""A shard decoded in one process for another: one row of a table, from the task that decodes to the actor that detects.

Columns: ``frames``, a JSON list of `Loaded` without their pixels; ``pixels``, those of all frames that have any, one
after the other, each (h, w, 3) uint8 BGR. What is read back are views of the one buffer, never copies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from math import prod
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from roadscan.model.decode import Letterbox, plan_letterbox
from roadscan.scan.ledger import Shard
from roadscan.scan.loading import Loaded, Loader, LoaderSettings, frames_of
from roadscan.survey.camera import Camera

CHANNELS = 3


def decode_shard(shard: Shard, settings: LoaderSettings) -> pa.Table:
    """A shard's address to a table of one row: all of its frames, fetched and decoded in this process.

    Args:
        shard: its address.
        settings: of the `Loader` that all shards of the process share.

    Raises:
        SurveyError: the drive is not the one that was planned with.
        StorageError: its manifest cannot be read.
    """
    cv2.setNumThreads(1)  # images are decoded side by side, one thread each
    drive, frames = frames_of(shard)
    return pack(_loader(**settings).load(drive, frames.to_pylist(), ahead=settings["threads"]))


_loader = lru_cache(maxsize=1)(Loader)


def pack(frames: Iterable[Loaded]) -> pa.Table:
    """Frames to a table of one row; their pixels are gathered in one buffer that grows, so they are in memory once."""
    pixels, rows = bytearray(), []
    for one in frames:
        if one.pixels is not None:
            pixels += one.pixels.data  # grows in place
        rows.append(asdict(replace(one, pixels=None)))
    offsets = pa.array([0, len(pixels)], pa.int64()).buffers()[1]
    buffer = pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(pixels)])
    return pa.table({"frames": [json.dumps(rows)], "pixels": buffer})


def unpack(table: pa.Table) -> Iterator[Loaded]:
    """A table that `pack` made to its frames, in their order; the pixels are views of its buffer."""
    (column,) = table["pixels"].chunks
    _, offsets, buffer = column.buffers()  # not the column's scalar, which is a copy
    start = int(np.frombuffer(offsets, np.int64)[column.offset])
    for fields in json.loads(table["frames"][0].as_py()):
        letterbox = _letterbox(fields.pop("letterbox"))
        pixels = None
        if letterbox is not None:
            shape = (*letterbox.input_hw, CHANNELS)
            pixels = np.frombuffer(buffer, np.uint8, prod(shape), start).reshape(shape)
            start += pixels.nbytes
        yield Loaded(**{**fields, "letterbox": letterbox, "pixels": pixels})


def most_bytes(frames: int, cameras: Iterable[Camera], side_px: int, stride_px: int) -> int:
    """Bytes of so many frames, decoded, of the camera with the largest input.

    >>> most_bytes(512, [Camera("front", 3840, 2160, 2600.0, 1.8)], 640, 32)
    377487360
    """
    inputs = [plan_letterbox((camera.height_px, camera.width_px), side_px, stride_px).input_hw for camera in cameras]
    return frames * CHANNELS * max(map(prod, inputs), default=0)


def _letterbox(fields: dict[str, Any] | None) -> Letterbox | None:
    """From JSON, where every pair is a list."""
    if fields is None:
        return None
    pairs: dict[str, Sequence[int]] = {name: value for name, value in fields.items() if name.endswith("_hw")}
    return Letterbox(**{**fields, **{name: tuple(pair) for name, pair in pairs.items()}})
