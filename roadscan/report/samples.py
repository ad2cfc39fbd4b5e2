"""Frames with what was found drawn on them, and crops of single assets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from roadscan.arrays import Image
from roadscan.errors import Malformed, NotAnImage, NotFound, StorageError, TooManyPixels
from roadscan.parsing import open_image
from roadscan.storage import MAX_IMAGE_BYTES, open_store
from roadscan.survey.camera import is_sphere
from roadscan.taxonomy import Taxonomy
from roadscan.video.address import split
from roadscan.video.pictures import Pictures

MOST_MEGAPIXELS = 64.0  # of one picture: those that a scan takes


def choose_frames(observations: pa.Table, count: int) -> list[str]:
    """Addresses of frames worth looking at: first those that show classes not shown yet, and best scores.

    Args:
        observations: rows of `schemas.OBSERVATIONS`.
        count: how many at most.
    """
    frames: dict[str, dict[str, float]] = {}
    for row in observations.select(["image_uri", "class", "score"]).to_pylist():
        best = frames.setdefault(row["image_uri"], {})
        best[row["class"]] = max(best.get(row["class"], 0.0), row["score"])
    shown: dict[str, int] = {}
    chosen: list[str] = []
    while len(chosen) < min(count, len(frames)):
        # The gain of a class halves each time that it has been shown.
        gains = {
            uri: sum(score * 0.5 ** shown.get(name, 0) for name, score in classes.items())
            for uri, classes in frames.items()
            if uri not in chosen
        }
        best_uri = max(gains, key=lambda uri: (gains[uri], uri))
        chosen.append(best_uri)
        for name in frames[best_uri]:
            shown[name] = shown.get(name, 0) + 1
    return chosen


class Images:
    """Addresses to images: a grey one that says why where there is none, as a report outlives what it shows.

    Attributes:
        asked: how many were asked for.
        unread: of those that a store did not give, although they may be there, the address and why.
    """

    def __init__(self) -> None:
        self.asked, self.unread = 0, dict[str, str]()

    def read(self, uri: str) -> Image:
        """The image, (H, W, 3) BGR."""
        self.asked += 1
        why = "the image is gone"
        try:
            return read_image(uri)
        except (NotFound, Malformed):
            pass
        except StorageError as error:
            self.unread[uri], why = str(error), "the image could not be read"
        image = np.full((720, 1280, 3), 200, np.uint8)
        return np.asarray(
            cv2.putText(image, why, (460, 370), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (90, 90, 90), 2, cv2.LINE_AA), np.uint8
        )


def read_image(uri: str) -> Image:
    """The image at an address, or the picture of a video, upright, (H, W, 3) BGR.

    Raises:
        NotFound: there is none.
        NotAnImage, TooManyPixels, Malformed: what is there is no image, too large a one, or a damaged one.
        StorageError: it cannot be read.
    """
    folder, _, name = uri.rpartition("/")
    store = open_store(folder)
    if split(name):
        with Pictures(store) as videos:
            return np.asarray(videos.read(name, MOST_MEGAPIXELS), np.uint8)
    data = store.read(name, max_bytes=MAX_IMAGE_BYTES)
    with open_image(data) as known:
        if known.width * known.height > MOST_MEGAPIXELS * 1e6:
            raise TooManyPixels(f"{known.width} x {known.height} px; expected up to {MOST_MEGAPIXELS:g} megapixels")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise NotAnImage(f"not an image that can be decoded: {error}") from None
    if image is None:
        raise NotAnImage("not an image that can be decoded")
    return np.asarray(image, np.uint8)


def unrolled(image: Image, boxes_xyxy: Sequence[Sequence[float]]) -> tuple[Image, list[tuple[float, ...]]]:
    """A panorama with boxes that go on across its right edge -> the same, turned until that is in a gap of theirs.

    What is no panorama, or has all boxes within, stays as it is. Where boxes leave no gap, the first is whole.

    Args:
        image: the frame.
        boxes_xyxy: pixels of it; x2 beyond its width goes on at its left edge.
    """
    height, width = image.shape[:2]
    boxes = [tuple(map(float, box)) for box in boxes_xyxy]
    if not is_sphere(width, height) or all(box[2] <= width for box in boxes):
        return image, boxes
    free = np.ones(width, bool)
    for x1, _, x2, _ in boxes:
        free[np.arange(int(x1), int(np.ceil(x2))) % width] = False
    gaps = np.flatnonzero(free) if free.any() else np.array([int(boxes[0][0])])
    shift = int(gaps[len(gaps) // 2])
    starts = [(box[0] - shift) % width for box in boxes]
    moved = [(start, y1, start + x2 - x1, y2) for start, (x1, y1, x2, y2) in zip(starts, boxes, strict=True)]
    return np.roll(image, -shift, axis=1), list[tuple[float, ...]](moved)


def annotate(image: Image, observations: Sequence[dict[str, Any]], taxonomy: Taxonomy, width_px: int = 1280) -> bytes:
    """A JPEG of a frame with its boxes, scaled to a width.

    Args:
        image: the frame.
        observations: its rows of `schemas.OBSERVATIONS`.
        taxonomy: colours.
        width_px: of the result.
    """
    scale = width_px / image.shape[1]
    rows = sorted(observations, key=lambda row: float(row["score"]))
    image, boxes = unrolled(image, [row["box_px"] for row in rows])
    image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    for row, box in zip(rows, boxes, strict=True):
        color = taxonomy.get(row["class"]).color_rgb[::-1]
        x1, y1, x2, y2 = (round(v * scale) for v in box)
        cv2.rectangle(image, (x1, y1), (x2, y2), color, 2, cv2.LINE_AA)
        _label(image, f"{row['class']} {row['score']:.2f}", (x1, y1), color)
    return encode_jpeg(image)


def crop(
    image: Image, box_xyxy: Sequence[float], size_px: int = 220, *, margin: float = 0.25, outline: bool = True
) -> bytes:
    """A square JPEG around a box, of which the longer side counts as 32 px at least.

    Args:
        image: the frame.
        box_xyxy: pixels of it.
        size_px: of the result.
        margin: what is shown on each side of the box, in sizes of it.
        outline: draw the box; else what lies outside of the frame is grey, and not its last pixels again.
    """
    image, ((x1, y1, x2, y2),) = unrolled(image, [box_xyxy])
    half = max(x2 - x1, y2 - y1, 32) * (0.5 + margin)
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    scale = size_px / (2 * half)
    matrix = np.array([[scale, 0, size_px / 2 - cx * scale], [0, scale, size_px / 2 - cy * scale]])
    mode, color = (cv2.BORDER_REPLICATE, 0) if outline else (cv2.BORDER_CONSTANT, 96)
    square = cv2.warpAffine(
        image, matrix, (size_px, size_px), flags=cv2.INTER_AREA, borderMode=mode, borderValue=(color, color, color)
    )
    if not outline:
        return encode_jpeg(square.astype(np.uint8))
    corners = [
        (round((x - cx) * scale + size_px / 2), round((y - cy) * scale + size_px / 2)) for x, y in ((x1, y1), (x2, y2))
    ]
    cv2.rectangle(square, corners[0], corners[1], (60, 60, 230), 1, cv2.LINE_AA)
    return encode_jpeg(square.astype(np.uint8))


def encode_jpeg(image: Image) -> bytes:
    """An image (H, W, 3) BGR as a JPEG."""
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 82])[1])


def _label(image: Image, text: str, at: tuple[int, int], color: Sequence[int]) -> None:
    """Text on a plate above a point, or below it where the image ends."""
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    x = min(max(at[0], 0), image.shape[1] - width - 6)
    y = at[1] if at[1] > height + base + 4 else at[1] + height + base + 6
    cv2.rectangle(image, (x, y - height - base - 4), (x + width + 6, y), color, -1)
    ink = (255, 255, 255) if sum(color) < 420 else (20, 20, 20)
    cv2.putText(image, text, (x + 3, y - base - 1), cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, 1, cv2.LINE_AA)
