"""The folder of a drive's images: which there are, what their headers tell, and copying them into the drive.

Headers only: no pixel is decoded here. An image whose pixels turn out broken is quarantined by the scan.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image
from PIL.ExifTags import Base
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from roadscan.errors import NotFound, StorageError, TooLarge
from roadscan.progress import OnCount
from roadscan.storage import MAX_IMAGE_BYTES, Store, check_key
from roadscan.survey.importers.tags import BROKEN, NO_TAGS, Tags, read_tags
from roadscan.survey.jpeg import is_whole

#: Files that are frames. The last row cannot be read, but must not be lost without a word.
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp"),
    *(".heic", ".heif", ".dng", ".cr2", ".nef", ".arw"),
)
COPIES = "images"  # folder of copied images within the drive
READERS = 16  # threads; each waits for the store most of its time
QUARTER_TURNS = {5, 6, 7, 8}  # EXIF orientations whose upright image is as wide as the stored one is high


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image's header tells.

    Attributes:
        reason: why it is no usable image, or None.
        width_px, height_px: upright, with EXIF orientation applied, as the scan decodes it; 0 where unknown.
        tags: its EXIF.
    """

    reason: str | None
    width_px: int = 0
    height_px: int = 0
    tags: Tags = NO_TAGS


class ImageFolder:
    """All images below one root. `look_all` reads each once, and copies it in passing when a copy is wanted.

    Attributes:
        store: the root.
    """

    def __init__(self, store: Store, copy_to: Store | None = None) -> None:
        self.store, self._copy_to = store, copy_to
        self._facts: dict[str, ImageFacts] = {}

    def names(self) -> tuple[list[str], int]:
        """Keys of the images below the root, in order, and how many other files lie there."""
        keys = list(self.store.keys())
        images = [key for key in keys if key.lower().endswith(SUFFIXES)]
        return images, len(keys) - len(images)

    def look(self, key: str) -> ImageFacts:
        """What an image's header tells.

        Raises:
            AccessDenied, Unreachable: the store did not answer; a missing image is a reason, not an error.
        """
        return self._facts.get(key) or self._read(key)

    def look_all(self, keys: Iterable[str], on_frame: OnCount | None = None) -> list[ImageFacts]:
        """`look` at many images at once, in order, reporting (done, total) after each."""
        wanted = list(keys)
        facts = []
        with ThreadPoolExecutor(READERS) as pool:
            for done, fact in enumerate(pool.map(self.look, wanted), 1):
                facts.append(fact)
                self._facts[wanted[done - 1]] = fact
                if on_frame:
                    on_frame(done, len(wanted))
        return facts

    def seen(self, key: str) -> ImageFacts | None:
        """What `look_all` saw of an image, or None for one that was not in it."""
        return self._facts.get(key)

    def _read(self, key: str) -> ImageFacts:
        try:
            check_key(key)
        except StorageError as error:
            return ImageFacts(f"bad_key: {error}")
        try:
            data = self.store.read(key, max_bytes=MAX_IMAGE_BYTES)
        except NotFound:
            return ImageFacts("missing: no such object")
        except TooLarge as error:
            return ImageFacts(f"too_large: {error}")
        if self._copy_to is not None:
            self._copy_to.write(f"{COPIES}/{key}", data)
        return inspect_image(data)


def inspect_image(data: bytes) -> ImageFacts:
    """Size and EXIF of an encoded image, or why it is none: ``empty``, ``not_an_image``, ``corrupt``, ``truncated``."""
    if not data:
        return ImageFacts("empty")
    opener = _opener(data)
    if opener is None:
        kind = (
            "HTML or XML, such as a server's error page" if data.lstrip()[:1] == b"<" else f"starts with {data[:12]!r}"
        )
        return ImageFacts(f"not_an_image: {kind}; expected JPEG, PNG or WebP")
    try:
        with opener(io.BytesIO(data)) as image:
            width, height = image.size
            tags, turned = _read_exif(image)
    except BROKEN as error:
        return ImageFacts(f"corrupt: {error}")
    if opener is JpegImageFile and not is_whole(data):
        return ImageFacts(f"truncated: {len(data)} bytes without an end-of-image marker", width, height, tags)
    return ImageFacts(None, *((height, width) if turned else (width, height)), tags)


def _opener(data: bytes) -> type[ImageFile] | None:
    """Pillow's reader for a file, by its first bytes.

    Not `PIL.Image.open`: ultralytics, once imported, replaces it for the whole process by one that wants to install
    a package when a file is no image.
    """
    if data[:3] == b"\xff\xd8\xff":
        return JpegImageFile
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return PngImageFile
    return WebPImageFile if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _read_exif(image: Image.Image) -> tuple[Tags, bool]:
    """The tags, and whether the upright image is as wide as the stored one is high. Broken EXIF is no EXIF."""
    try:
        exif = image.getexif()
        return read_tags(exif), exif.get(Base.Orientation) in QUARTER_TURNS
    except BROKEN:
        return NO_TAGS, False
