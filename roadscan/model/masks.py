"""Mask logits to COCO compressed RLE of the original image's size, and that to where the mask has its lowest pixels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from roadscan.arrays import Floats
from roadscan.model.decode import Letterbox
from roadscan.model.faces import FaceLayout


def encode_mask(
    plane: npt.NDArray[np.float32],
    box_xyxy: npt.NDArray[np.float32],
    letterbox: Letterbox,
    *,
    origin_xy: tuple[int, int] = (0, 0),
    image_hw: tuple[int, int] | None = None,
) -> str:
    """Mask logits of a detection -> its RLE string (COCO's compressed counts; the size is the image's own).

    The logits are interpolated to the original pixels of the box alone, and the runs found there are placed in the
    image: what interpolating the whole image and cropping would give, without making it.

    Args:
        plane: (h/4, w/4), positive inside, on the grid of the network's input.
        box_xyxy: (4,), pixels of the image, or of the part of it that the network was shown.
        letterbox: how that lies in the input.
        origin_xy: left and top of the part.
        image_hw: size of the image, where a part was shown; None where that was all of it.
    """
    height, width = letterbox.image_hw
    x1, y1 = (int(v) for v in np.floor(box_xyxy[:2]))
    x2, y2 = (int(v) for v in np.minimum(np.ceil(box_xyxy[2:]), (width, height)))
    if x2 <= x1 or y2 <= y1:
        return empty_mask(image_hw or letterbox.image_hw)
    # Pixel centres: original x + 0.5 -> input (x + 0.5) * scale + left -> prototype grid, 1/4 of the input.
    scale_x, scale_y = letterbox.scale
    inverse = np.array(
        [
            [scale_x / 4, 0, ((x1 + 0.5) * scale_x + letterbox.left) / 4 - 0.5],
            [0, scale_y / 4, ((y1 + 0.5) * scale_y + letterbox.top) / 4 - 0.5],
        ]
    )
    crop = cv2.warpAffine(
        plane,
        inverse,
        (x2 - x1, y2 - y1),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return encode_part(crop > 0, (x1 + origin_xy[0], y1 + origin_xy[1]), image_hw or letterbox.image_hw)


def encode_face_mask(
    plane: npt.NDArray[np.float32],
    face_xyxy: npt.NDArray[np.float32],
    box_xyxy: Floats,
    layout: FaceLayout,
    face: int,
) -> str:
    """Mask logits of a detection in a face -> the RLE string of its mask in the panorama.

    Args:
        plane: (h/4, w/4), positive inside, on the grid of the face.
        face_xyxy: (4,) its box in pixels of the face, outside of which it has none.
        box_xyxy: (4,) its box in pixels of the panorama, which may go on across the right edge.
        layout: the faces.
        face: which of them.
    """
    height, width = layout.image_hw
    x1, x2 = int(np.floor(box_xyxy[0])), int(np.ceil(box_xyxy[2]))
    # Above and below the middle of the box's sides, a level line of the face bends away from one of the panorama.
    margin = int(np.ceil((box_xyxy[3] - box_xyxy[1]) / 2)) + 1
    y1, y2 = max(int(box_xyxy[1]) - margin, 0), min(int(np.ceil(box_xyxy[3])) + margin, height)
    parts = []
    for first, last in ((x1, min(x2, width)), (0, x2 - width)):
        if last > first and y2 > y1:
            columns, rows = np.meshgrid(np.arange(first, last) + 0.5, np.arange(y1, y2) + 0.5)
            x, y = layout.seen_in_face(columns, rows, face)
            across, down = ((one / 4 - 0.5).clip(-2, 32000).astype(np.float32) for one in (x, y))
            logits = cv2.remap(plane, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            left, top, right, bottom = face_xyxy
            inside = (logits > 0) & (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
            parts.append(encode_part(inside, (first, y1), layout.image_hw))
    return joined_masks(parts, layout.image_hw)


def joined_masks(masks: Sequence[str], image_hw: tuple[int, int]) -> str:
    """The union of masks of one image."""
    if len(masks) < 2:
        return masks[0] if masks else empty_mask(image_hw)
    counts: bytes = coco.merge([{"size": list(image_hw), "counts": mask.encode()} for mask in masks])["counts"]
    return counts.decode()


def encode_part(inside: npt.NDArray[np.bool_], origin_xy: tuple[int, int], image_hw: tuple[int, int]) -> str:
    """A part of an image -> the RLE string of the image's mask, which is `inside` there and empty elsewhere.

    Args:
        inside: (h, w).
        origin_xy: left and top of the part.
        image_hw: size of the image.
    """
    return _compress(_runs(inside, origin_xy, image_hw))


def empty_mask(image_hw: tuple[int, int]) -> str:
    """The RLE string of a mask without a pixel."""
    return _compress(np.array([image_hw[0] * image_hw[1]]))


def feet_of_mask(mask_rle: str, image_hw: tuple[int, int]) -> npt.NDArray[np.float64]:
    """A mask -> the lower edge of its lowest pixel in each column that it has pixels in, (k, 2) xy from left to right.

    Args:
        mask_rle: COCO's compressed counts.
        image_hw: size of the image that it is of.
    """
    height, width = image_hw
    ends = np.cumsum(_decompress(mask_rle))
    first, last = ends[:-1:2], ends[1::2] - 1  # pixels of the runs inside, down the columns from left to right
    filled = last >= first
    first, last = first[filled], last[filled]
    low = np.zeros(width)
    np.maximum.at(low, last // height, last % height + 1)
    for start, end in zip(first // height, last // height, strict=True):
        low[start:end] = height  # a run that goes on in the next column has filled this one
    column = np.flatnonzero(low)
    return np.stack([column + 0.5, low[column]], axis=1)


def _runs(
    inside: npt.NDArray[np.bool_], origin_xy: tuple[int, int], image_hw: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """Lengths of the runs of an image that shows `inside` at `origin_xy` and nothing elsewhere.

    COCO's: down the columns from left to right, outside and inside in turn, the first outside.
    """
    (height, width), (x, y) = image_hw, origin_xy
    framed = np.zeros((inside.shape[0] + 2, inside.shape[1]), np.bool_)
    framed[1:-1] = inside
    row, column = np.divmod(np.flatnonzero(framed[1:] != framed[:-1]), inside.shape[1])
    edges = np.sort((column + x) * height + row + y)
    if len(inside) == height:  # a run to the foot of a column goes on where the next one starts at its head
        joined = np.flatnonzero(edges[1:] == edges[:-1])
        edges = np.delete(edges, [joined, joined + 1])
    runs = np.diff(edges, prepend=0, append=height * width)
    return runs if runs[-1] else runs[:-1]


def _compress(runs: npt.NDArray[np.int64]) -> str:
    """COCO's string: of each run the difference to the last but one, five bits a character, the lowest first.

    Source: rleToString in maskApi.c of the COCO API.
    """
    rest = runs.copy()
    rest[3:] -= runs[1:-2]
    characters = []
    more = np.ones(len(rest), np.bool_)
    while more.any():
        low, rest = rest & 31, rest >> 5
        ends = np.where(low & 16, rest == -1, rest == 0)
        characters.append(np.where(more, low + np.where(ends, 48, 48 + 32), 0))
        more &= ~ends
    table = np.stack(characters, 1).astype(np.uint8)
    return table[table > 0].tobytes().decode("ascii")


def _decompress(string: str) -> npt.NDArray[np.int64]:
    """The runs of COCO's string: `_compress` the other way round. Source: rleFrString in maskApi.c of the COCO API."""
    bits = np.frombuffer(string.encode("ascii"), np.uint8).astype(np.int64) - 48
    is_last = bits & 32 == 0
    start = np.flatnonzero(np.concatenate([[True], is_last[:-1]]))
    place = np.arange(len(bits)) - np.repeat(start, np.diff(start, append=len(bits)))
    runs = np.add.reduceat((bits & 31) << (5 * place), start)
    is_negative = bits[is_last] & 16 > 0
    runs -= is_negative.astype(np.int64) << (5 * (place[is_last] + 1))
    for parity in (1, 2):  # from the fourth run on, each is a difference to the last but one
        runs[parity::2] = np.cumsum(runs[parity::2])
    return runs
