"""An image file examined: its upright size from the header alone, or whether all of it decodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image

from roadscan.damage import is_damaged
from roadscan.dataset.draft import Problem, Size
from roadscan.dataset.files import Files
from roadscan.dataset.similar import Fingerprint, fingerprint
from roadscan.errors import Malformed, NotAnImage, NotFound, StorageError, TooLarge
from roadscan.parsing import open_image
from roadscan.progress import OnCount
from roadscan.shown import said
from roadscan.storage import MAX_IMAGE_BYTES, DiskStore, sha256_hex

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height


class Unreadable(Exception):
    """The file is no usable image; the message says why."""


@dataclass(frozen=True, slots=True)
class Examined:
    """An image that decodes.

    Attributes:
        size: upright.
        sha256: of the file.
        look: for finding images that look alike.
    """

    size: Size
    sha256: str
    look: Fingerprint


def header_size(source: bytes | Path) -> Size:
    """Size of the upright image, from as much of the file as that needs.

    Raises:
        Unreadable: the header is not that of an image, or claims so many pixels that decoding might fill the memory.
        FileNotFoundError: no such file.
    """
    if isinstance(source, bytes) and not source:
        raise Unreadable("the file is empty")
    try:
        with open_image(source) as image:
            width, height = image.size
            sideways = _orientation(image) in SIDEWAYS
    except FileNotFoundError:
        raise
    except NotAnImage:
        raise Unreadable("it is not an image, or cut off in its header") from None
    except Malformed as error:
        raise Unreadable(f"its header cannot be read ({error})") from None
    return Size(height, width) if sideways else Size(width, height)


def header_sizes(files: Files, keys: Sequence[str], on_image: OnCount | None = None) -> dict[str, Size | Problem]:
    """Upright sizes of images, or what is wrong with them; from an object store the files are read whole."""
    store = files.store

    def size_of(key: str) -> Size | Problem:
        try:
            return header_size(
                store.path(key) if isinstance(store, DiskStore) else store.read(key, max_bytes=MAX_IMAGE_BYTES)
            )
        except (Unreadable, NotFound, FileNotFoundError, StorageError) as error:
            return problem_of(key, error)

    return dict(zip(keys, files.each(size_of, keys, on_image), strict=True))


def examine(data: bytes) -> Examined:
    """Decode an image whole, its header first.

    Raises:
        Unreadable: it is empty, not an image, truncated, or its data do not fit its header.
    """
    size = header_size(data)
    _check_whole(data)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)  # as training decodes it
    except Exception as error:  # noqa: BLE001 - what a decoder raises is not ours to list
        raise Unreadable(f"its data cannot be decoded ({said(error)})") from None
    if pixels is None:
        raise Unreadable("its data cannot be decoded")
    if pixels.shape[:2] != (size.height_px, size.width_px):
        got = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise Unreadable(f"its header says {size.width_px}x{size.height_px} px, its data are {got} px")
    if is_damaged(data, pixels.astype(np.uint8, copy=False)):
        raise Unreadable("a part of its data is lost, and decoders make it up")
    return Examined(size, sha256_hex(data), fingerprint(pixels.astype(np.uint8, copy=False)))


def problem_of(key: str, error: Exception) -> Problem:
    """The problem that an error in reading an image means.

    Raises:
        StorageError: the error itself, where it says nothing of the image: the store is not reachable.
    """
    if isinstance(error, NotFound | FileNotFoundError):
        return Problem("missing image", key, "there is no such image, and the dataset names it")
    if isinstance(error, StorageError) and not isinstance(error, TooLarge):
        raise error
    return Problem("corrupt image", key, str(error))


def _orientation(image: Image.Image) -> int:
    """EXIF orientation as OpenCV takes it; Pillow's own `getexif` decodes a whole PNG, and believes XMP too."""
    data = image.info.get("exif")
    if image.format == "TIFF" or not isinstance(data, bytes):  # of a TIFF, Pillow gives the upright size
        return 1
    exif = Image.Exif()
    exif.load(data)
    return int(exif.get(ExifTags.Base.Orientation, 1))


def _check_whole(data: bytes) -> None:
    """Refuse a truncated JPEG, which OpenCV before 5 fills with grey; Pillow decodes an eighth of it, strictly."""
    try:
        with open_image(data) as image:
            if image.format in ("JPEG", "MPO"):  # MPO is a JPEG with more pictures after it
                image.draft("L", (image.width // 8, image.height // 8))
                image.load()
    except Malformed as error:
        raise Unreadable(f"it is truncated or damaged ({error})") from None
