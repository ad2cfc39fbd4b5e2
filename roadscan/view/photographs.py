"""Images that a release names, to the pictures that a page shows: read with the warehouse's credentials, never by name.

Nothing of a file reaches a browser but pixels that were decoded and encoded again, so an address in a release that is
not of an image shows nothing of what lies there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import cv2
import numpy as np

from roadscan.arrays import Image
from roadscan.report.samples import crop, encode_jpeg, read_image, unrolled
from roadscan.view.details import Photograph
from roadscan.view.kept import Kept

CACHE_BYTES = 128 << 20  # of pictures; those used last stay
CROP_PX, MARGIN = 512, 0.75  # of a crop: its side, and what it shows on each side of the box, in sizes of the box
FRAME_PX = 1920  # longest side of a whole frame
OUTLINE = ((0, 0, 0), 5), ((0, 165, 255), 2)  # BGR and width: orange on black shows on any ground

Size: TypeAlias = Literal["crop", "frame"]


class Photographs:
    """Pictures of photographs, some of which are kept.

    Args:
        moved: where images lie now by what the addresses in releases begin with; longest beginnings first.
    """

    def __init__(self, moved: Mapping[str, str] | None = None) -> None:
        self._moved = sorted((moved or {}).items(), key=lambda pair: -len(pair[0]))
        self._kept = Kept[tuple[str, object, str], bytes](CACHE_BYTES, size=len)

    def picture(self, photograph: Photograph, size: Size) -> bytes:
        """A JPEG: the box with what is around it, or the whole frame with the box drawn; without a box the frame.

        Raises:
            NotFound: the image is gone.
            NotAnImage, TooManyPixels: what is there is none that is shown.
            StorageError: it cannot be read.
        """
        return self._kept.get((photograph.uri, photograph.box_px, size), lambda: self._made(photograph, size))

    def _made(self, photograph: Photograph, size: Size) -> bytes:
        image, box = read_image(self._now(photograph.uri)), photograph.box_px
        if size == "crop" and box is not None:
            return crop(image, box, CROP_PX, margin=MARGIN, outline=False)
        if box is not None:
            image, (shown,) = unrolled(image, [box])
            left, top, right, bottom = map(round, shown)
            for color, width in OUTLINE:
                image = np.asarray(
                    cv2.rectangle(image, (left, top), (right, bottom), color, width, cv2.LINE_AA), np.uint8
                )
        return encode_jpeg(_fitting(image, CROP_PX if size == "crop" else FRAME_PX))

    def _now(self, uri: str) -> str:
        """Where an image lies now."""
        return next((now + uri[len(old) :] for old, now in self._moved if uri.startswith(old)), uri)


def _fitting(image: Image, side_px: int) -> Image:
    scale = side_px / max(image.shape[:2])
    if scale >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
