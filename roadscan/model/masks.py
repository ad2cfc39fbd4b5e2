"""Mask logits to COCO compressed RLE of the original image's size."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from roadscan.model.decode import Letterbox


def encode_masks(
    logits: npt.NDArray[np.float32], boxes_xyxy: npt.NDArray[np.float32], letterbox: Letterbox
) -> list[str | None]:
    """One RLE string a detection (COCO's compressed counts; the size is the image's own).

    The logits are interpolated to the original pixels of the box alone, which gives what interpolating the whole image
    and cropping would, without making it.

    Args:
        logits: (n, h/4, w/4), positive inside, on the grid of the network's input.
        boxes_xyxy: (n, 4), original pixels.
        letterbox: how the image lies in the input.
    """
    return [_encode(plane, box, letterbox) for plane, box in zip(logits, boxes_xyxy, strict=True)]


def _encode(plane: npt.NDArray[np.float32], box: npt.NDArray[np.float32], letterbox: Letterbox) -> str:
    height, width = letterbox.image_hw
    x1, y1 = (int(v) for v in np.floor(box[:2]))
    x2, y2 = (int(v) for v in np.minimum(np.ceil(box[2:]), (width, height)))
    full = np.zeros((height, width), np.uint8, order="F")
    if x2 > x1 and y2 > y1:
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
        full[y1:y2, x1:x2] = crop > 0
    encoded = coco.encode(full)["counts"]
    return str(encoded, "ascii")
