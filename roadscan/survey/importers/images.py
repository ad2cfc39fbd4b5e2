"""The folder of a drive's images: which there are, what their headers tell, and copying them into the drive.

Headers only: no pixel is decoded here. An image whose pixels turn out broken is quarantined by the scan.
"""

from __future__ import annotations

import io
import posixpath
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
from roadscan.filenames import is_hidden
from roadscan.parsing import JPEG, PNG
from roadscan.progress import OnCount
from roadscan.shown import said
from roadscan.storage import MAX_IMAGE_BYTES, Store, check_key
from roadscan.survey.importers.gpano import Panorama, panorama_of
from roadscan.survey.importers.tags import NO_TAGS, Tags, read_tags
from roadscan.survey.jpeg import is_whole
from roadscan.video.address import VIDEOS
from roadscan.xmp import properties

READ = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp")
#: Images that cannot be read, but must not be lost without a word.
NOT_READ = (".heic", ".heif", ".avif", ".tif", ".tiff", ".bmp", ".gif", ".dng", ".cr2", ".cr3", ".nef", ".arw")
COPIES = "images"  # folder of copied images within the drive
XMP_WITHIN = 1 << 18  # bytes; a JPEG's and a PNG's metadata come before the picture
#: By a mark among the first bytes.
KINDS = {
    **{b"II*\0": "TIFF or raw", b"MM\0*": "TIFF or raw", b"GIF8": "GIF", b"BM": "BMP"},
    **{b"ftypavif": "AVIF", b"ftypheic": "HEIC", b"ftypheix": "HEIC", b"ftypmif1": "HEIC"},
}
READERS = 16  # threads; each waits for the store most of its time
QUARTER_TURNS = {5, 6, 7, 8}  # EXIF orientations whose upright image is as wide as the stored one is high


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image's header tells.

    Attributes:
        reason: why it is no usable image, or None.
        width_px, height_px: upright, with EXIF orientation applied, as the scan decodes it; 0 where unknown.
        tags: its EXIF.
        panorama: what it says of being one; None where it says nothing.
    """

    reason: str | None
    width_px: int = 0
    height_px: int = 0
    tags: Tags = NO_TAGS
    panorama: Panorama | None = None


@dataclass(frozen=True)
class Listing:
    """What lies in a folder of images.

    Attributes:
        images: keys of the images, in order.
        videos: keys of the videos.
        counts: what else lies there and is no frame, by kind.
    """

    images: list[str]
    videos: list[str]
    counts: dict[str, int]


class ImageFolder:
    """All images below one root. `look_all` reads each once, and copies it in passing when a copy is wanted.

    Attributes:
        store: the root.
    """

    def __init__(self, store: Store, copy_to: Store | None = None) -> None:
        self.store, self._copy_to = store, copy_to
        self._facts: dict[str, ImageFacts] = {}

    def listing(self) -> Listing:
        """What lies below the root, in order.

        An image that is there once more in a form that cannot be read, as cameras write JPG and DNG of one shot, is the
        one that can.
        """
        keys = list(self.store.keys())
        shown = [key for key in keys if not is_hidden(key)]
        read = [key for key in shown if key.lower().endswith(READ)]
        shots = {posixpath.splitext(key)[0] for key in read}
        raw = [key for key in shown if key.lower().endswith(NOT_READ)]
        alone = [key for key in raw if posixpath.splitext(key)[0] not in shots]
        videos = [key for key in shown if key.lower().endswith(VIDEOS)]
        return Listing(
            images=sorted(read + alone),
            videos=videos,
            counts={
                "images that are there as JPEG, PNG or WebP too": len(raw) - len(alone),
                "hidden files, such as thumbnails": len(keys) - len(shown),
                "videos, which `roadscan ingest video` takes": len(videos),
                "files that are no images": len(shown) - len(read) - len(raw) - len(videos),
            },
        )

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

    def know(self, key: str, facts: ImageFacts) -> None:
        """Take what somebody else has seen of an image, so that it is not read for that."""
        self._facts[key] = facts

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
        return ImageFacts(f"not_an_image: {_kind(data)}; expected JPEG, PNG or WebP")
    try:
        with opener(io.BytesIO(data)) as image:
            width, height = image.size
            tags, turned = _read_exif(image)
            xmp = data[:XMP_WITHIN] + _late_xmp(image)
    except Exception as error:  # noqa: BLE001 - what Pillow raises is not ours to list
        return ImageFacts(f"corrupt: {said(error)}")
    if opener is JpegImageFile and not is_whole(data):
        return ImageFacts(f"truncated: {len(data)} bytes without an end-of-image marker", width, height, tags)
    if turned:
        width, height = height, width
    panorama = panorama_of(properties(xmp, "GPano"), width, height)
    if isinstance(panorama, str):
        return ImageFacts(f"unsupported: {panorama}", width, height, tags)
    return ImageFacts(None, width, height, tags, panorama)


def _late_xmp(image: Image.Image) -> bytes:
    """The XMP of a WebP, which has it after the picture; others have it before."""
    xmp = image.info.get("xmp", b"")
    return xmp if isinstance(xmp, bytes) else b""


def _kind(data: bytes) -> str:
    if data.lstrip()[:1] == b"<":
        return "HTML or XML, such as a server's error page"
    known = next((name for mark, name in KINDS.items() if mark in data[:16]), "")
    return f"it is {known}" if known else f"starts with {data[:12]!r}"


def _opener(data: bytes) -> type[ImageFile] | None:
    """Pillow's reader for a file, by its first bytes.

    Not `PIL.Image.open`: ultralytics, once imported, replaces it for the whole process by one that wants to install
    a package when a file is no image.
    """
    if data.startswith(JPEG):
        return JpegImageFile
    if data.startswith(PNG):
        return PngImageFile
    return WebPImageFile if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _read_exif(image: Image.Image) -> tuple[Tags, bool]:
    """The tags, and whether the upright image is as wide as the stored one is high. Broken EXIF is no EXIF."""
    try:
        exif = image.getexif()
        return read_tags(exif), exif.get(Base.Orientation) in QUARTER_TURNS
    except Exception:  # noqa: BLE001 - likewise
        return NO_TAGS, False
