"""A shard decoded in one process for another: one row of a table, from the task that decodes to the actor that detects.

Columns: ``frames``, a JSON list of `Loaded` without their pixels; ``pixels``, those of all frames that have any, one
after the other: each frame's whole, (h, w, 3) uint8 BGR, and its slices, (n, h, w, 3). What is read back are views of
the one buffer, never copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

import cv2
import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from roadscan.model.decode import Letterbox, Pixels, plan_letterbox
from roadscan.model.faces import FACES, FaceConfig, FaceLayout, plan_faces
from roadscan.model.image_input import ImageInput
from roadscan.model.slices import SliceConfig, SliceLayout, n_slices, plan_slices
from roadscan.scan.apart import load_apart
from roadscan.scan.ledger import Shard
from roadscan.scan.loading import Loaded, Loader, LoaderSettings, frames_of
from roadscan.scan.quality import Quality
from roadscan.survey.camera import Camera

CHANNELS = 3


def decode_shard(shard: Shard, settings: LoaderSettings, *, apart: bool = False) -> pa.Table:
    """A shard's address to a table of one row: all of its frames, fetched and decoded in this process.

    Args:
        shard: its address.
        settings: of the `Loader` that all shards of the process share.
        apart: decode in another process, one frame at a time, as a process has died of the shard.

    Raises:
        SurveyError: the drive is not the one that was planned with.
        StorageError: its manifest cannot be read.
    """
    cv2.setNumThreads(1)  # images are decoded side by side, one thread each
    drive, frames = frames_of(shard)
    if apart:
        return pack(load_apart(drive, frames.to_pylist(), settings))
    return pack(_loader(**settings).load(drive, frames.to_pylist(), ahead=settings["threads"]))


_loader = lru_cache(maxsize=1)(Loader)


@dataclass(frozen=True, slots=True)
class _Row:
    """A `Loaded` without its pixels."""

    row: int
    status: str
    reason: str | None
    letterbox: Letterbox | None = None
    layout: SliceLayout | FaceLayout | None = None
    quality: Quality | None = None


_ROWS = TypeAdapter(list[_Row])


def pack(frames: Iterable[Loaded]) -> pa.Table:
    """Frames to a table of one row; their pixels are gathered in one buffer that grows, so they are in memory once."""
    pixels, rows = bytearray(), []
    for one in frames:
        image = one.image
        if image is None:
            rows.append(_Row(one.row, one.status, one.reason))
        else:
            rows.append(_Row(one.row, one.status, one.reason, image.letterbox, image.layout, one.quality))
            pixels += image.pixels.data  # grows in place
            if image.slices is not None:
                pixels += image.slices.data
    offsets = pa.array([0, len(pixels)], pa.int64()).buffers()[1]
    buffer = pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(pixels)])
    return pa.table({"frames": [_ROWS.dump_json(rows).decode()], "pixels": buffer})


def unpack(table: pa.Table) -> Iterator[Loaded]:
    """A table that `pack` made to its frames, in their order; the pixels are views of its buffer."""
    (column,) = table["pixels"].chunks
    _, offsets, buffer = column.buffers()  # not the column's scalar, which is a copy
    start = int(np.frombuffer(offsets, np.int64)[column.offset])

    def take(*shape: int) -> Pixels:
        nonlocal start
        pixels = np.frombuffer(buffer, np.uint8, prod(shape), start).reshape(shape)
        start += pixels.nbytes
        return pixels

    for one in _ROWS.validate_json(table["frames"][0].as_py()):
        image = None
        if one.letterbox is not None:
            image = ImageInput(one.letterbox, take(*one.letterbox.input_hw, CHANNELS), one.layout)
            if one.layout is not None:
                slices = take(one.layout.n_slices, *one.layout.slice_hw, CHANNELS)
                image = replace(image, slices=slices)
        yield Loaded(one.row, image, one.status, one.reason, one.quality)


def most_bytes(
    frames: int,
    cameras: Iterable[Camera],
    side_px: int,
    stride_px: int,
    slices: SliceConfig | None = None,
    faces: FaceConfig = FACES,
) -> int:
    """Bytes of so many frames, decoded, of the camera with the largest input.

    >>> most_bytes(512, [Camera("front", 3840, 2160, 2600.0, 1.8)], 640, 32)
    377487360
    """

    def pixels(camera: Camera) -> int:
        image_hw = camera.height_px, camera.width_px
        if camera.is_panoramic:
            return faces.count * prod(plan_faces(image_hw, faces, side_px).input_hw)
        whole = prod(plan_letterbox(image_hw, side_px, stride_px).input_hw)
        if slices is None:
            return whole
        return whole + n_slices(image_hw, slices) * prod(plan_slices(image_hw, slices).letterbox.input_hw)

    return frames * CHANNELS * max(map(pixels, cameras), default=0)
