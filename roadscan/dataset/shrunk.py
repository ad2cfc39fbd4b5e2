"""Images scaled down once a node, so that no epoch decodes eight megapixels to see 640 pixels.

    CACHE_DIR/
      shrunk-<digest>.bgr                  the pixels of all images, one after another, as the resize gave them
      .shrunk-<digest>-<random>.partial    one under way; renamed when it is complete
      .shrunk-<digest>.lock                whose turn it is

The digest is of all that the pixels follow from: where the images lie, key, size and time of change of each, the sizes
that are wanted, and the OpenCV that makes them. The order of the images is the index, so there is no other file.

Pixels are not compressed: a mosaic reads four images, and one of 640x340 pixels takes 0.04 CPU ms from a file in the
page cache, against 3.0 as PNG and 2.0 as lossless WebP, which save 70 and 80 percent of the disk.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from roadscan.dataset.files import in_threads
from roadscan.dataset.staging import disk_errors, locked
from roadscan.errors import DatasetError, StorageError
from roadscan.nodes import usable_cores
from roadscan.progress import OnCount
from roadscan.storage import sha256_hex

FORMAT = "roadscan.shrunk/1"
CHANNELS = 3
SPARE_BYTES = 1 << 30  # of the disk, which other programs of the node need
logger = logging.getLogger(__name__)

Pixels: TypeAlias = npt.NDArray[np.uint8]
Shape: TypeAlias = tuple[int, int]  # height, width


class ShrinkTarget(NamedTuple):
    """An image to shrink: its key, its size as labelled, and the size to bring it to."""

    key: str
    image_hw: Shape
    shrunk_hw: Shape


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The small copies of one dataset's images; without arguments, none. It can be pickled for other processes.

    Attributes:
        path: the file of all pixels.
        offsets: where in it an image of a size begins.
    """

    path: Path = Path()
    offsets: Mapping[tuple[str, Shape], int] = field(default_factory=dict)

    def read(self, key: str, shrunk_hw: Shape) -> Pixels | None:
        """An image's key and a size -> its pixels (h, w, 3) uint8 BGR in that size, or None without such a copy.

        Raises:
            StorageError: the file was removed or cut off meanwhile.
        """
        offset = self.offsets.get((key, shrunk_hw))
        if offset is None:
            return None
        shape = (*shrunk_hw, CHANNELS)
        try:
            return np.fromfile(self.path, np.uint8, math.prod(shape), offset=offset).reshape(shape)
        except (OSError, ValueError) as error:
            raise StorageError(
                f"{self.path}: {error}; it was removed or cut off; start again, and it is made"
            ) from None


def shrink(
    root: str | Path, wanted: Sequence[ShrinkTarget], cache_dir: str | Path, *, on_image: OnCount | None = None
) -> Shrunk:
    """Make small copies of images on this node's disk, unless they are there; the node's processes make them once.

    Where the disk has no room for them there are none, and a warning says so: a training then reads the originals,
    which gives the same pixels, only slower.

    Args:
        root: folder that the images' keys are below.
        wanted: the images; cv2's bilinear resize makes each.
        cache_dir: folder on this node's disk, shared by all processes of the node.
        on_image: called with (images made, images in all).

    Raises:
        DatasetError: an image is missing, cannot be decoded, or has another size than its labels say.
        StorageError: the folder cannot be written.
    """
    wanted = list(dict.fromkeys(wanted))
    if not wanted:
        return Shrunk()
    cache = Path(cache_dir).expanduser().resolve()
    name = f"shrunk-{_digest(Path(root).resolve(), wanted)}"
    starts = list(accumulate((math.prod(one.shrunk_hw) * CHANNELS for one in wanted), initial=0))
    path, offsets = cache / f"{name}.bgr", starts[:-1]
    with disk_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
    with locked(cache, name):
        if not _is_complete(path, starts[-1]):
            _remove_partial(cache, name)
            if not _has_room(cache, starts[-1], len(wanted)):
                return Shrunk()
            try:
                _make(Path(root), wanted, offsets, starts[-1], path, on_image)
            except NoRoom:  # another process took it meanwhile
                _warn_of_room(cache, starts[-1], len(wanted))
                return Shrunk()
    keys = [(one.key, one.shrunk_hw) for one in wanted]
    return Shrunk(path, dict(zip(keys, offsets, strict=True)))


def _digest(root: Path, wanted: Sequence[ShrinkTarget]) -> str:
    """Digest of all that the pixels follow from."""

    def facts(one: ShrinkTarget) -> tuple[object, ...]:
        try:
            stat = (root / one.key).stat()
        except OSError as error:
            raise DatasetError(f"{root / one.key}: {error.strerror}; see 'roadscan dataset check'") from None
        return (*one, stat.st_size, stat.st_mtime_ns)

    return sha256_hex(json.dumps([FORMAT, cv2.__version__, str(root), [facts(one) for one in wanted]]).encode())[:32]


class NoRoom(Exception):
    """The disk is full."""


def _is_complete(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes


def _remove_partial(cache: Path, name: str) -> None:
    """Remove what a process left that was killed; the lock of the name is ours."""
    for left in cache.glob(f".{name}-*.partial"):
        left.unlink(missing_ok=True)


def _has_room(cache: Path, needed_bytes: int, images: int) -> bool:
    if shutil.disk_usage(cache).free - needed_bytes >= SPARE_BYTES:
        return True
    _warn_of_room(cache, needed_bytes, images)
    return False


def _warn_of_room(cache: Path, needed_bytes: int, images: int) -> None:
    logger.warning(
        "cache_dir %s: no room for small copies of %d images: expected %.1f GB free, got %.1f; every epoch decodes the "
        "originals, which is several times slower; set execution.cache_dir to a folder with room",
        cache, images, (needed_bytes + SPARE_BYTES) / 1e9, shutil.disk_usage(cache).free / 1e9,
    )  # fmt: skip


def _make(
    root: Path,
    wanted: Sequence[ShrinkTarget],
    offsets: Sequence[int],
    size_bytes: int,
    path: Path,
    on_image: OnCount | None,
) -> None:
    """Make the file, complete or not at all, on all cores: OpenCV decodes and resizes outside of Python's lock."""
    logger.info("%s: making small copies of %d images, %.1f GB", path, len(wanted), size_bytes / 1e9)
    partial = path.parent / f".{path.stem}-{secrets.token_hex(4)}.partial"
    try:
        with disk_errors(path), partial.open("wb") as file:
            # Taken now: a disk that fills up is an error, where a write into a hole of a mapped file ends the process.
            try:
                os.posix_fallocate(file.fileno(), 0, size_bytes)
            except OSError as error:
                raise NoRoom if error.errno == errno.ENOSPC else error from None

            def make(number: int) -> None:
                os.pwrite(file.fileno(), _shrunk(root, wanted[number]).data, offsets[number])

            in_threads(make, range(len(wanted)), usable_cores(), on_image)
            os.fsync(file.fileno())
            partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    logger.info("%s: complete", path)


def _shrunk(root: Path, one: ShrinkTarget) -> Pixels:
    pixels = cv2.imread(str(root / one.key))  # BGR, upright
    if pixels is None:
        raise DatasetError(f"{root / one.key}: the image cannot be decoded; see 'roadscan dataset check'")
    if pixels.shape[:2] != one.image_hw:
        (height, width), (h, w) = one.image_hw, pixels.shape[:2]
        raise DatasetError(
            f"{root / one.key}: its labels say {width}x{height} px, the image has {w}x{h}; see 'roadscan dataset check'"
        )
    small = cv2.resize(pixels, one.shrunk_hw[::-1], interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(small, dtype=np.uint8)
