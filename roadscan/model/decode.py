"""From an image file's bytes to the network's input, with every way a file can be bad told apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from roadscan.damage import is_damaged
from roadscan.errors import Malformed, NotAnImage, TooManyPixels
from roadscan.parsing import JPEG, PNG, open_image
from roadscan.shown import said
from roadscan.survey.jpeg import END_OF_IMAGE, is_whole, read_header

Pixels: TypeAlias = npt.NDArray[np.uint8]
DecodeMode: TypeAlias = Literal["full", "scaled"]

PADDING_GREY = 114  # the letterbox grey that YOLOv8 was trained with
ROTATED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


class Undecodable(Exception):
    """The file is no usable image; the message is the frame's reason."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How an image lies in the network's input: scaled by `scale`, then moved by `left` and `top`.

    Attributes:
        image_hw: the original image's size in pixels, upright.
        input_hw: the network's input.
        inner_hw: the part of the input that shows the image.
        left, top: padding before it.
    """

    image_hw: tuple[int, int]
    input_hw: tuple[int, int]
    inner_hw: tuple[int, int]
    left: int
    top: int

    @property
    def scale(self) -> tuple[float, float]:
        """Input pixels an image pixel, along x and y."""
        return self.inner_hw[1] / self.image_hw[1], self.inner_hw[0] / self.image_hw[0]

    def to_image(self, boxes_xyxy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Boxes (n, 4) from input pixels to original pixels, clipped to the image."""
        offset = np.array([self.left, self.top] * 2, np.float32)
        scale = np.array(self.scale * 2, np.float32)
        height, width = self.image_hw
        moved: npt.NDArray[np.float32] = (boxes_xyxy - offset) / scale
        return moved.clip(0, np.array([width, height] * 2, np.float32))


def plan_letterbox(image_hw: tuple[int, int], side: int, stride: int) -> Letterbox:
    """The smallest input with the image's aspect: longer side `side`, the shorter rounded up to `stride`, centred.

    The same placement as ultralytics' predictor, so that boxes agree. A 1920x1080 image in 640 becomes 640x384, which
    costs 0.6 of the square.
    """
    height, width = image_hw
    ratio = side / max(height, width)
    inner = max(round(height * ratio), 1), max(round(width * ratio), 1)
    rest = tuple((side - length) % stride / 2 for length in inner)
    top, left = (round(half - 0.1) for half in rest)
    bottom, right = (round(half + 0.1) for half in rest)
    return Letterbox(image_hw, (inner[0] + top + bottom, inner[1] + left + right), inner, left, top)


def image_size(data: bytes, max_megapixels: float) -> tuple[int, int]:
    """Height and width of the upright image, from the header alone.

    Raises:
        Undecodable: ``empty``, ``not_an_image``, ``corrupt``, ``too_large``, ``truncated``. A 5 MB JPEG can claim
            20000 x 20000 pixels and make a decoder allocate gigabytes, so this comes before decoding.
    """
    if not data:
        raise Undecodable("empty: 0 bytes")
    height, width, cut = ordinary_jpeg_size(data) or any_image_size(data)
    if width * height > max_megapixels * 1e6:
        raise Undecodable(f"too_large: {width}x{height} px, limit {max_megapixels:g} megapixels")
    if cut:
        raise _truncated(data)
    return height, width


def ordinary_jpeg_size(data: bytes) -> tuple[int, int, bool] | None:
    """Height, width, and whether the end is missing, where no general reader is needed to know it.

    Pillow takes ten times as long, and holds the interpreter all the while: every other thread of the process waits.
    """
    header = read_header(data)
    if header is None or header.height_px * header.width_px > (Image.MAX_IMAGE_PIXELS or 0):
        return None
    sides = header.height_px, header.width_px
    height, width = sides[::-1] if header.orientation in ROTATED else sides
    return height, width, data.rfind(END_OF_IMAGE, header.scan_at) < 0


def any_image_size(data: bytes) -> tuple[int, int, bool]:
    """The same of every file, by Pillow."""
    cut = _is_cut(data)
    try:
        with open_image(data) as image:
            width, height = image.size
            if image.getexif().get(ExifTags.Base.Orientation) in ROTATED:
                width, height = height, width
    except TooManyPixels as error:
        raise Undecodable(f"too_large: {error}") from None
    except Malformed as error:
        raise _truncated(data) if cut else Undecodable(_why_not(data, error)) from None
    return height, width, cut


def _why_not(data: bytes, error: Malformed) -> str:
    if not isinstance(error, NotAnImage):
        return f"corrupt: {error}"
    kind = "HTML" if data[:512].lstrip()[:1] == b"<" else f"{data[:8]!r}"
    return f"not_an_image: starts with {kind}"


def _is_cut(data: bytes) -> bool:
    """Whether a JPEG, PNG or WebP lacks the end that it has to have, as while it is being uploaded.

    Source: ITU-T T.81, B.1.1; PNG (third edition), 11.2.5; WebP Container Specification, "WebP File Header".
    """
    if data.startswith(JPEG):
        return not is_whole(data)
    if data.startswith(PNG):
        return b"IEND" not in data
    is_webp = data.startswith(b"RIFF") and data[8:12] == b"WEBP"
    return is_webp and len(data) < 8 + int.from_bytes(data[4:8], "little")


def _truncated(data: bytes) -> Undecodable:
    return Undecodable(f"truncated: {len(data)} bytes without the image's end")


def decode(data: bytes, letterbox: Letterbox, mode: DecodeMode = "full") -> Pixels:
    """The network's input (h, w, 3), uint8 BGR.

    Args:
        data: the image file.
        letterbox: from `plan_letterbox` on the file's own size.
        mode: full is what ultralytics does: linear interpolation between the nearest pixels, which skips the others (at
            3:1 it takes one pixel of nine, with all its noise). scaled lets the JPEG decoder average to the nearest
            power of two above the network's size, so that every pixel counts: faster from 2:1 on. Other files than
            JPEGs, and images below 2:1, are the same in both.

    Raises:
        Undecodable: ``corrupt``.
    """
    by = 1
    if mode == "scaled":
        spare = max(letterbox.image_hw) / max(letterbox.inner_hw)
        by = next((by for by in (8, 4, 2) if by <= spare), 1)
    # The decoder has averaged already; cubic keeps the contrast that linear would take away once more.
    return place(
        decode_image(data, letterbox.image_hw, by), letterbox, cv2.INTER_LINEAR if by == 1 else cv2.INTER_CUBIC
    )


def decode_image(data: bytes, image_hw: tuple[int, int], by: int = 1) -> Pixels:
    """An image file -> its pixels (h, w, 3), uint8 BGR, upright.

    Args:
        data: the image file.
        image_hw: the size that its header says.
        by: 1, or 2, 4, 8 to have a JPEG's sides divided by that.

    Raises:
        Undecodable: ``corrupt``.
    """
    flags = REDUCED.get(by, cv2.IMREAD_COLOR)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except Exception as error:  # noqa: BLE001 - what a decoder raises is not ours to list
        raise Undecodable(f"corrupt: {said(error)}") from None
    if image is None:
        raise Undecodable("corrupt: the image data cannot be decoded")
    if any(abs(got - want / by) > 1 for got, want in zip(image.shape, image_hw, strict=False)):
        raise Undecodable(f"corrupt: the header says {image_hw} px, the image data {image.shape[:2]}")
    pixels: Pixels = image.astype(np.uint8, copy=False)
    if is_damaged(data, pixels, flags):
        raise Undecodable("corrupt: a part of the image data is lost, and the decoder made it up")
    return pixels


def place(image: npt.NDArray[Any], letterbox: Letterbox, interpolation: int = cv2.INTER_LINEAR) -> Pixels:
    """The network's input (h, w, 3) of a decoded image (h, w, 3): resized, and on grey."""
    inner_h, inner_w = letterbox.inner_hw
    pixels = np.full((*letterbox.input_hw, 3), PADDING_GREY, np.uint8)
    inner = pixels[letterbox.top : letterbox.top + inner_h, letterbox.left : letterbox.left + inner_w]
    if image.shape[:2] == letterbox.inner_hw:
        inner[:] = image
    else:
        inner[:] = cv2.resize(image, (inner_w, inner_h), interpolation=interpolation)
    return pixels
